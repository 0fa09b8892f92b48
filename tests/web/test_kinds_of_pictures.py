"""Each kind of picture is read alike in training, as a source, by predict_emotion and as an upload."""

import contextlib
import io
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from PIL import Image

from fer_core import predict_emotion
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.data.face_picture import network_input
from fer_core.data.sample import draw_face
from fer_core.live.sources import open_source
from tests.heic import heic_of_tiles

LOSSY = 40


def saved(picture, kind, **options) -> bytes:
    out = io.BytesIO()
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(out, kind, **options)
    return out.getvalue()


def in_mode(mode, kind, **options):
    return lambda face: saved(Image.fromarray(face).convert(mode), kind, **options)


def deep(kind, factor):
    return lambda face: saved(face.astype(np.uint16) * factor, kind)


def turned_and_transparent(kind, **options):
    """Lies on its side, as its EXIF says, and is nearly opaque."""

    def write(face):
        exif = Image.Exif()
        exif[0x0112] = 6
        picture = np.dstack([np.rot90(face)] * 3 + [np.full_like(face.T, 254)])
        return saved(picture, kind, exif=exif.tobytes(), **options)

    return write


JPEG = in_mode("L", "JPEG")
KINDS = {
    "a.jpg": (JPEG, LOSSY),
    "a.JPEG": (in_mode("RGB", "JPEG", progressive=True), LOSSY),
    "a.jfif": (JPEG, LOSSY),
    "a.jpe": (in_mode("CMYK", "JPEG"), LOSSY),
    "no_end_mark.jpg": (lambda face: JPEG(face).removesuffix(b"\xff\xd9"), LOSSY),
    "no_suffix": (JPEG, LOSSY),
    "a.png": (in_mode("L", "PNG"), 0),
    "palette.png": (in_mode("P", "PNG"), 0),
    "gray_with_alpha.png": (in_mode("LA", "PNG"), 0),
    "turned_and_transparent.png": (turned_and_transparent("PNG"), 1),
    "16_bits.png": (deep("PNG", 257), 0),
    "12_bits.png": (deep("PNG", 16), 0),
    "8_bits_in_16.png": (deep("PNG", 1), 0),
    "a.bmp": (in_mode("RGB", "BMP"), 0),
    "a.webp": (in_mode("RGB", "WEBP", lossless=True), 1),
    "turned_and_transparent.webp": (turned_and_transparent("WEBP", lossless=True), 2),
    "a.tif": (in_mode("L", "TIFF"), 0),
    "cmyk.tiff": (in_mode("CMYK", "TIFF"), 1),
    "16_bits.tiff": (deep("TIFF", 257), 0),
    "turned_and_transparent.tiff": (turned_and_transparent("TIFF"), 1),
    "a.gif": (in_mode("L", "GIF"), 0),
    "a_gif.png": (in_mode("L", "GIF"), 0),
    "a.avif": (in_mode("RGB", "AVIF", quality=100), LOSSY),
    "an_avif.jpg": (in_mode("RGB", "AVIF", quality=100), LOSSY),
    "a.heic": (in_mode("RGB", "HEIF", quality=95), LOSSY),
    "of_tiles.heic": (lambda face: heic_of_tiles(Image.fromarray(face)), LOSSY),
    "a_heic.jpg": (in_mode("RGB", "HEIF", quality=95), LOSSY),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_read_alike_everywhere(site, paths, tmp_path, name):
    if "heic" in name and not find_spec("pillow_heif"):
        pytest.skip("HEIC needs `pip install pillow-heif`.")
    write, difference = KINDS[name]
    faces = [cv2.resize(draw_face(*one), (128, 128)) for one in drawn()]
    for number, face in enumerate(faces):
        path = tmp_path / "faces" / ("train", "test")[number // 2] / ("happy", "sad")[number % 2] / name
        path.parent.mkdir(parents=True)
        path.write_bytes(write(face))
    dataset = load_dataset(TrainConfig(data=str(tmp_path / "faces"), validation="none"), paths, side=48)
    assert not dataset.bad_images and [len(dataset.train), len(dataset.test)] == [2, 2]
    trained_on = dataset.train.images(slice(0, 1))[0].astype(int)
    assert abs(trained_on - network_input(faces[0], side=48)).max() <= difference
    path = tmp_path / "faces" / "train" / "happy" / name
    for source in (path, path.parent):
        with contextlib.closing(open_source(str(source))) as opened:
            assert opened.is_still
            seen = network_input(opened.read(5).picture_bgr, side=48)
            np.testing.assert_allclose(seen, trained_on, atol=2)
    (prediction,) = predict_emotion(path, faces="given", paths=paths)
    (image,) = site.predict(path.read_bytes(), faces="given").json()["images"]
    (uploaded,) = image["faces"]
    assert uploaded["probabilities"] == pytest.approx(prediction.probabilities, abs=1e-3)


def drawn():
    """Yields one face each of two emotions for training and test."""
    for number in range(4):
        yield ("happy", "sad")[number % 2], np.random.default_rng(number)


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
