"""Reads zips, tars and compressed files within bounds: a few kilobytes may unpack to more than any memory holds.

An archive is refused where it unpacks to more than a hundred times its size; pictures and tables of pixels never do.
"""

import bz2
import contextlib
import gzip
import io
import lzma
import math
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fer_core.errors import DatasetError
from fer_core.resources import memory_bytes

MOST_COMPRESSION = 100
_SURELY_SMALL = 2**26
_BYTES_PER_ENTRY = 1500
"""What zipfile and we keep of an entry besides its name, with room to spare."""
_SHARE_OF_MEMORY = 4
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""zipfile unpacks a whole chunk of any other method at once, however large it becomes."""
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
UNPACKING_ERRORS = (
    *(EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, OSError),
    UnicodeDecodeError,  # of a name in a zip
)
"""What the standard library raises for archives and compressed files that are damaged."""
_BOMB_HINT = "Get the data from where its authors publish it, or unpack it and give the folder."

_LONGEST_EXTENSION = 2**20
"""Of an extended header in a tar: a long name, or a file's extended attributes."""
_MOST_DIGITS = 20
_CHUNK = 2**20
_LONG_NAME, _IGNORED = b"L", (b"K", b"g")
_PAX = (b"x", b"X")


class EntryBudget:
    """Counts the entries of an archive and their names, and refuses more than the memory can hold."""

    def __init__(self, path: Path):
        self._path = path
        self._left = memory_bytes() // _SHARE_OF_MEMORY

    def take(self, name: str) -> None:
        """Counts one entry. Raises DatasetError."""
        self._left -= _BYTES_PER_ENTRY + len(name)
        if self._left < 0:
            raise DatasetError(
                f"{self._path} has more entries than fit into the memory of this machine.", hint=_BOMB_HINT
            )


def opened_unpacked(path: Path) -> BinaryIO:
    """Opens a file as it is before compression (gzip, bzip2, xz or none), to be read forwards only.

    Reading raises DatasetError where it unpacks to far too much, and any of UNPACKING_ERRORS where it is damaged.
    """
    return io.BufferedReader(_Unpacked(path))


def is_compressed(start: bytes) -> bool:
    """Returns whether a file that begins so is compressed by gzip, bzip2 or xz."""
    return start.startswith(tuple(_COMPRESSED))


def check_zip(archive: zipfile.ZipFile, path: Path) -> None:
    """Raises DatasetError where a zip has a method that cannot be read within bounds, or unpacks to far too much."""
    budget, declared = EntryBudget(path), 0
    for entry in archive.infolist():
        budget.take(entry.filename)
        declared += entry.file_size
        if entry.compress_type not in _METHODS:
            raise DatasetError(
                f"{path} is compressed in a way that is not read here "
                f"({zipfile.compressor_names.get(entry.compress_type, entry.compress_type)}).",
                hint="Pack it again as a usual zip (deflate), or unpack it and give the folder.",
            )
    if declared > _most_unpacked(path):
        raise _bomb(path)


def looks_like_tar(start: bytes) -> bool:
    """Returns whether what begins so (512 bytes) has a tar's header, by its check sum."""
    with contextlib.suppress(tarfile.HeaderError):
        return bool(_parsed(start[: tarfile.BLOCKSIZE]))
    return False


def tar_members(stream: BinaryIO) -> Iterator[tuple[tarfile.TarInfo, BinaryIO]]:
    """Yields the entries of an uncompressed tar, each with its bytes, which can be read until the next one is wanted.

    Each header is checked before anything is read by it. Python's own reader believes them: sizes below zero send it in
    circles (CVE-2025-8194), digits in an extended header keep it busy (CVE-2024-6232), and a long name is read into
    memory however long it says it is. Raises tarfile.TarError where the tar is broken or not to be trusted.
    """
    block = stream.read(tarfile.BLOCKSIZE)
    if not block:
        raise tarfile.ReadError("empty file")
    extended: dict[str, str] = {}
    while block.strip(b"\0"):  # a block of zeros ends it, or just the end of the file
        info = _parsed(block)
        if info.type in (*_PAX, _LONG_NAME, *_IGNORED):
            content = _extension(stream, info)
            if info.type not in _IGNORED:
                extended |= {"path": _text(content)} if info.type == _LONG_NAME else _pax(content)
        else:
            _complete(info, extended)
            extended = {}
            data = _Data(stream, info.size)
            yield info, data
            while data.read(_CHUNK):
                pass
            stream.read(-info.size % tarfile.BLOCKSIZE)
        block = stream.read(tarfile.BLOCKSIZE)


class _Unpacked(io.RawIOBase):
    """The bytes of a file before compression. Raises DatasetError where they are far too many."""

    def __init__(self, path: Path):
        self._path, self._file = path, path.open("rb")
        start = self._file.read(6)
        self._file.seek(0)
        unpack = next((unpack for mark, unpack in _COMPRESSED.items() if start.startswith(mark)), None)
        self._stream = unpack(self._file) if unpack else self._file
        self._left = _most_unpacked(path) if unpack else math.inf

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise _bomb(self._path)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Data(io.RawIOBase):
    """The bytes of one member of a tar. Raises tarfile.ReadError where the archive ends before them."""

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


def _complete(info: tarfile.TarInfo, extended: dict[str, str]) -> None:
    """Gives an entry what stands in the extended headers before it, and the size of what follows it."""
    info.name = extended.get("path", info.name).rstrip("/")
    info.size = int(extended.get("size", info.size))
    if info.size < 0:
        raise tarfile.ReadError(f"a size of {info.size:,} bytes")
    if info.type == tarfile.GNUTYPE_SPARSE or any(key.startswith("GNU.sparse") for key in extended):
        raise tarfile.ReadError("a sparse file in it, which is not read here")
    if not info.isreg() and info.type in tarfile.SUPPORTED_TYPES:
        info.size = 0


def _parsed(block: bytes) -> tarfile.TarInfo:
    return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")


def _extension(stream: BinaryIO, info: tarfile.TarInfo) -> bytes:
    if not 0 <= info.size <= _LONGEST_EXTENSION:
        raise tarfile.ReadError(f"an extended header of {info.size:,} bytes")
    content = io.BufferedReader(_Data(stream, info.size)).read()
    stream.read(-info.size % tarfile.BLOCKSIZE)
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


def _text(content: bytes) -> str:
    return content.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _most_unpacked(path: Path) -> int:
    return max(_SURELY_SMALL, MOST_COMPRESSION * path.stat().st_size)


def _bomb(path: Path) -> DatasetError:
    return DatasetError(f"{path} unpacks to more than {MOST_COMPRESSION} times its size.", hint=_BOMB_HINT)
