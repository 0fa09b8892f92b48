"""A folder of pictures, or one with fer2013.csv in it, as a source."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from fer_core.data import layout, pixel_csv
from fer_core.data.face_picture import UnreadablePictureError, decode_picture
from fer_core.data.listing import Listing, Picture, Source
from fer_core.errors import DatasetError

MAX_FILE_BYTES = 256 * 1024 * 1024
"""No picture of up to 100 megapixels that anybody trains on is larger; reading on would only fill the memory."""


def folder_source(folder: Path, *, left_out: Path | None = None) -> Source:
    """Returns the folder as a source; `left_out` (the inbox) is never part of it.

    Raises:
        DatasetError: the folder cannot be listed.
    """
    folder = folder.resolve()
    files, folders = listed(folder, left_out.resolve() if left_out else None)
    table = layout.fer_csv_among(files)
    used = [table] if table else [name for name in files if layout.is_picture(name)]
    told_apart = [*(f"{name}\0{files[name]}" for name in sorted(used)), *sorted(folders)]
    identity = hashlib.sha256("\0".join(told_apart).encode(errors="surrogateescape"))
    return Source(
        name=folder.name,
        location=str(folder),
        place=str(folder),
        identity=identity.hexdigest(),
        open=partial(pixel_csv.opened_csv, folder / table) if table else partial(_opened, folder, used, folders),
    )


def read_picture(path: Path) -> np.ndarray:
    """Returns the decoded picture; raises UnreadablePictureError."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UnreadablePictureError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return decode_picture(path.read_bytes())
    except OSError as error:
        raise UnreadablePictureError(error.strerror or str(error)) from None


def listed(folder: Path, left_out: Path | None = None) -> tuple[dict[str, str], list[str]]:
    """Returns the visible files with size and time, and the folders, both relative to `folder`."""
    files: dict[str, str] = {}
    folders: list[str] = []
    waiting = [""]
    while waiting:
        here = waiting.pop()
        for entry in _entries(folder / here):
            name = f"{here}/{entry.name}" if here else entry.name
            if layout.is_hidden(entry.name) or entry.path == str(left_out) or _leads_back(entry):
                continue
            if entry.is_dir():
                folders.append(name)
                waiting.append(name)
            else:
                files[name] = _size_and_time(entry)
    return files, folders


def _entries(folder: Path) -> list[os.DirEntry]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read: {error.strerror}.", hint="Check its access rights.") from None


def _leads_back(entry: os.DirEntry) -> bool:
    """Returns whether this is a link to a folder around it, which would be listed for ever."""
    return entry.is_symlink() and Path(entry.path).is_relative_to(Path(entry.path).resolve())


def _size_and_time(entry: os.DirEntry) -> str:
    try:
        status = entry.stat()
    except OSError:
        return "unreadable"
    return f"{status.st_size} {status.st_mtime_ns}"


@contextmanager
def _opened(folder: Path, names: list[str], folders: list[str]) -> Iterator[Listing]:
    placed, notes = layout.place(names, folders, source=str(folder))
    pictures = (Picture(one.name, one.part, one.label, partial(read_picture, folder / one.name)) for one in placed)
    yield Listing(pictures, len(placed), notes)
