"""Reads zips and compressed files within bounds: what a few kilobytes unpack to may be more than any memory holds.

An archive is refused where it unpacks to more than a hundred times its size; pictures and tables of pixels never do.
"""

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
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
_COMPRESSED: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ": lzma.LZMAFile,
}
UNPACKING_ERRORS = (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, OSError)
"""What the standard library raises for archives and compressed files that are damaged."""
_BOMB_HINT = "Get the data from where its authors publish it, or unpack it and give the folder."


def opened_unpacked(path: Path) -> BinaryIO:
    """Opens a file as it is before compression (gzip, bzip2, xz or none), to be read forwards only.

    Reading raises DatasetError where it unpacks to far too much, and any of UNPACKING_ERRORS where it is damaged.
    """
    return io.BufferedReader(_Unpacked(path))


class _Unpacked(io.RawIOBase):
    def __init__(self, path: Path):
        self._path = path
        self._file = path.open("rb")
        start = self._file.read(6)
        self._file.seek(0)
        unpack = next((make for mark, make in _COMPRESSED.items() if start.startswith(mark)), None)
        self._stream = unpack(self._file) if unpack else self._file
        self._most = most_unpacked(path.stat().st_size) if unpack else None
        self._read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read(len(buffer))
        self._read += len(data)
        if self._most is not None and self._read > self._most:
            raise bomb(self._path)
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()


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


def is_compressed(start: bytes) -> bool:
    """Returns whether a file that begins so is compressed by gzip, bzip2 or xz."""
    return start.startswith(tuple(_COMPRESSED))


def most_unpacked(packed_bytes: int) -> int:
    """Returns how many bytes something of this size may unpack to."""
    return max(_SURELY_SMALL, MOST_COMPRESSION * packed_bytes)


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
    if declared > most_unpacked(path.stat().st_size):
        raise bomb(path)


def read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Returns an entry's bytes, and never unpacks more than it declares: who made the zip may have lied about that."""
    with archive.open(entry) as stream:
        return stream.read(entry.file_size)


def bomb(path: Path) -> DatasetError:
    """Returns the error of an archive that unpacks to far more than pictures do."""
    return DatasetError(f"{path} unpacks to more than {MOST_COMPRESSION} times its size.", hint=_BOMB_HINT)
