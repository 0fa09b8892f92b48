"""What a picture file says of itself before anything is decoded, and who decodes it.

OpenCV reads JPEG, PNG, BMP and WebP; Pillow reads AVIF, HEIC (with pillow-heif, the extra `heic`), the first frame of a
GIF, and TIFF, of which OpenCV reads some in part.
"""

import contextlib
import io
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES_READ = "JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF"
HEAD_BYTES = 12
"""By which a picture is recognised."""
_MOST_GIF_BYTES = 2**26
JPEG, PNG, _BMP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM"
DAMAGE = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, TypeError, LookupError, struct.error)
"""What Pillow raises of files that are damaged or hostile, by format."""
_MARKERS_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
"""By the colour type; a palette becomes colours."""
_BRANDS = {b"avif": "AVIF", **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"mif1"), "HEIF")}
"""Of pictures alone: films have other brands, also those in the same formats (hevc, msf1, avis)."""


def is_picture(head: bytes) -> bool:
    """Returns whether a file that begins with these `HEAD_BYTES` is a picture that can be decoded."""
    # Text may begin with BM too; a BMP has four zeros after its size.
    is_bmp = head.startswith(_BMP) and head[6:10] == bytes(4)
    return head.startswith((JPEG, PNG)) or is_bmp or is_webp(head) or pillow_format(head) is not None


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) in pixels as the file's header states them, or None where it is none of the formats.

    What OpenCV decodes is not shown to Pillow, which refuses other files, and takes longer than decoding a small face.
    """
    try:
        if data.startswith(JPEG):
            height, width = struct.unpack_from(">HH", data, jpeg_frame(data) + 5)
            return width, height
        if data.startswith(PNG):
            return struct.unpack_from(">II", data, 16)
        if data.startswith(_BMP):
            is_first_version = struct.unpack_from("<I", data, 14)[0] == 12
            width, height = struct.unpack_from("<HH" if is_first_version else "<ii", data, 18)
            return abs(width), abs(height)
        if is_webp(data):
            return _webp_size(data)
        if pillow_format(data) is None or lacks_heif(data):
            return None
        with opened_by_pillow(data) as image:
            return image.size
    except DAMAGE:
        return None


def bytes_per_pixel(data: bytes) -> int:
    """Returns how many bytes a pixel of the decoded file takes, at most: a PNG may have two for each channel."""
    if data.startswith(PNG):
        return _PNG_CHANNELS.get(data[25], 4) * (2 if data[24] == 16 else 1) if len(data) > 25 else 4
    return 4 if is_webp(data) else 3


def is_animated(path: Path) -> bool:
    """Returns whether a file is a GIF of several frames, which is a film where one is wanted. Raises OSError."""
    with path.open("rb") as file:
        if pillow_format(head := file.read(HEAD_BYTES)) != "GIF":
            return False
        with contextlib.suppress(*DAMAGE):
            return opened_by_pillow(head + file.read(_MOST_GIF_BYTES)).n_frames > 1
    return False


def opened_by_pillow(data: bytes) -> "Image":
    """Returns the picture, of which nothing is decoded yet. Raises DAMAGE."""
    from PIL import Image

    kind = pillow_format(data)
    if kind == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    try:
        return Image.open(io.BytesIO(data), formats=(kind,))
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from None


def pillow_format(head: bytes) -> str | None:
    """Returns what Pillow calls the format of a file that begins so; None where it is not Pillow that reads it."""
    if head.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if head[4:8] != b"ftyp":
        return None
    # Of a brand that says no more than "pictures", the others that are listed tell which.
    return "AVIF" if head[8:12] == b"mif1" and b"avif" in head[16:64] else _BRANDS.get(head[8:12])


def lacks_heif(head: bytes) -> bool:
    """Returns whether it is a HEIC picture, and pillow-heif is not installed."""
    return pillow_format(head) == "HEIF" and find_spec("pillow_heif") is None


def is_webp(head: bytes) -> bool:
    """Returns whether a file that begins with these 12 bytes is a WebP picture."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def jpeg_frame(data: bytes) -> int:
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
