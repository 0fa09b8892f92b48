"""A zip or tar of pictures, or with fer2013.csv in it, as a source. Nothing is unpacked onto the disk."""

import hashlib
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from fer_core.data import layout
from fer_core.data.face_picture import UnreadablePictureError, decode_picture
from fer_core.data.folder import MAX_FILE_BYTES
from fer_core.data.listing import Listing, Picture, Source
from fer_core.data.pixel_csv import csv_listing
from fer_core.errors import DatasetError

Opener = Callable[[Path], AbstractContextManager[Listing]]

_ZIP_ERRORS = (zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, NotImplementedError)
_TAR_ERRORS = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError)
_TAIL_BYTES = 64 * 1024
_BROKEN_HINT = "Download or pack it again; `unzip -t` or `tar -tf` shows what is damaged."


def file_source(path: Path, opened: Opener) -> Source:
    """Returns one file (zip, tar or csv) as a source that `opened` opens. A change shows in its size, time or tail."""
    path = path.resolve()
    status = path.stat()
    with path.open("rb") as stream:
        stream.seek(max(0, status.st_size - _TAIL_BYTES))
        tail = stream.read()
    identity = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns} ".encode() + tail)
    return Source(path.name, str(path), str(path), identity.hexdigest(), partial(opened, path))


@contextmanager
def opened_zip(path: Path) -> Iterator[Listing]:
    """Opens a zip; raises DatasetError where it is broken, encrypted, or has an entry that points outside."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield _zip_listing(archive, path)
    except _ZIP_ERRORS as error:
        raise _broken(path, "zip", error) from None


def _zip_listing(archive: zipfile.ZipFile, path: Path) -> Listing:
    entries = archive.infolist()
    for entry in entries:
        _refuse_outside(entry.filename, path)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise _link_error(entry.filename, path)
    files = {_clean(entry.filename): entry for entry in entries if not entry.is_dir()}
    if any(entry.flag_bits & 1 for entry in files.values()):
        raise DatasetError(f"{path} is encrypted.", hint="Pack it again without a password.")
    table = layout.fer_csv_among(files)
    if table:
        return csv_listing(archive.open(files[table]), name=table)
    folders = [_clean(entry.filename) for entry in entries if entry.is_dir()]
    placed, notes = layout.place(list(files), folders, source=str(path))
    pictures = (
        Picture(one.name, one.part, one.label, partial(_read_zipped, archive, files[one.name])) for one in placed
    )
    return Listing(pictures, len(placed), notes)


def _read_zipped(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    if entry.file_size > MAX_FILE_BYTES:
        raise UnreadablePictureError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        return decode_picture(archive.read(entry))
    except (OSError, *_ZIP_ERRORS) as error:
        raise UnreadablePictureError(f"damaged in the zip: {error}") from None


@contextmanager
def opened_tar(path: Path) -> Iterator[Listing]:
    """Opens a tar, compressed or not; raises DatasetError where it is broken, has links, or an entry points outside."""
    try:
        with tarfile.open(path) as archive:
            yield _tar_listing(archive, path)
    except _TAR_ERRORS as error:
        raise _broken(path, "tar", error) from None


def _tar_listing(archive: tarfile.TarFile, path: Path) -> Listing:
    members = archive.getmembers()
    for member in members:
        _refuse_outside(member.name, path)
        if member.issym() or member.islnk():
            raise _link_error(member.name, path)
    files = {_clean(member.name): member for member in members if member.isfile()}
    table = layout.fer_csv_among(files)
    if table:
        return csv_listing(archive.extractfile(files[table]), name=table)
    folders = [_clean(member.name) for member in members if member.isdir()]
    placed, notes = layout.place(list(files), folders, source=str(path))
    return Listing(_tarred(archive, files, placed), len(placed), notes)


def _tarred(
    archive: tarfile.TarFile, files: dict[str, tarfile.TarInfo], placed: Iterable[layout.Placed]
) -> Iterator[Picture]:
    """Reads in the archive's own order: going back in a compressed stream means unpacking it from its start again."""
    for one in sorted(placed, key=lambda one: files[one.name].offset_data):
        member = files[one.name]
        if member.size > MAX_FILE_BYTES:
            yield Picture(one.name, one.part, one.label, _too_large)
        else:
            decode = partial(decode_picture, _member_bytes(archive, member))
            yield Picture(one.name, one.part, one.label, decode, held_bytes=member.size)


def _member_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    try:
        return archive.extractfile(member).read()
    except _TAR_ERRORS as error:
        raise _broken(Path(archive.name), "tar", error) from None


def _too_large() -> np.ndarray:
    raise UnreadablePictureError(f"larger than {MAX_FILE_BYTES >> 20} MiB")


def _clean(name: str) -> str:
    """Returns the entry's name with / between folders, as zips made on Windows do not always have it, and without ./"""
    return str(PurePosixPath(name.replace("\\", "/")))


def _refuse_outside(name: str, path: Path) -> None:
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
        raise DatasetError(
            f"{path} has an entry that points outside of it: {name!r}.",
            hint="Such archives are made to overwrite files. Get the data from where its authors publish it.",
        )


def _link_error(name: str, path: Path) -> DatasetError:
    return DatasetError(
        f"{path} has a link instead of a file: {name!r}.",
        hint="Pack it again with the files themselves: `tar --dereference --hard-dereference -cf …`.",
    )


def _broken(path: Path, kind: str, error: Exception) -> DatasetError:
    return DatasetError(f"{path} is a broken {kind}: {error}.", hint=_BROKEN_HINT)
