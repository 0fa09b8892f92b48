"""Walks through a tar from its start to its end, each header checked before anything is read by it.

Python's own reader believes the headers: sizes below zero send it in circles (CVE-2025-8194), digits in an extended
header keep it busy (CVE-2024-6232), and a long name is read into memory however long it says it is.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_LONGEST_EXTENSION = 2**20
"""Of an extended header: a long name, or a file's extended attributes."""
_MOST_DIGITS = 20
_CHUNK = 2**20
_LONG_NAME, _IGNORED = b"L", (b"K", b"g")
_PAX = (b"x", b"X")


@dataclass(frozen=True)
class Member:
    """One entry. `data` can be read until the next one is asked for."""

    name: str
    size: int
    is_file: bool
    is_folder: bool
    is_link: bool
    data: BinaryIO


class _Data(io.RawIOBase):
    """The bytes of one member. Raises tarfile.ReadError where the archive ends before them."""

    def __init__(self, stream: BinaryIO, size: int):
        self._stream, self._left = stream, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read(min(len(buffer), self._left))
        if not data and self._left and len(buffer):
            raise tarfile.ReadError("unexpected end of data")
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def members(stream: BinaryIO) -> Iterator[Member]:
    """Yields the entries of an uncompressed tar. Raises tarfile.TarError where it is broken or not to be trusted."""
    extended: dict[str, str] = {}
    is_first = True
    while info := _header(stream, is_first=is_first):
        is_first = False
        if info.type in _PAX or info.type == _LONG_NAME:
            content = _extension(stream, info)
            extended |= {"path": _text(content)} if info.type == _LONG_NAME else _pax(content)
        elif info.type in _IGNORED:
            _extension(stream, info)
        else:
            size = int(extended.get("size", info.size))
            _check(info, size, extended)
            yield from _member(stream, info, extended.get("path", info.name), size)
            extended = {}


def looks_like_tar(start: bytes) -> bool:
    """Returns whether what begins so (512 bytes) has a tar's header, by its check sum."""
    try:
        tarfile.TarInfo.frombuf(start[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def _member(stream: BinaryIO, info: tarfile.TarInfo, name: str, size: int) -> Iterator[Member]:
    held = size if info.isreg() or info.type not in tarfile.SUPPORTED_TYPES else 0
    data = _Data(stream, held)
    yield Member(name.rstrip("/"), held, info.isreg(), info.isdir(), info.issym() or info.islnk(), data)
    while data.read(_CHUNK):
        pass
    _skip_padding(stream, held)


def _header(stream: BinaryIO, *, is_first: bool) -> tarfile.TarInfo | None:
    """Returns the next header; None at the end, which is a block of zeros or just the end of the file."""
    block = stream.read(tarfile.BLOCKSIZE)
    if is_first and not block:
        raise tarfile.ReadError("empty file")
    if not block.strip(b"\0"):
        return None
    return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")


def _check(info: tarfile.TarInfo, size: int, extended: dict[str, str]) -> None:
    if size < 0:
        raise tarfile.ReadError(f"a size of {size:,} bytes")
    if info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in extended):
        raise tarfile.ReadError("a sparse file in it, which is not read here")


def _extension(stream: BinaryIO, info: tarfile.TarInfo) -> bytes:
    if not 0 <= info.size <= _LONGEST_EXTENSION:
        raise tarfile.ReadError(f"an extended header of {info.size:,} bytes")
    content = io.BufferedReader(_Data(stream, info.size)).read()
    _skip_padding(stream, info.size)
    return content


def _pax(content: bytes) -> dict[str, str]:
    """Returns the records of an extended header, each of which is "LENGTH KEY=VALUE" and a line's end."""
    records: dict[str, str] = {}
    content = content.rstrip(b"\0")
    place = 0
    while place < len(content):
        digits = content[place : place + _MOST_DIGITS].partition(b" ")[0]
        end = place + (int(digits) if digits.isdigit() else 0)
        if not place + len(digits) < end <= len(content):
            raise tarfile.ReadError("an extended header that is damaged")
        key, _, value = content[place + len(digits) + 1 : end - 1].partition(b"=")
        records[_text(key)] = _text(value)
        place = end
    size = records.get("size", "0")
    if not size.isdecimal() or len(size) > _MOST_DIGITS:
        raise tarfile.ReadError("an extended header that is damaged")
    return records


def _skip_padding(stream: BinaryIO, size: int) -> None:
    stream.read(-size % tarfile.BLOCKSIZE)


def _text(content: bytes) -> str:
    return content.rstrip(b"\0").decode("utf-8", "surrogateescape")
