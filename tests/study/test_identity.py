"""People who leave a video and come back, by a made recogniser: that of the world is fetched by users alone."""

import itertools

import av
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fer_core.errors import ArtifactError, ConfigError
from fer_core.study.reading import read_video

DETECTOR = "face_detection_yunet_2026may.onnx"


def made_recognizer(path):
    """Compares the colours of 8 x 8 places of a face: enough to tell two people in two rooms."""
    mixed = np.linalg.qr(np.random.default_rng(0).normal(size=(192, 192)))[0][:, :128]
    weights = ((np.eye(192) - 1 / 192) @ mixed).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["data"], ["places"], kernel_shape=[14, 14], strides=[14, 14]),
        helper.make_node("Flatten", ["places"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["fc1"]),
    ]
    taken = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 112, 112])
    given = helper.make_tensor_value_info("fc1", TensorProto.FLOAT, [1, 128])
    graph = helper.make_graph(nodes, "made", [taken], [given], [numpy_helper.from_array(weights, "weights")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path


@pytest.fixture(scope="module")
def film(test_data, tmp_path_factory):
    """Two people: the first, the second, nobody, the second, the first; some two seconds each."""
    pictures = []
    for name in ("single_face", "single_face_2"):
        with av.open(str(test_data / "faces" / f"{name}.mp4")) as container:
            frames = itertools.islice(container.decode(video=0), 40)
            pictures.append([frame.to_ndarray(format="rgb24") for frame in frames])
    (first, second), nobody = pictures, [np.zeros((360, 640, 3), "u1")] * 30
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for picture in [*first, *nobody, *second, *nobody, *second, *nobody, *first]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def test_people_who_come_back_keep_their_numbers_only_if_that_is_asked_for(film, test_data, paths, tmp_path):
    how = {"model": "tiny", "detector": "yunet", "detector_model": test_data / DETECTOR, "fps": 12, "paths": paths}
    assert read_video(film, **how)["person"].dropna().unique().tolist() == [1, 2, 3, 4]
    known = read_video(film, identify=True, recognizer_model=made_recognizer(tmp_path / "made.onnx"), **how)
    seen = known.dropna(subset=["person"])
    by_time = [
        seen.loc[seen["seconds"].between(*span), "person"].unique().tolist()
        for span in ((0, 1.6), (3, 4.5), (5.9, 7.4), (8.8, 10.4))
    ]
    assert by_time == [[1], [2], [2], [1]]
    assert not [column for column in known if "embedding" in column]


def test_what_cannot_know_people_is_refused(film, test_data, paths, tmp_path):
    with pytest.raises(ConfigError, match="yunet"):
        read_video(film, detector="haar", identify=True, paths=paths)
    with pytest.raises(ArtifactError, match="not there"):
        yunet = {"detector": "yunet", "detector_model": test_data / DETECTOR}
        read_video(film, identify=True, recognizer_model=tmp_path / "no.onnx", paths=paths, **yunet)
