"""A face picture becomes a network's input in one way: the data decoder and the live path both call `network_input`.

Finds no faces and crops nothing.
"""

import io

import cv2
import numpy as np

from fer_core.data.picture_header import (
    JPEG,
    JPEG_END,
    declared_size,
    exif_orientation,
    is_cut_short,
    is_progressive,
    may_be_transparent,
)
from fer_core.data.pillow_formats import decoded_by_pillow, is_pillows, lacks_heif
from fer_core.errors import DatasetError

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: a file of a few kilobytes can declare terabytes."""

MAX_FILE_BYTES = 256 * 1024 * 1024
"""No picture of up to 100 megapixels that anybody trains on is larger; reading on would only fill the memory."""

BACKGROUND = 128
"""Grey behind transparent pixels. On black or white a cut-out face gets a hard outline that no camera shows."""

_BAND_PIXELS = 2**18

_TURNED = {
    2: lambda picture: cv2.flip(picture, 1),
    3: lambda picture: cv2.rotate(picture, cv2.ROTATE_180),
    4: lambda picture: cv2.flip(picture, 0),
    5: cv2.transpose,
    6: lambda picture: cv2.rotate(picture, cv2.ROTATE_90_CLOCKWISE),
    7: lambda picture: cv2.rotate(cv2.transpose(picture), cv2.ROTATE_180),
    8: lambda picture: cv2.rotate(picture, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
"""By the orientation in EXIF data; 1 is upright."""


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
    """Returns the picture in a JPEG, PNG, BMP, WebP, AVIF, HEIC or TIFF file's bytes, turned as its EXIF says.

    Returns:
        uint8, gray (height, width), BGR (height, width, 3), or BGRA (height, width, 4) where it is partly transparent.

    Raises:
        UnreadablePictureError: another format, damaged, cut short, or more than `MAX_PIXELS`.
    """
    _refuse_before_decoding(data)
    if is_cut_short(data):
        data = _ended(data)
    if is_pillows(data[:12]):
        picture = decoded_by_pillow(data)
    elif (picture := _partly_transparent(data)) is None:
        picture = _decoded(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if picture is None:
        raise UnreadablePictureError("damaged")
    return _eight_bits(picture)


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    """Returns uint8 of a picture of 16 bits, many of which hold values of a camera's 12 bits, or of 8, only."""
    if picture.dtype != np.uint16:
        return picture
    largest = int(picture.max())
    surplus = next(bits for bits in (0, 4, 8) if largest < 256 << bits)
    return (picture >> surplus).astype(np.uint8)


def _refuse_before_decoding(data: bytes) -> None:
    if not data:
        raise UnreadablePictureError("empty file")
    if lacks_heif(data[:12]):
        raise UnreadablePictureError("HEIC, which needs `pip install pillow-heif`")
    size = declared_size(data)
    if size is None:
        raise UnreadablePictureError("not a JPEG, PNG, BMP or WebP picture, or damaged")
    if size[0] * size[1] > MAX_PIXELS:
        raise UnreadablePictureError(f"{size[0]} x {size[1]} pixels, more than {MAX_PIXELS // 1_000_000} megapixels")


def _ended(data: bytes) -> bytes:
    """Returns a JPEG with its end mark, which some cameras and downloads leave out. Raises UnreadablePictureError.

    It holds the whole picture if nothing that follows changes a pixel. Pillow decodes here: it says nothing of extra
    bytes, where OpenCV prints a warning for each.
    """
    if data.startswith(JPEG) and not is_progressive(data):
        one, other = (_pixels(data + more * 64 + JPEG_END) for more in (b"\x00", b"\xaa"))
        if one is not None and one == other:
            return data + JPEG_END
    raise UnreadablePictureError("cut short")


def _pixels(data: bytes) -> bytes | None:
    from PIL import Image

    try:
        return Image.open(io.BytesIO(data)).tobytes()
    except (OSError, ValueError):
        return None


def _partly_transparent(data: bytes) -> np.ndarray | None:
    """Returns BGRA where some pixel is not opaque. An opaque picture is left to the other path."""
    if not may_be_transparent(data):
        return None
    try:
        flags = cv2.IMREAD_UNCHANGED  # which leaves the picture as it lies in the file, whatever its EXIF says
        picture, kinds, metadata = cv2.imdecodeWithMetadata(np.frombuffer(data, np.uint8), flags=flags)
    except cv2.error:
        return None
    if picture is None or picture.ndim != 3 or picture.shape[2] != 4:
        return None
    if picture.dtype == np.uint16:
        opacity = (picture[:, :, 3:] >> 8).astype(np.uint8)
        picture = np.concatenate([_eight_bits(picture[:, :, :3]), opacity], axis=2)
    if picture[:, :, 3].min() == 255:
        return None
    exif = [bytes(found) for kind, found in zip(kinds, metadata, strict=True) if kind == cv2.IMAGE_METADATA_EXIF]
    turned = _TURNED.get(exif_orientation(exif[0]) if exif else 1)
    return turned(picture) if turned else picture


def _decoded(data: bytes, flags: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
