"""A zip or tar of pictures, or with fer2013.csv in it, as a source. Nothing is unpacked onto the disk."""

import hashlib
import re
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from fer_core.data import layout
from fer_core.data.face_picture import MAX_FILE_BYTES, UnreadablePictureError, decode_picture
from fer_core.data.listing import Listing, Picture, Source
from fer_core.data.no_emotions import MOST_TABLES_READ, TABLE_BYTES_READ, may_be_labels
from fer_core.data.pixel_csv import csv_listing
from fer_core.data.tar_members import Member, members
from fer_core.data.unpacking import UNPACKING_ERRORS, EntryBudget, check_zip, opened_unpacked, read_entry
from fer_core.errors import DatasetError

Opener = Callable[[Path], AbstractContextManager[Listing]]

_TAR_ERRORS = (tarfile.TarError, MemoryError, *UNPACKING_ERRORS)
_TAIL_BYTES = 64 * 1024
_LONGEST_SHOWN = 200
_UTF8_NAME = 0x800
_BOXES = re.compile("[\u2500-\u259f]")
"""What letters of other encodings become in cp437."""
_BROKEN_HINT = "Download or pack it again; `unzip -t` or `tar -tf` shows what is damaged."


def file_source(path: Path, opened: Opener) -> Source:
    """Returns one file (zip, tar or csv) as a source that `opened` opens. A change shows in its size, time or tail."""
    path = path.resolve()
    status = path.stat()
    with path.open("rb") as stream:
        stream.seek(max(0, status.st_size - _TAIL_BYTES))
        tail = stream.read(_TAIL_BYTES)
    identity = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns} ".encode() + tail)
    return Source(path.name, str(path), str(path), identity.hexdigest(), partial(opened, path))


@contextmanager
def opened_zip(path: Path) -> Iterator[Listing]:
    """Opens a zip; raises DatasetError where it is broken, encrypted, a bomb, or has an entry that points outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield _zip_listing(archive, path)
    except UNPACKING_ERRORS as error:
        raise _broken(path, "zip", error) from None


def _zip_listing(archive: zipfile.ZipFile, path: Path) -> Listing:
    entries = archive.infolist()
    for entry in entries:
        _refuse_outside(entry.filename, path)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _link_error(entry.filename, path)
    files = {_clean(_name(entry)): entry for entry in entries if not entry.is_dir()}
    if any(entry.flag_bits & 1 for entry in files.values()):
        raise DatasetError(f"{path} is encrypted.", hint="Pack it again without a password.")
    check_zip(archive, path)
    table, notes = layout.fer_csv_among(files)
    if table:
        return csv_listing(archive.open(files[table]), name=table, notes=notes)
    folders = [_clean(_name(entry)) for entry in entries if entry.is_dir()]
    placed, notes = layout.place(
        list(files), folders, source=str(path), read=lambda name: _start(archive.open(files[name]))
    )
    pictures = (
        Picture(one.name, one.part, one.label, partial(_read_zipped, archive, files[one.name])) for one in placed
    )
    return Listing(pictures, len(placed), notes)


def _name(entry: zipfile.ZipInfo) -> str:
    """Returns an entry's name. Many zips have UTF-8 without the mark for it, and zipfile then reads it as cp437."""
    if entry.flag_bits & _UTF8_NAME:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode()
    except UnicodeError:
        if _BOXES.search(entry.filename):
            raise DatasetError(
                f"A zip has names in an encoding that it does not state: {entry.filename[:_LONGEST_SHOWN]!r}.",
                hint="Unpack it where it was made, and pack it again with names in UTF-8.",
            ) from None
        return entry.filename


def _read_zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    if entry.file_size > MAX_FILE_BYTES:
        raise _too_large()
    try:
        return decode_picture(read_entry(archive, entry))
    except UNPACKING_ERRORS as error:
        raise UnreadablePictureError(f"damaged in the zip: {error}") from None


@contextmanager
def opened_tar(path: Path) -> Iterator[Listing]:
    """Opens a tar, compressed or not; raises DatasetError where it is broken, has links, or an entry points outside."""
    try:
        with opened_unpacked(path) as stream:
            yield _tar_listing(stream, path)
    except _TAR_ERRORS as error:
        raise _broken(path, "tar", error) from None


def _tar_listing(stream: BinaryIO, path: Path) -> Listing:
    numbers, folders, starts = _tar_contents(path)
    table, notes = layout.fer_csv_among(numbers)
    if table:
        data = next(member.data for number, member in enumerate(members(stream)) if number == numbers[table])
        return csv_listing(data, name=table, notes=notes)
    placed, notes = layout.place(list(numbers), folders, source=str(path), read=lambda name: starts.get(name, b""))
    return Listing(_tarred(stream, {numbers[one.name]: one for one in placed}), len(placed), notes)


def _tar_contents(path: Path) -> tuple[dict[str, int], list[str], dict[str, bytes]]:
    """Returns the files with their places in the archive, the folders, and how the first few lists of labels begin."""
    numbers: dict[str, int] = {}
    folders: list[str] = []
    starts: dict[str, bytes] = {}
    budget = EntryBudget(path)
    with opened_unpacked(path) as stream:
        for number, member in enumerate(members(stream)):
            budget.take(member.name)
            _refuse_outside(member.name, path)
            name = _clean(member.name)
            if member.is_link:
                raise _link_error(member.name, path)
            if member.is_folder:
                folders.append(name)
            elif member.is_file:
                numbers[name] = number
                if may_be_labels(name) and len(starts) < MOST_TABLES_READ:
                    starts[name] = _start(member.data)
    return numbers, folders, starts


def _tarred(stream: BinaryIO, placed: dict[int, layout.Placed]) -> Iterator[Picture]:
    """Reads in the archive's own order: going back in a compressed stream means unpacking it from its start again."""
    for number, member in enumerate(members(stream)):
        one = placed.get(number)
        if one is None:
            continue
        if member.size > MAX_FILE_BYTES:
            yield Picture(one.name, one.part, one.label, _raise_too_large)
        else:
            decode = partial(decode_picture, _whole(member))
            yield Picture(one.name, one.part, one.label, decode, held_bytes=member.size)


def _whole(member: Member) -> bytes:
    parts = []
    while part := member.data.read(member.size):
        parts.append(part)
    return b"".join(parts)


def _start(stream: BinaryIO) -> bytes:
    return stream.read(TABLE_BYTES_READ) or b""


def _too_large() -> UnreadablePictureError:
    return UnreadablePictureError(f"larger than {MAX_FILE_BYTES >> 20} MiB")


def _raise_too_large() -> np.ndarray:
    raise _too_large()


def _clean(name: str) -> str:
    """Returns the entry's name with / between folders, as zips made on Windows do not always have it, and without ./"""
    return str(PurePosixPath(name.replace("\\", "/")))


def _refuse_outside(name: str, path: Path) -> None:
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
        raise DatasetError(
            f"{path} has an entry that points outside of it: {name[:_LONGEST_SHOWN]!r}.",
            hint="Such archives are made to overwrite files. Get the data from where its authors publish it.",
        )


def _link_error(name: str, path: Path) -> DatasetError:
    return DatasetError(
        f"{path} has a link instead of a file: {name[:_LONGEST_SHOWN]!r}.",
        hint="Pack it again with the files themselves: `tar --dereference --hard-dereference -cf …`.",
    )


def _broken(path: Path, kind: str, error: Exception) -> DatasetError:
    return DatasetError(f"{path} is a broken {kind}: {error}.", hint=_BROKEN_HINT)
