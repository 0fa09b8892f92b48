"""A face picture becomes a network's input in one way: the data decoder and the live path both call `network_input`.

Decodes picture files, after a look at what they declare. OpenCV reads JPEG, PNG, BMP and WebP; Pillow reads AVIF, HEIC
(with pillow-heif, the extra `heif`) and TIFF, of which OpenCV reads some in part. Finds no faces and crops nothing.
"""

import contextlib
import io
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_core.errors import DatasetError

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: a file of a few kilobytes can declare terabytes."""
MAX_FILE_BYTES = 256 * 1024 * 1024
"""No picture of up to 100 megapixels that anybody trains on is larger; reading on would only fill the memory."""
BACKGROUND = 128
"""Grey behind transparent pixels. On black or white a cut-out face gets a hard outline that no camera shows."""

JPEG, PNG, _BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"
_JPEG_END, _JPEG_SCAN = b"\xff\xd9", b"\xff\xda"
_MARKERS_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ONE_SCAN = {0xC0, 0xC1}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
"""By the colour type; a palette becomes colours."""
_BRANDS = {b"avif": "AVIF", **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1"), "HEIF")}
"""Of pictures alone: films have other brands, also those in the same formats (hevc, msf1, avis)."""
_EIGHT_BITS = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB")
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, TypeError, LookupError, struct.error)
"""What Pillow raises of files that are damaged or hostile, by format."""
_ORIENTATION = 0x0112
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


def is_picture(head: bytes) -> bool:
    """Returns whether a file that begins with these 12 bytes is a picture that can be decoded."""
    # Text may begin with BM too; a BMP has four zeros after its size.
    is_bmp = head.startswith(_BMP) and head[6:10] == bytes(4)
    return head.startswith((JPEG, PNG)) or is_bmp or _is_webp(head) or _pillow_format(head) is not None


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) in pixels as the file's header states them, or None where it is none of the formats.

    What OpenCV decodes is not shown to Pillow, which refuses other files, and takes longer than decoding a small face.
    """
    try:
        if data.startswith(JPEG):
            height, width = struct.unpack_from(">HH", data, _jpeg_frame(data) + 5)
            return width, height
        if data.startswith(PNG):
            return struct.unpack_from(">II", data, 16)
        if data.startswith(_BMP):
            is_first_version = struct.unpack_from("<I", data, 14)[0] == 12
            width, height = struct.unpack_from("<HH" if is_first_version else "<ii", data, 18)
            return abs(width), abs(height)
        if _is_webp(data):
            return _webp_size(data)
        if _pillow_format(data) is None or _lacks_heif(data):
            return None
        with _opened(data) as image:
            return image.size
    except _DAMAGE:
        return None


def bytes_per_pixel(data: bytes) -> int:
    """Returns how many bytes a pixel of the decoded file takes, at most: a PNG may have two for each channel."""
    if data.startswith(PNG) and len(data) > 25:
        return _PNG_CHANNELS.get(data[25], 4) * (2 if data[24] == 16 else 1)
    return 4 if _may_be_transparent(data) else 3


def decode_picture(data: bytes) -> np.ndarray:
    """Returns the picture in a JPEG, PNG, BMP, WebP, AVIF, HEIC or TIFF file's bytes, turned as its EXIF says.

    Returns:
        uint8, gray (height, width), BGR (height, width, 3), or BGRA (height, width, 4) where it is partly transparent.

    Raises:
        UnreadablePictureError: another format, damaged, cut short, or more than `MAX_PIXELS`.
    """
    _refuse_before_decoding(data)
    if data.startswith(JPEG) and data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN):
        # The end mark of an embedded thumbnail stands before the scan of the picture itself.
        data = _ended(data)
    if data.startswith(PNG) and b"IEND" not in data:
        raise UnreadablePictureError("cut short")  # OpenCV fills what is missing and says nothing
    try:
        picture = _decoded(data)
    except (*_DAMAGE, cv2.error):
        picture = None
    if picture is None:
        raise UnreadablePictureError("damaged")
    return _eight_bits(picture)


