"""What a picture file says of itself before anything is decoded. Knows JPEG, PNG, BMP and WebP; Pillow knows more."""

import struct

from fer_core.data.pillow_formats import is_pillows, size_by_pillow

JPEG, PNG, BMP, WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"WEBP"
JPEG_END = b"\xff\xd9"
_MARKERS_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
"""By the colour type; a palette becomes colours."""
_ORIENTATION = 0x0112
_START_OF_FRAME = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ONE_SCAN = {0xC0, 0xC1}


def declared_size(data: bytes) -> tuple[int, int] | None:
    """Returns (width, height) in pixels as the file's header states them, or None where it is none of the formats."""
    try:
        if data.startswith(JPEG):
            return _jpeg_size(data)
        if data.startswith(PNG):
            return struct.unpack_from(">II", data, 16)
        if data.startswith(BMP):
            return _bmp_size(data)
        if data[:4] == b"RIFF" and data[8:12] == WEBP:
            return _webp_size(data)
    except (struct.error, IndexError):
        return None
    return size_by_pillow(data) if is_pillows(data[:12]) else None


def is_picture(head: bytes) -> bool:
    """Returns whether a file that begins with these 12 bytes is a picture that can be decoded."""
    is_webp = head[:4] == b"RIFF" and head[8:12] == WEBP
    # Text may begin with BM too; a BMP has four zeros after its size.
    is_bmp = head.startswith(BMP) and head[6:10] == bytes(4)
    return head.startswith((JPEG, PNG)) or is_webp or is_bmp or is_pillows(head)


def bytes_per_pixel(data: bytes) -> int:
    """Returns how many bytes a pixel of the decoded file takes, at most: a PNG may have two for each channel."""
    if data.startswith(PNG) and len(data) > 25:
        return _PNG_CHANNELS.get(data[25], 4) * (2 if data[24] == 16 else 1)
    return 4 if may_be_transparent(data) else 3


def may_be_transparent(data: bytes) -> bool:
    """Returns whether a fourth channel is transparency that is meant. In a BMP it is mostly padding of zeros."""
    return data.startswith(PNG) or data[8:12] == WEBP


def exif_orientation(exif: bytes) -> int:
    """Returns how a picture is turned, 1 (not at all) to 8, as EXIF data (a TIFF header and its table) says."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (table,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, table)
        found = (struct.unpack_from(f"{order}HHIH", exif, table + 2 + 12 * place) for place in range(entries))
        return next((value for tag, _, _, value in found if tag == _ORIENTATION and 1 <= value <= 8), 1)
    except struct.error:
        return 1


def is_cut_short(data: bytes) -> bool:
    """Returns whether a JPEG or PNG lacks its end. OpenCV fills what is missing with grey or black and says nothing."""
    if data.startswith(JPEG):
        # The end mark of an embedded thumbnail stands before the scan of the picture itself.
        return data.rfind(JPEG_END) < data.rfind(b"\xff\xda")
    return data.startswith(PNG) and b"IEND" not in data


def is_progressive(data: bytes) -> bool:
    """Returns whether a JPEG with a readable header has several scans, each of which makes the picture finer."""
    return data[_jpeg_frame(data) + 1] not in _ONE_SCAN


def _jpeg_size(data: bytes) -> tuple[int, int]:
    height, width = struct.unpack_from(">HH", data, _jpeg_frame(data) + 5)
    return width, height


def _jpeg_frame(data: bytes) -> int:
    """Returns where the marker of the picture's frame stands. Raises IndexError, struct.error."""
    position = 2
    while True:
        marker = data[position + 1]
        if data[position] != 0xFF:
            raise IndexError("no marker where one must stand")
        if marker in _START_OF_FRAME:
            return position
        position += _jpeg_segment_length(data, position, marker)


def _jpeg_segment_length(data: bytes, position: int, marker: int) -> int:
    if marker == 0xFF:
        return 1
    if marker in _MARKERS_WITHOUT_LENGTH:
        return 2
    return 2 + struct.unpack_from(">H", data, position + 2)[0]


def _bmp_size(data: bytes) -> tuple[int, int]:
    header_bytes = struct.unpack_from("<I", data, 14)[0]
    if header_bytes == 12:
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)


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
