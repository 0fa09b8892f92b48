"""A zip or tar of pictures, or with fer2013.csv in it, as a source; and what a file is. Nothing is unpacked to disk."""

import hashlib
import io
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

from fer_core.data import unpacking
from fer_core.data.contents import ALL_IMAGES, Known, Listing, Picture, Source
from fer_core.data.face_picture import MAX_FILE_BYTES, UnreadablePictureError, decode_picture
from fer_core.data.fer2013 import looks_like_csv, opened_csv
from fer_core.data.formats import parquet
from fer_core.data.reading import Reading, read_tree
from fer_core.data.report import DataReport
from fer_core.data.tree import Placed, Tree
from fer_core.data.votes import USUAL, ReadOptions
from fer_core.errors import DatasetError
from fer_core.paths import checked_status

Opener = Callable[[Path, ReadOptions], AbstractContextManager[Listing]]

_ZIP_START = b"PK"
_START_BYTES = 512
_TAIL_BYTES = 64 * 1024
_LONGEST_SHOWN = 200
_UTF8_NAME = 0x800
_BOXES = re.compile("[\u2500-\u259f]")
"""What letters of other encodings become in cp437."""


def file_source(path: Path, options: ReadOptions) -> Source:
    """Returns one file (zip, tar or csv) as a source. A change shows in its size, time or tail.

    Raises DatasetError where it is none of these, OSError.
    """
    opened = opener(path)
    path = path.resolve()
    status = path.stat()
    with path.open("rb") as stream:
        stream.seek(max(0, status.st_size - _TAIL_BYTES))
        tail = stream.read(_TAIL_BYTES)
    identity = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns} {options.key}".encode() + tail)
    place = f"{path}{options.key}"
    return Source(path.name, str(path), place, identity.hexdigest(), partial(opened, path, options))


def opener(path: Path) -> Opener:
    """Returns what opens the file, by its content. Its name decides nothing that its first bytes do not leave open.

    Raises DatasetError where it is no zip, tar or table of pixels, compressed or not; OSError.
    """
    checked_status(path)
    with path.open("rb") as stream:
        start = stream.read(_START_BYTES)
    if zipfile.is_zipfile(path) or start.startswith(_ZIP_START):
        return opened_zip
    if start.startswith(parquet.MARK):
        return _opened_parquet
    packed = unpacking.is_compressed(start)
    if packed:
        try:
            with unpacking.opened_unpacked(path) as stream:
                start = stream.read(_START_BYTES)
        except unpacking.UNPACKING_ERRORS:
            start = b""  # whoever opens it says what is damaged
    if unpacking.looks_like_tar(start):
        return opened_tar
    if looks_like_csv(start) or ".csv" in map(str.lower, path.suffixes):
        return opened_csv
    if packed or ".tar" in path.suffixes:
        return opened_tar
    raise DatasetError(
        f"{path} is no folder, zip, tar or csv of images.",
        hint="Give a folder of pictures, a zip or tar of one, or fer2013.csv.",
    )


def is_text(start: bytes) -> bool:
    """Returns whether a file that begins so is no archive, and not compressed."""
    return not (unpacking.is_compressed(start) or start.startswith(_ZIP_START) or unpacking.looks_like_tar(start))


@contextmanager
def _opened_parquet(path: Path, options: ReadOptions) -> Iterator[Listing]:
    report = DataReport("Parquet with pictures", is_usual=False)
    with path.open("rb") as stream:
        yield Listing(parquet.pictures(stream, path.name, ALL_IMAGES, options=options, report=report), None, report)


