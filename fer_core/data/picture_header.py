"""What a picture file says of itself before anything is decoded. Knows JPEG, PNG, BMP and WebP."""

import struct

JPEG, PNG, BMP, WEBP = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"WEBP"
JPEG_END = b"\xff\xd9"
_MARKERS_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_PNG_CHANNELS = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
"""By the colour type; a palette becomes colours."""
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
    return None


def bytes_per_pixel(data: bytes) -> int:
    """Returns how many bytes a pixel of the decoded file takes, at most: a PNG may have two for each channel."""
    if data.startswith(PNG) and len(data) > 25:
        return _PNG_CHANNELS.get(data[25], 4) * (2 if data[24] == 16 else 1)
    return 4 if may_be_transparent(data) else 3


def may_be_transparent(data: bytes) -> bool:
    """Returns whether a fourth channel is transparency that is meant. In a BMP it is mostly padding of zeros."""
    return data.startswith(PNG) or data[8:12] == WEBP


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
