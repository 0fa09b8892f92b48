"""A face picture becomes a network's input in one way: the data decoder and the live path both call `network_input`.

Finds no faces and crops nothing.
"""

import cv2
import numpy as np

from fer_core.data.picture_header import declared_size, is_cut_short, may_be_transparent
from fer_core.errors import DatasetError

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: a file of a few kilobytes can declare terabytes."""

BACKGROUND = 128
"""Grey behind transparent pixels. On black or white a cut-out face gets a hard outline that no camera shows."""

_BAND_PIXELS = 2**18


class UnreadablePictureError(DatasetError):
    """One picture that cannot be decoded; the text says why."""


def network_input(picture: np.ndarray, *, side: int, channels: int = 1) -> np.ndarray:
    """Returns the picture as the network sees it: gray, resized to a square, one channel or the same one three times.

    Args:
        picture: uint8, gray (height, width) or (height, width, 1), BGR (…, 3) or BGRA (…, 4), any size.
        side: of the result, in pixels. Area interpolation when shrinking, cubic when enlarging.
        channels: 1 or 3.

    Returns:
        uint8 (side, side, channels), 0..255.
    """
    face_gray = gray(np.ascontiguousarray(picture))
    if face_gray.shape != (side, side):
        shrinks = max(face_gray.shape) > side
        face_gray = cv2.resize(face_gray, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.repeat(face_gray[:, :, np.newaxis], channels, axis=2)


def gray(picture: np.ndarray) -> np.ndarray:
    """Returns uint8 (height, width) of a gray, BGR or BGRA picture; transparent parts become mid-grey."""
    if picture.ndim == 2:
        return picture
    if picture.shape[2] == 1:
        return picture[:, :, 0]
    if picture.shape[2] == 3:
        return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return on_background(cv2.cvtColor(picture, cv2.COLOR_BGRA2GRAY), picture[:, :, 3])


def on_background(picture: np.ndarray, opacity: np.ndarray) -> np.ndarray:
    """Returns a picture laid over mid-grey, in bands of rows: floats of 100 megapixels at once would take gigabytes.

    Args:
        picture: uint8 (height, width) or (height, width, 3).
        opacity: uint8 (height, width) or (height, width, 1), as many dimensions as the picture; 255 hides the grey.

    Returns:
        uint8, shaped like the picture.
    """
    result = np.empty(picture.shape, np.uint8)
    rows = max(1, _BAND_PIXELS // max(1, picture.shape[1]))
    for top in range(0, len(picture), rows):
        band = slice(top, top + rows)
        share = opacity[band].astype(np.float32) / 255
        result[band] = np.rint(picture[band] * share + BACKGROUND * (1 - share))
    return result


def decode_picture(data: bytes) -> np.ndarray:
    """Returns the picture in a JPEG, PNG, BMP or WebP file's bytes, turned as its EXIF orientation says.

    Returns:
        uint8, gray (height, width), BGR (height, width, 3), or BGRA (height, width, 4) where it is partly transparent.

    Raises:
        UnreadablePictureError: another format, damaged, cut short, or more than `MAX_PIXELS`.
    """
    _refuse_before_decoding(data)
    picture = _partly_transparent(data)
    if picture is None:
        picture = _decoded(data, cv2.IMREAD_ANYCOLOR)
    if picture is None:
        raise UnreadablePictureError("damaged")
    return picture


def _refuse_before_decoding(data: bytes) -> None:
    if not data:
        raise UnreadablePictureError("empty file")
    size = declared_size(data)
    if size is None:
        raise UnreadablePictureError("not a JPEG, PNG, BMP or WebP picture, or damaged")
    if size[0] * size[1] > MAX_PIXELS:
        raise UnreadablePictureError(f"{size[0]} x {size[1]} pixels, more than {MAX_PIXELS // 1_000_000} megapixels")
    if is_cut_short(data):
        raise UnreadablePictureError("cut short")


def _partly_transparent(data: bytes) -> np.ndarray | None:
    """Returns BGRA where some pixel is not opaque. An opaque picture is left to the other path: this ignores EXIF."""
    if not may_be_transparent(data):
        return None
    picture = _decoded(data, cv2.IMREAD_UNCHANGED)
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        return None
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    return picture if picture[:, :, 3].min() < 255 else None


def _decoded(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
