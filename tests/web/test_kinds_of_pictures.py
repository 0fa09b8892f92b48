"""Each kind of picture is read alike in training, as a source, by predict_emotion and as an upload."""

import contextlib

import numpy as np
import pytest
from PIL import Image

from fer_core import predict_emotion
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.data.sample import draw_face
from fer_core.live.sources import open_source

KINDS = {
    "jpg": {"format": "JPEG"},
    "jfif": {"format": "JPEG"},
    "jpe": {"format": "JPEG"},
    "png": {},
    "bmp": {},
    "webp": {"lossless": True},
    "tif": {},
    "tiff": {"mode": "I;16"},
    "gif": {},
    "avif": {"quality": 100},
}


def written(folder, suffix: str) -> np.ndarray:
    """Writes one face each of two emotions for training and test, and returns the first one."""
    options = dict(KINDS[suffix])
    mode = options.pop("mode", "L")
    first = None
    for number, (split, emotion) in enumerate(
        (split, emotion) for split in ("train", "test") for emotion in ("happy", "sad")
    ):
        face = draw_face(emotion, np.random.default_rng(number))
        first = face if first is None else first
        path = folder / split / emotion / f"face.{suffix}"
        path.parent.mkdir(parents=True)
        image = Image.fromarray(face) if mode == "L" else Image.fromarray(face.astype(np.uint16) * 257)
        image.save(path, **options)
    return first


@pytest.mark.parametrize("suffix", KINDS)
def test_each_kind_is_read_alike_everywhere(site, paths, tmp_path, suffix):
    folder = tmp_path / "faces"
    face = written(folder, suffix)
    path = folder / "train" / "happy" / f"face.{suffix}"
    dataset = load_dataset(TrainConfig(data=str(folder), validation="none"), paths, side=48)
    assert not dataset.bad_images and [len(dataset.train), len(dataset.test)] == [2, 2]
    trained_on = dataset.train.images(slice(0, 1))[0, :, :, 0].astype(int)
    assert abs(trained_on - face).max() <= (0 if suffix not in ("jpg", "jfif", "jpe", "avif") else 40)
    with contextlib.closing(open_source(str(path))) as source:
        assert source.is_still
        np.testing.assert_allclose(source.read(5).picture_bgr[:, :, 0], trained_on, atol=2)
    (prediction,) = predict_emotion(path, faces="given", paths=paths)
    (image,) = site.predict(path.read_bytes(), faces="given").json()["images"]
    (uploaded,) = image["faces"]
    assert uploaded["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-3)


def test_a_gif_of_several_frames_is_a_film_as_a_source(tmp_path):
    first, *others = (Image.new("RGB", (64, 48), (level,) * 3) for level in (40, 90, 140))
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, duration=100)
    frames = []
    with contextlib.closing(open_source(str(tmp_path / "a.gif"))) as source:
        assert not source.is_still
        while not source.ended:
            frames.append(source.read(5))
    levels = [round(float(frame.picture_bgr.mean()), -1) for frame in frames if frame is not None]
    assert levels == [40, 90, 140]