@contextmanager
def opened_zip(path: Path, options: ReadOptions = USUAL) -> Iterator[Listing]:
    """Opens a zip; raises DatasetError where it is broken, encrypted, a bomb, or has an entry that points outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield _zip_listing(archive, path, options)
    except unpacking.UNPACKING_ERRORS as error:
        raise _broken(path, "zip", error) from None


def _zip_listing(archive: zipfile.ZipFile, path: Path, options: ReadOptions) -> Listing:
    for entry in archive.infolist():
        _check_name(entry.filename, path, is_link=stat.S_ISLNK(entry.external_attr >> 16))
    files = {_clean(entry_name(entry)): entry for entry in archive.infolist() if not entry.is_dir()}
    folders = [_clean(entry_name(entry)) for entry in archive.infolist() if entry.is_dir()]
    if any(entry.flag_bits & 1 for entry in files.values()):
        raise DatasetError(f"{path} is encrypted.", hint="Pack it again without a password.")
    unpacking.check_zip(archive, path)
    tree = Tree.of(
        list(files),
        folders,
        source=str(path),
        read_files=lambda names, most: ((name, archive.open(files[name]).read(most)) for name in names),
        open=lambda name: archive.open(files[name]),
    )
    return read_tree(tree, options).listing(lambda name: partial(_read_zipped, archive, files[name]))


def entry_name(entry: zipfile.ZipInfo) -> str:
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
        _refuse_large()
    try:
        with archive.open(entry) as stream:
            # Never more than it declares: who made the zip may have lied about that.
            return decode_picture(stream.read(entry.file_size))
    except unpacking.UNPACKING_ERRORS as error:
        raise UnreadablePictureError(f"damaged in the zip: {error}") from None


@contextmanager
def opened_tar(path: Path, options: ReadOptions = USUAL) -> Iterator[Listing]:
    """Opens a tar, compressed or not; raises DatasetError where it is broken, has links, or an entry points outside."""
    try:
        with unpacking.opened_unpacked(path) as stream:
            yield _tar_listing(stream, path, options)
    except (tarfile.TarError, MemoryError, *unpacking.UNPACKING_ERRORS) as error:
        raise _broken(path, "tar", error) from None


def _tar_listing(stream: BinaryIO, path: Path, options: ReadOptions) -> Listing:
    numbers, folders = _tar_contents(path)
    tree = Tree.of(
        list(numbers),
        folders,
        source=str(path),
        read_files=lambda names, most: _tar_files(path, {numbers[name]: name for name in names}, most),
        open=lambda name: _opened_member(path, numbers[name]),
    )
    reading = read_tree(tree, options)
    if reading.tables:
        return reading.listing(lambda name: _refuse_large)
    placed: dict[int, list[tuple[Placed, Known]]] = {}
    for one, known in reading.placed:
        placed.setdefault(numbers[one.name], []).append((one, known))
    return Listing(_tarred(stream, placed), len(reading.placed), reading.report)


def _tar_contents(path: Path) -> tuple[dict[str, int], list[str]]:
    """Returns the files with their places in the archive, and the folders."""
    numbers: dict[str, int] = {}
    folders: list[str] = []
    budget = unpacking.EntryBudget(path)
    with unpacking.opened_unpacked(path) as stream:
        for number, (info, _) in enumerate(unpacking.tar_members(stream)):
            budget.take(info.name)
            _check_name(info.name, path, is_link=info.issym() or info.islnk())
            name = _clean(info.name)
            if info.isdir():
                folders.append(name)
            elif info.isreg():
                numbers[name] = number
    return numbers, folders


def _tar_files(path: Path, names: dict[int, str], most: int) -> Iterator[tuple[str, bytes]]:
    """Yields how the members with these numbers begin; the archive is gone through once more."""
    last = max(names, default=-1)
    with unpacking.opened_unpacked(path) as stream:
        for number, (_, data) in enumerate(unpacking.tar_members(stream)):
            if number in names:
                yield names[number], io.BufferedReader(data).read(most)
            if number >= last:
                return


@contextmanager
def _opened_member(path: Path, wanted: int) -> Iterator[BinaryIO]:
    with unpacking.opened_unpacked(path) as stream:
        yield next(data for number, (_, data) in enumerate(unpacking.tar_members(stream)) if number == wanted)


def _tarred(stream: BinaryIO, placed: dict[int, list[tuple[Placed, Known]]]) -> Iterator[Picture]:
    """Reads in the archive's own order: going back in a compressed stream means unpacking it from its start again."""
    for number, (info, data) in enumerate(unpacking.tar_members(stream)):
        faces = placed.get(number, [])
        is_large = info.size > MAX_FILE_BYTES
        content = b"".join(iter(partial(data.read, info.size), b"")) if faces and not is_large else b""
        for one, known in faces:
            read = _refuse_large if is_large else partial(decode_picture, content)
            yield Reading.picture(one, known, read, held_bytes=len(content))


def _refuse_large() -> np.ndarray:
    raise UnreadablePictureError(f"larger than {MAX_FILE_BYTES >> 20} MiB")


def _clean(name: str) -> str:
    """Returns the entry's name with / between folders, as zips made on Windows do not always have it, and without ./"""
    return str(PurePosixPath(name.replace("\\", "/")))


def _check_name(name: str, path: Path, *, is_link: bool) -> None:
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
        raise DatasetError(
            f"{path} has an entry that points outside of it: {name[:_LONGEST_SHOWN]!r}.",
            hint="Such archives are made to overwrite files. Get the data from where its authors publish it.",
        )
    if is_link:
        raise DatasetError(
            f"{path} has a link instead of a file: {name[:_LONGEST_SHOWN]!r}.",
            hint="Pack it again with the files themselves: `tar --dereference --hard-dereference -cf …`.",
        )


def _broken(path: Path, kind: str, error: Exception) -> DatasetError:
    return DatasetError(
        f"{path} is a broken {kind}: {error}.",
        hint="Download or pack it again; `unzip -t` or `tar -tf` shows what is damaged.",
    )
