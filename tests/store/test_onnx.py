"""Reading with ONNX Runtime: ours, other layouts, and what is no model."""

import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.store.runtimes import ONNXModel

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def saved(path, shape, *, second="column", kind=onnx.TensorProto.FLOAT):
    """Writes a model that gives two numbers: the mean of the picture, and that again; or `four`, for four pictures."""
    given = onnx.helper.make_tensor_value_info("x", kind, shape)
    taken = onnx.helper.make_tensor_value_info("y", kind, [shape[0], 2])
    nodes = [
        onnx.helper.make_node("ReduceMean", ["x"], ["m"], axes=(1, 2, 3), keepdims=0),
        onnx.helper.make_node("Unsqueeze", ["m", "axis"], ["column"]),
        onnx.helper.make_node("Concat", ["column", second], ["y"], axis=1),
    ]
    axis = onnx.helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1])
    four = onnx.helper.make_tensor("four", onnx.TensorProto.FLOAT, [4, 1], [0.0] * 4)
    graph = onnx.helper.make_graph(nodes, "mean", [given], [taken], [axis, four])
    opsets = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


@pytest.mark.parametrize("shape", [["n", 48, 48, 1], [1, 1, 48, 48], [None, 3, 64, 64], [1, 96, 96, 3]], ids=str)
def test_both_layouts_are_read(tmp_path, shape):
    model = ONNXModel(saved(tmp_path / "m.onnx", shape))
    side, channels = max(shape[2:]), 1 if 1 in shape[1:] else 3
    assert (model.input_shape, model.outputs) == ((side, side, channels), 2)
    images = np.random.default_rng(0).integers(0, 256, (3, side, side, channels), dtype=np.uint8)
    means = images.mean(axis=(1, 2, 3))
    np.testing.assert_allclose(model.probabilities(images), np.column_stack([means, means]), rtol=1e-4)
    with pytest.raises(ArtifactError, match="takes pictures of"):
        model.probabilities(images[:, :-1])


def test_what_takes_no_picture_or_is_no_model_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"does not take one picture as float32: .*'h', 'w'"):
        ONNXModel(saved(tmp_path / "free.onnx", ["n", "h", "w", 1]))
    with pytest.raises(ArtifactError, match=r"does not take one picture as float32: .*double"):
        ONNXModel(saved(tmp_path / "double.onnx", ["n", 48, 48, 1], kind=onnx.TensorProto.DOUBLE))
    with pytest.raises(ArtifactError, match=r"does not take one picture as float32: .*\[4, 48, 48, 1\]"):
        ONNXModel(saved(tmp_path / "four.onnx", [4, 48, 48, 1]))
    with pytest.raises(ArtifactError, match=r"wrong\.onnx cannot be read as an ONNX model: .*Concat"):
        ONNXModel(saved(tmp_path / "wrong.onnx", ["n", 48, 48, 1], second="four"))
    torn = (tmp_path / "free.onnx").read_bytes()[:50]
    for name, content in {"empty": b"", "text": b"no model", "torn": torn}.items():
        (tmp_path / f"{name}.onnx").write_bytes(content)
        with pytest.raises(ArtifactError, match=rf"{name}\.onnx cannot be read as an ONNX model: "):
            ONNXModel(tmp_path / f"{name}.onnx")
    with pytest.raises(ArtifactError, match="There is no model file"):
        ONNXModel(tmp_path / "missing.onnx")