def _refuse_before_decoding(data: bytes) -> None:
    if not data:
        raise UnreadablePictureError("empty file")
    if _lacks_heif(data):
        raise UnreadablePictureError("HEIC, which needs `pip install pillow-heif`")
    size = declared_size(data)
    if size is None:
        raise UnreadablePictureError("not a JPEG, PNG, BMP or WebP picture, or damaged")
    if size[0] * size[1] > MAX_PIXELS:
        raise UnreadablePictureError(f"{size[0]} x {size[1]} pixels, more than {MAX_PIXELS // 1_000_000} megapixels")


def _ended(data: bytes) -> bytes:
    """Returns a JPEG with its end mark, which some cameras and downloads leave out. Raises UnreadablePictureError.

    It holds the whole picture if nothing that follows changes a pixel; of a progressive one, each scan makes it finer.
    Pillow decodes here: it says nothing of extra bytes, where OpenCV prints a warning for each.
    """
    from PIL import Image

    if data[_jpeg_frame(data) + 1] in _ONE_SCAN:
        try:
            one, other = (Image.open(io.BytesIO(data + more * 64 + _JPEG_END)).tobytes() for more in (b"\0", b"\xaa"))
        except (OSError, ValueError):
            raise UnreadablePictureError("cut short") from None
        if one == other:
            return data + _JPEG_END
    raise UnreadablePictureError("cut short")


def _decoded(data: bytes) -> np.ndarray | None:
    if _pillow_format(data):
        return _decoded_by_pillow(data)
    if _may_be_transparent(data) and (picture := _partly_transparent(data)) is not None:
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
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    orientation = 1
    with contextlib.suppress(struct.error):
        (table,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, table)
        found = (struct.unpack_from(f"{order}HHIH", exif, table + 2 + 12 * place) for place in range(entries))
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


def _decoded_by_pillow(data: bytes) -> np.ndarray | None:
    """Returns the first picture, turned as its EXIF says; None where it has more than 8 bits a channel."""
    from PIL import ImageOps

    with _opened(data) as stored:
        if stored.mode not in _EIGHT_BITS:
            return None
        image = ImageOps.exif_transpose(stored)
        if image.mode in ("1", "L"):
            return np.asarray(image.convert("L"))
        if not image.has_transparency_data:
            return cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR)
        picture = cv2.cvtColor(np.asarray(image.convert("RGBA")), cv2.COLOR_RGBA2BGRA)
        return picture if picture[:, :, 3].min() < 255 else np.ascontiguousarray(picture[:, :, :3])


def _opened(data: bytes) -> "Image":
    from PIL import Image

    kind = _pillow_format(data)
    if kind == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    try:
        return Image.open(io.BytesIO(data), formats=(kind,))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None


def _pillow_format(head: bytes) -> str | None:
    """Returns what Pillow calls the format of a file that begins so; None where it is not Pillow that reads it."""
    if head.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    return _BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None


def _lacks_heif(head: bytes) -> bool:
    return _pillow_format(head) == "HEIF" and find_spec("pillow_heif") is None


def _is_webp(head: bytes) -> bool:
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def _may_be_transparent(data: bytes) -> bool:
    """Returns whether a fourth channel is transparency that is meant. In a BMP it is mostly padding of zeros."""
    return data.startswith(PNG) or _is_webp(data)


def _jpeg_frame(data: bytes) -> int:
    """Returns where the marker of the picture's frame stands. Raises IndexError, struct.error."""
    position = 2
    while True:
        marker = data[position + 1]
        if data[position] != 0xFF:
            raise IndexError("no marker where one must stand")
        if marker in _START_OF_FRAME:
            return position
        if marker == 0xFF:
            position += 1
        elif marker in _MARKERS_WITHOUT_LENGTH:
            position += 2
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if len(data) < 30:
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
