"""AVIF, HEIC and TIFF pictures: OpenCV reads them in part, or as it may; Pillow reads them whole and knows their EXIF.

HEIC needs pillow-heif beside Pillow (the extra `heif`).
"""

import io
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")
_AVIF_BRAND = b"avif"
"""Pictures alone: films have other brands, also those in the same formats (hevc, msf1, avis)."""
_TIFF = (b"II*\0", b"MM\0*")
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB")
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, TypeError, LookupError, struct.error)
"""What Pillow raises of files that are damaged or hostile, by format."""


def is_pillows(head: bytes) -> bool:
    """Returns whether a file that begins with these 12 bytes is a picture for Pillow."""
    return head.startswith(_TIFF) or (head[4:8] == b"ftyp" and head[8:12] in (*_HEIC_BRANDS, _AVIF_BRAND))


def lacks_heif(head: bytes) -> bool:
    """Returns whether it is a HEIC picture, and pillow-heif is not installed."""
    return head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS and find_spec("pillow_heif") is None


def size_by_pillow(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) in pixels, decoding nothing; None where the file is damaged."""
    if lacks_heif(data[:12]):
        return None
    try:
        with _opened(data) as image:
            return image.size
    except _DAMAGE:
        return None


def decoded_by_pillow(data: bytes) -> np.ndarray | None:
    """Returns the first picture, turned as its EXIF says; None where it is damaged, or has more than 8 bits a channel.

    Returns:
        uint8, gray (height, width), BGR (height, width, 3), or BGRA (height, width, 4) where it is partly transparent.
    """
    from PIL import ImageOps

    try:
        with _opened(data) as image:
            if image.mode not in _EIGHT_BITS:
                return None
            return _pixels(ImageOps.exif_transpose(image))
    except _DAMAGE:
        return None


def _opened(data: bytes) -> "Image":
    from PIL import Image

    name = "TIFF" if data.startswith(_TIFF) else "AVIF" if data[8:12] == _AVIF_BRAND else "HEIF"
    if name == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    try:
        return Image.open(io.BytesIO(data), formats=(name,))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None


def _pixels(image: "Image") -> np.ndarray:
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    if image.has_transparency_data:
        picture = cv2.cvtColor(np.asarray(image.convert("RGBA")), cv2.COLOR_RGBA2BGRA)
        return picture if picture[:, :, 3].min() < 255 else np.ascontiguousarray(picture[:, :, :3])
    return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)
