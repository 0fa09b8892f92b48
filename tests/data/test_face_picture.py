"""The one function that makes a network's input, and the decoding of picture files."""

import io
import struct
import zlib
from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from PIL import Image

from fer_core.data import picture_header
from fer_core.data.face_picture import UnreadablePictureError, decode_picture, gray, network_input
from fer_core.data.picture_header import declared_size, is_picture


def encoded(picture: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, picture)[1].tobytes()


def png_that_declares(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header)) + b"IEND"


def jpeg_turned(picture: np.ndarray, orientation: int) -> bytes:
    """Returns a JPEG whose EXIF says how the camera was held."""
    jpeg = encoded(picture, ".jpg")
    exif = b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def saved_by_pillow(picture_rgb: np.ndarray, kind: str, *, orientation: int = 1) -> bytes:
    """Returns a file of RGB or RGBA pixels, without loss where the format has that."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    out = io.BytesIO()
    Image.fromarray(picture_rgb).save(out, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    return out.getvalue()


def test_any_picture_becomes_a_square_of_the_wanted_channels(noise):
    face = noise(1)
    assert np.array_equal(network_input(face, side=48)[:, :, 0], face)
    colour = np.dstack([noise(1, 70, 30)] * 3)
    for picture in (noise(1, 20, 90), noise(1, 20, 20)[..., np.newaxis], colour, colour[:, ::-1]):
        one, three = (network_input(picture, side=40, channels=channels) for channels in (1, 3))
        assert (one.shape, one.dtype) == ((40, 40, 1), np.uint8)
        assert np.array_equal(three, np.repeat(one, 3, axis=2))
        assert np.array_equal(one, network_input(picture.copy(), side=40))


def test_shrinking_averages_the_area_and_colour_is_read_as_blue_green_red():
    stripes = np.tile(np.array([0, 200], np.uint8), (96, 48))
    assert (network_input(stripes, side=48) == 100).all()
    blue = np.zeros((48, 48, 3), np.uint8)
    blue[..., 0] = 255
    assert (network_input(blue, side=48) == 29).all()


def test_transparent_parts_become_mid_grey_and_half_transparent_ones_are_mixed():
    picture = np.full((1, 3, 4), 255, np.uint8)
    picture[0, :, 3] = (0, 255, 51)
    assert gray(picture).tolist() == [[128, 255, 153]]


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".webp", ".jpg"])
def test_each_format_declares_its_size_and_is_decoded(suffix):
    face = np.full((33, 57), 90, np.uint8)
    data = encoded(face, suffix)
    assert declared_size(data) == (57, 33)
    assert abs(gray(decode_picture(data)).astype(int) - face).max() <= 1
    lossless = cv2.imencode(".webp", face, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    assert declared_size(lossless) == (57, 33)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_transparency_in_a_file_is_kept_and_an_opaque_fourth_channel_is_not(suffix, noise):
    colour = np.dstack([noise(5)] * 4)
    colour[..., 3] = 255
    assert decode_picture(encoded(colour, suffix)).shape == (48, 48, 3)
    colour[:10, :, 3] = 0
    picture = decode_picture(encoded(colour, suffix))
    assert picture.shape == (48, 48, 4)
    assert (gray(picture)[:10] == 128).all()


def test_a_picture_is_turned_as_its_exif_says():
    upright = np.zeros((16, 32), np.uint8)
    upright[:, 16:] = 255
    turned = decode_picture(jpeg_turned(upright, 6))
    assert turned.shape == (32, 16)
    assert turned[:14].max() < 20
    assert turned[18:].min() > 235


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_transparent_picture_is_turned_like_an_opaque_one(kind, orientation, noise):
    opaque = np.dstack([noise(channel, 20, 30) for channel in (1, 2, 3)])
    transparent = np.dstack([opaque, np.full((20, 30), 254, np.uint8)])
    expected = decode_picture(saved_by_pillow(opaque, kind, orientation=orientation))
    found = decode_picture(saved_by_pillow(transparent, kind, orientation=orientation))
    assert found.shape[2] == 4
    np.testing.assert_array_equal(found[:, :, :3], expected)


@pytest.mark.parametrize("exif", [b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"no exif at all"])
def test_exif_data_that_is_none_turns_nothing(exif, noise):
    picture = np.dstack([noise(number, 20, 30) for number in range(4)])
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", exif=exif)
    np.testing.assert_array_equal(decode_picture(out.getvalue())[:, :, [2, 1, 0, 3]], picture)


@pytest.mark.parametrize(("kind", "least_error"), [("AVIF", 12), ("TIFF", 0)])
def test_avif_and_tiff_are_read_in_colour_and_turned_as_their_exif_says_and_half_of_one_is_refused(kind, least_error):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:, 16:] = (250, 120, 10)
    data = saved_by_pillow(upright, kind, orientation=6)
    assert is_picture(data[:12])
    turned = decode_picture(data).astype(int)
    assert turned.shape == (32, 16, 3)
    assert np.abs(turned[18:] - (10, 120, 250)).max() <= least_error
    assert turned[:14].max() <= least_error
    with pytest.raises(UnreadablePictureError, match="damaged"):
        decode_picture(data[: len(data) // 2])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("factor", [257, 16, 1], ids=["16 bits", "12 bits", "8 bits"])
def test_sixteen_bits_look_like_their_eight_bit_twin(kind, factor, noise):
    data = saved_by_pillow(noise(5).astype(np.uint16) * factor, kind)
    np.testing.assert_array_equal(decode_picture(data), noise(5))


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "RGB", "RGBA"])
def test_each_kind_of_colour_is_the_same_gray_as_the_picture_in_rgb(mode, noise):
    picture = Image.fromarray(noise(5))
    for kind in ("TIFF", "PNG") if mode != "CMYK" else ("TIFF", "JPEG"):
        data = io.BytesIO()
        picture.convert(mode).save(data, kind)
        difference = gray(decode_picture(data.getvalue())).astype(int) - noise(5)
        assert abs(difference).max() <= (1 if kind != "JPEG" else 60)


def test_a_transparent_tiff_keeps_its_transparency_and_a_gray_one_is_gray(noise):
    colour = np.dstack([noise(5)] * 4)
    np.testing.assert_array_equal(decode_picture(saved_by_pillow(colour, "TIFF")), colour)
    np.testing.assert_array_equal(decode_picture(saved_by_pillow(noise(5), "TIFF")), noise(5))


def test_a_tiff_of_other_values_is_not_called_damaged(noise):
    with pytest.raises(UnreadablePictureError, match=r"values of another kind \(F\) than 8 or 16 bits"):
        decode_picture(saved_by_pillow(noise(5).astype(np.float32), "TIFF"))


def test_a_heic_picture_is_refused_with_what_reads_it_and_a_damaged_one_as_damaged(monkeypatch):
    data = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf" + bytes(200)
    assert is_picture(data[:12])
    if find_spec("pillow_heif"):
        with pytest.raises(UnreadablePictureError, match="damaged"):
            decode_picture(data)
    monkeypatch.setattr(picture_header, "find_spec", lambda name: None)
    with pytest.raises(UnreadablePictureError, match="HEIC, which needs `pip install pillow-heif`"):
        decode_picture(data)


def test_an_avif_picture_that_names_its_brand_last_is_read():
    picture = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    data = saved_by_pillow(picture, "AVIF")
    assert data[8:12] == b"avif" and b"mif1" in data[16:32]
    assert decode_picture(data[:8] + b"mif1" + data[12:]).shape == (16, 16, 3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (png_that_declares(100_000, 100_000), "100000 x 100000 pixels, more than 100 megapixels"),
        *(
            (data, "not a JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF picture, or damaged")
            for data in (b"\xff\xd8\xff", b"BM", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBPVP8X", b"GIF89a")
        ),
    ],
    ids=range(7),
)
def test_what_is_no_picture_or_far_too_large_is_refused_before_it_is_decoded(data, reason):
    with pytest.raises(UnreadablePictureError, match=reason):
        decode_picture(data)


@pytest.mark.parametrize(
    ("suffix", "reason"), [(".jpg", "cut short"), (".png", "cut short"), (".bmp", "damaged"), (".webp", "damaged")]
)
def test_half_a_file_is_refused(suffix, reason, noise):
    data = encoded(noise(7), suffix)
    with pytest.raises(UnreadablePictureError, match=reason):
        decode_picture(data[: len(data) // 2])


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_picture_of_16_bits_is_what_its_values_of_fewer_bits_show(noise, bits, channels):
    picture = noise(1) if channels == 1 else np.dstack([noise(number) for number in range(channels)])
    picture.flat[0] = 255
    deep = picture.astype(np.uint16) << (bits - 8)
    if channels == 4:
        deep[:, :, 3] = picture[:, :, 3].astype(np.uint16) << 8
    assert np.array_equal(decode_picture(encoded(deep)), picture)


def test_a_jpeg_that_lacks_its_end_mark_only_is_whole(noise):
    data = encoded(noise(1, 90, 90), ".jpg")
    assert data.endswith(b"\xff\xd9")
    assert np.array_equal(decode_picture(data[:-2]), decode_picture(data))
    for missing in (4, 40, 400):
        with pytest.raises(UnreadablePictureError, match="cut short"):
            decode_picture(data[:-missing])
