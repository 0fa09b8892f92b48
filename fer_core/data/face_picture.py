"""A face picture becomes a network's input in one way: the data decoder and the live path both call `network_input`.

Finds no faces and crops nothing.
"""

import contextlib
import io
import struct

import cv2
import numpy as np

from fer_core.data import picture_header
from fer_core.errors import DatasetError

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: a file of a few kilobytes can declare terabytes."""
MAX_FILE_BYTES = 256 * 1024 * 1024
"""No picture of up to 100 megapixels that anybody trains on is larger; reading on would only fill the memory."""
BACKGROUND = 128
"""Grey behind transparent pixels. On black or white a cut-out face gets a hard outline that no camera shows."""

_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"
_ONE_SCAN = {0xC0, 0xC1}
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB")
_SIXTEEN_BITS = "I;16"
_TIFF_MARK, _ORIENTATION = 42, 0x0112
_BAND_PIXELS = 2**18


class UnreadablePictureError(DatasetError):
    """One picture that cannot be decoded; the text says why."""


def network_input(picture: np.ndarray, *, side: int, channels: int = 1, colours: str = "gray") -> np.ndarray:
    """Returns the picture as the network sees it, resized to a square.

    Args:
        picture: uint8, gray (height, width) or (height, width, 1), BGR (…, 3) or BGRA (…, 4), any size.
        side: of the result, in pixels. Area interpolation when shrinking, cubic when enlarging.
        channels: 1 or 3.
        colours: what three channels are: "gray" (the same three times), "rgb" or "bgr".

    Returns:
        uint8 (side, side, channels), 0..255.
    """
    face = gray(np.ascontiguousarray(picture))
    if colours != "gray":
        face = in_colours(np.ascontiguousarray(picture), colours)
    if face.shape[:2] != (side, side):
        shrinks = max(face.shape[:2]) > side
        face = cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return face if face.ndim == 3 else np.repeat(face[:, :, np.newaxis], channels, axis=2)


def in_colours(picture: np.ndarray, colours: str) -> np.ndarray:
    """Returns a picture, gray, BGR or BGRA, as uint8 (height, width, 3) in "rgb" or "bgr"."""
    if picture.ndim == 2 or picture.shape[2] == 1:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    if picture.shape[2] == 4:
        picture = on_background(picture[:, :, :3], picture[:, :, 3:])
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if colours == "rgb" else picture


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
    """Returns the picture in the bytes of a file (`PICTURES_READ`, or HEIC with pillow-heif), turned as its EXIF says.

    Returns:
        uint8, gray (height, width), BGR (height, width, 3), or BGRA (height, width, 4) where it is partly transparent.

    Raises:
        UnreadablePictureError: another format, damaged, cut short, or more than `MAX_PIXELS`.
    """
    _refuse_before_decoding(data)
    if data.startswith(picture_header.JPEG) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        # The end mark of an embedded thumbnail stands before the scan of the picture itself.
        data = _ended(data)
    if data.startswith(picture_header.PNG) and b"IEND" not in data:
        raise UnreadablePictureError("cut short")  # OpenCV fills what is missing and says nothing
    try:
        picture = _decoded(data)
    except (*picture_header.DAMAGE, cv2.error):
        picture = None
    if picture is None:
        raise UnreadablePictureError("damaged")
    return _eight_bits(picture)


def _refuse_before_decoding(data: bytes) -> None:
    if not data:
        raise UnreadablePictureError("empty file")
    if picture_header.lacks_heif(data):
        raise UnreadablePictureError("HEIC, which needs `pip install pillow-heif`")
    size = picture_header.declared_size(data)
    if size is None:
        raise UnreadablePictureError(f"not a {picture_header.PICTURES_READ} picture, or damaged")
    if size[0] * size[1] > MAX_PIXELS:
        raise UnreadablePictureError(f"{size[0]} x {size[1]} pixels, more than {MAX_PIXELS // 1_000_000} megapixels")


def _ended(data: bytes) -> bytes:
    """Returns a JPEG with its end mark, which some cameras and downloads leave out. Raises UnreadablePictureError.

    It holds the whole picture if nothing that follows changes a pixel; of a progressive one, each scan makes it finer.
    Pillow decodes here: it says nothing of extra bytes, where OpenCV prints a warning for each.
    """
    from PIL import Image

    if data[picture_header.jpeg_frame(data) + 1] in _ONE_SCAN:
        try:
            one, other = (Image.open(io.BytesIO(data + more * 64 + _JPEG_END)).tobytes() for more in (b"\0", b"\xaa"))
        except (OSError, ValueError):
            raise UnreadablePictureError("cut short") from None
        if one == other:
            return data + _JPEG_END
    raise UnreadablePictureError("cut short")


def _decoded(data: bytes) -> np.ndarray | None:
    if picture_header.pillow_format(data):
        return _decoded_by_pillow(data)
    # In a BMP a fourth channel is mostly padding of zeros.
    if (data.startswith(picture_header.PNG) or picture_header.is_webp(data)) and (
        picture := _partly_transparent(data)
    ) is not None:
        return picture
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)


def _partly_transparent(data: bytes) -> np.ndarray | None:
    """Returns BGRA where some pixel is not opaque. An opaque picture is left to the other path."""
    flags = cv2.IMREAD_UNCHANGED  # which leaves the picture as it lies in the file, whatever its EXIF says
    try:
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
    return _turned(picture, exif[0]) if exif else picture


def _turned(picture: np.ndarray, exif: bytes) -> np.ndarray:
    """Returns the picture turned as the entry for its orientation says, 1 (not at all) to 8, in a TIFF's table."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = "<" if exif.startswith(b"II*\0") else ">"
    orientation = 1
    with contextlib.suppress(struct.error):
        mark, table = struct.unpack_from(f"{order}HI", exif, 2)
        (entries,) = struct.unpack_from(f"{order}H", exif, table)
        found = (struct.unpack_from(f"{order}HHIH", exif, table + 2 + 12 * place) for place in range(entries))
        if mark == _TIFF_MARK:
            orientation = next((value for tag, _, _, value in found if tag == _ORIENTATION and 1 <= value <= 8), 1)
    if orientation > 4:
        picture = picture.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


def _eight_bits(picture: np.ndarray) -> np.ndarray:
    """Returns uint8 of a picture of 16 bits, many of which hold values of a camera's 12 bits, or of 8, only."""
    if picture.dtype != np.uint16:
        return picture
    largest = int(picture.max())
    surplus = next(bits for bits in (0, 4, 8) if largest < 256 << bits)
    return (picture >> surplus).astype(np.uint8)


def _decoded_by_pillow(data: bytes) -> np.ndarray:
    """Returns the first picture, turned as its EXIF says. Raises UnreadablePictureError: its values are others."""
    from PIL import ImageOps

    with picture_header.opened_by_pillow(data) as stored:
        if stored.mode.startswith(_SIXTEEN_BITS):
            return np.asarray(ImageOps.exif_transpose(stored)).astype(np.uint16)
        if stored.mode not in _EIGHT_BITS:
            raise UnreadablePictureError(f"values of another kind ({stored.mode}) than 8 or 16 bits")
        image = ImageOps.exif_transpose(stored)
        if image.mode in ("1", "L"):
            return np.asarray(image.convert("L"))
        if not image.has_transparency_data:
            return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)
        picture = cv2.cvtColor(np.asarray(image.convert("RGBA")), cv2.COLOR_RGBA2BGRA)
        return picture if picture[:, :, 3].min() < 255 else np.ascontiguousarray(picture[:, :, :3])
