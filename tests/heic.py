"""Writes a HEIC picture that is made of tiles, as phones save them: four coded pictures, and a grid that joins them."""

import io
import struct

from PIL import Image


def _box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, version: int, flags: int, *content: bytes) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *content)


def _coded(tile: Image.Image) -> tuple[bytes, bytes]:
    """Returns the settings and the data of a coded picture, out of a file with nothing but that."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    out = io.BytesIO()
    tile.save(out, "HEIF", quality=90)
    data = out.getvalue()
    found = []
    for kind in (b"hvcC", b"mdat"):
        start = data.rindex(kind) - 4
        found.append(data[start : start + struct.unpack_from(">I", data, start)[0]])
    return found[0], found[1][8:]


def heic_of_tiles(picture: Image.Image) -> bytes:
    """Returns a file of 2 x 2 tiles."""
    width, height = picture.width // 2, picture.height // 2
    corners = [(left, top) for top in (0, height) for left in (0, width)]
    coded = [_coded(picture.crop((left, top, left + width, top + height))) for left, top in corners]
    grid = struct.pack(">BBBBHH", 0, 0, 1, 1, picture.width, picture.height)
    entries = [_full(b"infe", 2, 1, struct.pack(">HH4s", item, 0, b"hvc1"), b"\0") for item in range(1, 5)]
    entries.append(_full(b"infe", 2, 0, struct.pack(">HH4s", 5, 0, b"grid"), b"\0"))
    sizes = [_full(b"ispe", 0, 0, struct.pack(">II", *size)) for size in ((width, height), picture.size)]
    properties = _box(b"ipco", *sizes, *(settings for settings, _ in coded))
    uses = [struct.pack(">HBBB", item, 2, 0x80 | item + 2, 1) for item in range(1, 5)] + [struct.pack(">HBB", 5, 1, 2)]
    reference = _box(b"dimg", struct.pack(">HH4H", 5, 4, 1, 2, 3, 4))

    def meta(offset: int) -> bytes:
        places = b""
        for item, (_, data) in enumerate(coded, start=1):
            places += struct.pack(">HHHHII", item, 0, 0, 1, offset, len(data))
            offset += len(data)
        places += struct.pack(">HHHHII", 5, 1, 0, 1, 0, len(grid))
        return _full(
            b"meta",
            0,
            0,
            _full(b"hdlr", 0, 0, bytes(4), b"pict", bytes(13)),
            _full(b"pitm", 0, 0, struct.pack(">H", 5)),
            _full(b"iloc", 1, 0, struct.pack(">BBH", 0x44, 0, 5), places),
            _full(b"iinf", 0, 0, struct.pack(">H", 5), *entries),
            _full(b"iref", 0, 0, reference),
            _box(b"iprp", properties, _full(b"ipma", 0, 0, struct.pack(">I", 5), *uses)),
            _box(b"idat", grid),
        )

    start = _box(b"ftyp", b"heic", bytes(4), b"mif1heic")
    whole = start + meta(len(start) + len(meta(0)) + 8)
    return whole + _box(b"mdat", *(data for _, data in coded))
