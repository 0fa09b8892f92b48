"""Decoded images on disk: each source is decoded once, by one process, and afterwards only mapped into memory.

Holds nothing that depends on seed or split. A folder under its final name is complete: it is filled under another name
and renamed, so a kill at any moment leaves at most rubbish that the next one clears away.
"""

import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import filelock
import numpy as np

from fer_core.data.checks import check_classes
from fer_core.data.contents import Contents, ContentsBuilder, load_contents, save_contents
from fer_core.data.decoding import BadImage, decode_all
from fer_core.data.listing import Listing, Source
from fer_core.errors import DatasetError

FORMAT = 3
"""Raised whenever the same file would be decoded, hashed or stored in another way."""

_PIXELS = "pixels.u8"
_BUILDING = ".building"
_BYTES_PER_IMAGE_BESIDES_PIXELS = 200
_REPORT_EVERY = 4000

Report = Callable[[str], None]
Check = Callable[[Contents, str], None]


@dataclass(frozen=True)
class CachedImages:
    """Decoded images: `pixels` is uint8 (images, side, side), mapped from disk in the order of `contents.rows`."""

    contents: Contents
    pixels: np.ndarray


def cached_images(
    source: Source, cache: Path, *, side: int, report: Report, check: Check = check_classes
) -> CachedImages:
    """Returns the source's images from the cache, decoding them first where they are not there or have changed.

    Args:
        check: gets the contents and where they are from, before they are kept; raises what it has against them.

    Raises:
        DatasetError: the source is not usable, or the cache cannot be written. Nothing is kept then.
    """
    folder = cache / "datasets"
    mine = f"{_short_hash(source.place)}-{side}"
    finished = folder / f"{mine}-{_short_hash(f'{FORMAT} {cv2.__version__} {source.identity}')}"
    with _locked(folder, mine, report):
        images = _opened(finished, side)
        if images is None:
            _remove(folder.glob(f"{mine}-*{_BUILDING}"))
            _build(source, finished, check, side=side, report=report)
            _remove(other for other in folder.glob(f"{mine}-*") if other != finished)
            images = _opened(finished, side)
    if images is None:
        raise DatasetError(f"The cache {finished} vanished while it was read.", hint="Start again.")
    return images


def check_free_space(folder: Path, needed_bytes: int) -> None:
    """Raises DatasetError where the disk of `folder` has less than `needed_bytes` free."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DatasetError(
            f"Too little disk for the decoded images: {_megabytes(needed_bytes)} needed, {folder} has "
            f"{_megabytes(free)} free.",
            hint="Make room there, or set FER_CACHE_DIR to a folder on another disk.",
        )


def _opened(folder: Path, side: int) -> CachedImages | None:
    """Returns the images, or None where they are not there or not whole (a disk that lost power)."""
    try:
        contents = load_contents(folder)
        pixels = _mapped(folder / _PIXELS, (len(contents), side, side))
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile):
        return None
    return CachedImages(contents, pixels)


def _mapped(path: Path, shape: tuple[int, int, int]) -> np.ndarray:
    # An empty file cannot be mapped.
    return np.memmap(path, np.uint8, mode="r", shape=shape) if shape[0] else np.empty(shape, np.uint8)


def _build(source: Source, finished: Path, check: Check, *, side: int, report: Report) -> None:
    building = finished.with_name(finished.name + _BUILDING)
    try:
        with source.open() as listing:
            with _writing(building):
                building.mkdir()
                _check_space_for(listing, building, side)
            contents = _decode_into(building / _PIXELS, listing, side=side, report=report)
        check(contents, source.location)
        with _writing(building):
            save_contents(contents, building)
            _sync(building)
            _remove([finished])
            building.rename(finished)
            _sync_folder(finished.parent)
    finally:
        _remove([building])


def _check_space_for(listing: Listing, building: Path, side: int) -> None:
    if listing.count is not None:
        check_free_space(building, listing.count * (side * side + _BYTES_PER_IMAGE_BESIDES_PIXELS))


def _decode_into(path: Path, listing: Listing, *, side: int, report: Report) -> Contents:
    builder = ContentsBuilder()
    whole = f" of {listing.count:,}" if listing.count is not None else ""
    with _writing(path), path.open("wb") as stream:
        for number, image in enumerate(decode_all(listing.pictures, side=side), start=1):
            if isinstance(image, BadImage):
                builder.add_bad(image)
            else:
                stream.write(image.pixels)
                builder.add(image)
            if number % _REPORT_EVERY == 0:
                report(f"decoding {number:,}{whole} images")
    return builder.finished(listing.notes)


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Turns a disk that is full or closed to us into an error that says so. Sources word their own."""
    try:
        yield
    except OSError as error:
        free = _megabytes(shutil.disk_usage(_existing(place)).free)
        raise DatasetError(
            f"The cache of decoded images cannot be written to {place}: {error.strerror or error} ({free} free).",
            hint="Make room there, or set FER_CACHE_DIR to a folder on another disk.",
        ) from None


@contextmanager
def _locked(folder: Path, name: str, report: Report) -> Iterator[None]:
    lock = filelock.FileLock(folder / f"{name}.lock")
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock, report)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: filelock.FileLock, report: Report) -> None:
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        report("waiting for another process that decodes the same images")
        lock.acquire()


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb+") as stream:
            os.fsync(stream.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.absolute().parents) if folder.exists())


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
