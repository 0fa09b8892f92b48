"""What --data is, found by looking at it: drawn faces, a download, a folder or a file."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data import folder_names
from fer_core.data.archive import file_source, is_text, opener
from fer_core.data.contents import ALL_IMAGES, MORE_IMAGES, Listing, Picture, Source
from fer_core.data.face_finding import FaceFinder
from fer_core.data.face_picture import MAX_FILE_BYTES, UnreadablePictureError, decode_picture
from fer_core.data.fer2013 import pixel_rows
from fer_core.data.picture_header import HEAD_BYTES
from fer_core.data.picture_header import is_picture as begins_like_picture
from fer_core.data.reading import Reading, read_tree
from fer_core.data.report import DRAWN, DataReport
from fer_core.data.sample import SAMPLE_LABELS, draw_face
from fer_core.data.tree import Tree
from fer_core.data.votes import ReadOptions, read_options
from fer_core.errors import DatasetError, printable
from fer_core.paths import SAMPLE_HINT, Paths, checked_status, expanded

KAGGLE_HANDLE = "msambare/fer2013/versions/1"
"""With its version: the same images for everybody, and a downloaded copy is used without asking the network."""
_DRAWING_SEED = 0
_MORE_PLACE = "more images"
"""One for all such folders: each retraining has a new one, and the cache of the one before is of no use any more."""


def open_source(data: str, config: TrainConfig, paths: Paths) -> Source:
    """Returns the source that `data` names: a folder, a zip, tar or csv, 'kaggle' or 'sample'. Decodes nothing yet.

    Raises:
        DatasetError: there is no such path, or it is none of these.
    """
    options = read_options(config.model_copy(update={"data": data}), paths)
    if data == "sample":
        return _sample_source(config.sample_per_class, options)
    return replace(_pictures_source(data, options, paths), faces=FaceFinder(config, paths))


def _pictures_source(data: str, options: ReadOptions, paths: Paths) -> Source:
    if data == "kaggle":
        return _kaggle_source(options)
    path = expanded(data)
    try:
        if stat.S_ISDIR(checked_status(path).st_mode):
            return _folder_source(path, options, left_out=paths.inbox)
        return file_source(path, options)
    except FileNotFoundError:
        raise DatasetError(f"There is no {data}.", hint=SAMPLE_HINT) from None
    except OSError as error:
        raise DatasetError(
            f"{data} cannot be read: {error.strerror}.", hint="Give a file or folder that you may read."
        ) from None


def _sample_source(per_class: int, options: ReadOptions) -> Source:
    """Returns drawn faces, the same ones for everybody and every seed; their identity is how they look."""
    if options.votes is not None:
        raise DatasetError("There are no votes on drawn faces.", hint="Leave --votes out, or give FER-2013 as --data.")
    meant = options.labels.read(SAMPLE_LABELS)
    faces = [_drawn(label, (_DRAWING_SEED, number, 0)).tobytes() for number, label in enumerate(SAMPLE_LABELS)]
    identity = hashlib.sha256(b"".join(faces)).hexdigest()
    place = f"sample {per_class}{options.key}"
    return Source("sample", "sample", place, f"{identity}{options.key}", partial(_opened_sample, per_class, meant))


@contextmanager
def _opened_sample(per_class: int, meant: Mapping[str, str]) -> Iterator[Listing]:
    pictures = (
        Picture(f"{label}/{index:06}", ALL_IMAGES, meant[label], partial(_drawn, label, (_DRAWING_SEED, number, index)))
        for number, label in enumerate(SAMPLE_LABELS)
        if meant[label]
        for index in range(per_class)
    )
    renamed = {label: read for label, read in meant.items() if label != read}
    yield Listing(pictures, per_class * len(SAMPLE_LABELS), DataReport(DRAWN, read_as=renamed))


def _drawn(label: str, seed: tuple[int, ...]) -> np.ndarray:
    return draw_face(label, np.random.default_rng(seed))


def _kaggle_source(options: ReadOptions) -> Source:
    """Returns FER-2013 from the cache of kagglehub (an optional extra), downloading it where it is not there yet."""
    try:
        import kagglehub
    except ImportError:
        raise DatasetError(
            "--data kaggle needs kagglehub, which is not installed.", hint="pip install kagglehub"
        ) from None
    # Its own errors have no common parent.
    own = (kind for kind in vars(kagglehub.exceptions).values() if isinstance(kind, type))
    failures = tuple(kind for kind in own if issubclass(kind, Exception))
    try:
        folder = Path(kagglehub.dataset_download(KAGGLE_HANDLE))
    except (OSError, ValueError, *failures) as error:
        raise DatasetError(
            f"FER-2013 could not be downloaded from Kaggle: {error}",
            hint="Download the zip from https://www.kaggle.com/datasets/msambare/fer2013 and give it as --data.",
        ) from None
    return replace(_folder_source(folder, options), name="fer2013", location="kaggle")


def _folder_source(folder: Path, options: ReadOptions, *, left_out: Path | None = None) -> Source:
    """Returns the folder as a source; `left_out` (the inbox) is never part of it.

    Raises:
        DatasetError: the folder cannot be listed.
    """
    folder = folder.resolve()
    files, folders = _listed(folder, left_out.resolve() if left_out else None)
    # Of other files only the names count, so that a changed README.md decodes nothing again.
    told_apart = [f"{name}\0{files[name] if folder_names.is_looked_into(name) else ''}" for name in sorted(files)]
    identity = _identity([*told_apart, *sorted(folders), options.key])
    opened = partial(_opened, folder, list(files), folders, options)
    return Source(folder.name, str(folder), f"{folder}{options.key}", identity, opened)


def labelled_source(folder: Path, finder: FaceFinder) -> Source:
    """Returns the pictures in the folders of a folder as a source of one part; the folders' names are the labels.

    Pictures that lie in no folder of a label are left out. Raises DatasetError: the folder cannot be listed.
    """
    folder = folder.resolve()
    files, _ = _listed(folder)
    names = sorted(name for name in files if "/" in name and _is_picture_in(folder, name))
    identity = _identity([str(folder), *(f"{name}\0{files[name]}" for name in names)])
    opened = partial(_opened_labelled, folder, names)
    return Source(folder.name, str(folder), _MORE_PLACE, identity, opened, finder)


def _is_picture_in(folder: Path, name: str) -> bool:
    if folder_names.lacks_suffix(name):
        return begins_like_picture(_start(folder / name, HEAD_BYTES))
    return folder_names.is_picture(name)


def _identity(told_apart: list[str]) -> str:
    return hashlib.sha256("\0".join(told_apart).encode(errors="surrogateescape")).hexdigest()


def _listed(folder: Path, left_out: Path | None = None) -> tuple[dict[str, str], list[str]]:
    """Returns the visible files with size and time, and the folders, both relative to `folder`."""
    files: dict[str, str] = {}
    folders: list[str] = []
    waiting = [""]
    while waiting:
        here = waiting.pop()
        with _readable(folder / here), os.scandir(folder / here) as scanned:
            entries = list(scanned)
        for entry in entries:
            name = f"{here}/{entry.name}" if here else entry.name
            if folder_names.is_hidden(entry.name) or _is_left_out(entry, left_out):
                continue
            found = _size_and_time(entry)
            if found is None:
                folders.append(name)
                waiting.append(name)
            else:
                files[name] = found
    return files, folders


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.", hint="Check its access rights.") from None


def _is_left_out(entry: os.DirEntry, left_out: Path | None) -> bool:
    """Returns whether this is `left_out`, or a link to it or to a folder around itself, which would be listed for ever.

    Also by way of other links.
    """
    if not entry.is_symlink():
        return entry.path == str(left_out)
    target = Path(os.path.realpath(entry.path))
    return target == left_out or any(
        Path(os.path.realpath(around)).is_relative_to(target) for around in Path(entry.path).parents
    )


def _size_and_time(entry: os.DirEntry) -> str | None:
    """Returns what tells a file from its next version; None of a folder."""
    try:
        status = None if entry.is_dir() else entry.stat()
    except OSError:  # also links that lead in a circle
        return "unreadable"
    return status and f"{status.st_size} {status.st_mtime_ns}"


@contextmanager
def _opened(folder: Path, names: list[str], folders: list[str], options: ReadOptions) -> Iterator[Listing]:
    tree = Tree.of(
        names,
        folders,
        source=str(folder),
        read_files=lambda names, most: ((name, _start(folder / name, most)) for name in names),
        open=lambda name: _opened_file(folder / name),
    )
    reading = read_tree(tree, options)
    pixels = [] if reading.read_table is not pixel_rows else reading.tables
    nested = [name for name, _ in pixels if not is_text(_start(folder / name, folder_names.TABLE_BYTES_READ))]
    if nested:  # a fer2013.csv that is an archive, or compressed
        with _opened_table(folder / nested[0], reading) as listing:
            yield listing
    else:
        yield reading.listing(lambda name: partial(_read_picture, folder / name))


@contextmanager
def _opened_table(path: Path, reading: Reading) -> Iterator[Listing]:
    with _readable(path):
        opened = opener(path)
    with opened(path, reading.options) as listing:
        listing.report.notes += reading.report.notes
        listing.report.left_out += reading.report.left_out
        yield listing


@contextmanager
def _opened_file(path: Path) -> Iterator[BinaryIO]:
    with _readable(path):
        checked_status(path)
        with path.open("rb") as stream:
            yield stream


def _start(path: Path, most: int) -> bytes:
    """Returns how a file begins; nothing of one that cannot be read, as it is only looked at beside the pictures."""
    try:
        checked_status(path)
        with path.open("rb") as stream:
            return stream.read(most)
    except OSError:
        return b""


@contextmanager
def _opened_labelled(folder: Path, names: list[str]) -> Iterator[Listing]:
    labels = ((name, folder_names.label_of(name.partition("/")[0], str(folder))) for name in names)
    pictures = (Picture(name, MORE_IMAGES, label, partial(_read_named, folder, name)) for name, label in labels)
    yield Listing(pictures, len(names))


def _read_named(folder: Path, name: str) -> np.ndarray:
    """Names go into records and come back from there as paths: what cannot be written down is not taken."""
    if printable(name, kept="") != name:
        raise UnreadablePictureError("its name has control characters, or bytes that are no UTF-8")
    return _read_picture(folder / name)


def _read_picture(path: Path) -> np.ndarray:
    try:
        if checked_status(path).st_size > MAX_FILE_BYTES:
            raise UnreadablePictureError(f"larger than {MAX_FILE_BYTES >> 20} MiB")
        return decode_picture(path.read_bytes())
    except OSError as error:
        raise UnreadablePictureError(error.strerror or str(error)) from None
