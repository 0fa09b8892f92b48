"""Decoded images on disk: each source is decoded once, by one process, and afterwards only mapped into memory.

Holds nothing that depends on seed or split. A folder under its final name is complete: it is filled under another name
and renamed, so a kill at any moment leaves at most rubbish that the next one clears away.
"""

import hashlib
import math
import shutil
import zipfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import filelock
import numpy as np

from fer_core.data.contents import TRAINING_PARTS, BadImage, Contents, DecodedImage, Listing, Picture, Source
from fer_core.data.face_finding import CutOut, Cutter
from fer_core.data.face_picture import UnreadablePictureError, gray, network_input
from fer_core.errors import DatasetError, printable
from fer_core.resources import available_cores, file_lock, sync

FORMAT = 6
"""Raised whenever the same file would be read, decoded, hashed or stored in another way."""

_PIXELS = "pixels.u8"
_BUILDING = ".building"
_BYTES_PER_IMAGE_BESIDES_PIXELS = 200
_REPORT_EVERY = 1000
_PICTURES_AT_ONCE = 64
_HELD_BYTES_AT_ONCE = 8 * 1024 * 1024
_MOST_WORKERS = 16
_ROOM_HINT = "Make room there, or set FER_CACHE_DIR to a folder on another disk."

Report = Callable[[str], None]


class Decoded(NamedTuple):
    """A picture that was read: its image and pixels as the network's input, uint8, unless it is left out.

    `bad` says why it cannot be read; `cut` is how its face was cut out, without pixels.
    """

    name: str
    image: DecodedImage | None = None
    pixels: np.ndarray | None = None
    bad: str = ""
    cut: CutOut | None = None


@dataclass(frozen=True)
class CachedImages:
    """Decoded images: `pixels` is uint8 (images, side, side), mapped from disk in the order of `contents.rows`.

    In colours it is (images, side, side, 3).
    """

    contents: Contents
    pixels: np.ndarray


def cached_images(
    source: Source, cache: Path, *, side: int, report: Report, colours: str = "gray", needs_classes: bool = True
) -> CachedImages:
    """Returns the source's images from the cache, decoding them first where they are not there or have changed.

    Args:
        needs_classes: whether images without classes to tell apart are refused.

    Raises:
        DatasetError: the source is not usable, or the cache cannot be written. Nothing is kept then.
    """
    folder, faces, shape = cache / "datasets", source.faces, (side, side, 1 if colours == "gray" else 3)
    kind = side if colours == "gray" else f"{colours}{side}"
    mine = f"{_short_hash(source.place + (faces.settings_key if faces else ''))}-{kind}"
    identity = f"{FORMAT} {cv2.__version__} {source.identity} {faces.key if faces else ''}"
    finished = folder / f"{mine}-{_short_hash(identity)}"
    with _locked(folder, mine, report):
        images = _opened(finished, shape)
        if images is None:
            _remove(folder.glob(f"{mine}-*{_BUILDING}"))
            _build(source, finished, needs_classes, side=side, colours=colours, report=report)
            _remove(other for other in folder.glob(f"{mine}-*") if other != finished)
            images = _opened(finished, shape)
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
            hint=_ROOM_HINT,
        )


def content_hash(face_gray: np.ndarray) -> int:
    """Returns the 64-bit hash by which a picture is told from others: uint8 (height, width), at its own size."""
    digest = hashlib.blake2b(np.array(face_gray.shape, "<u4").tobytes(), digest_size=8)
    digest.update(np.ascontiguousarray(face_gray))
    return int.from_bytes(digest.digest(), "big")


def decode_all(
    pictures: Iterable[Picture], cutter: Cutter | None, *, side: int, colours: str = "gray"
) -> Iterator[Decoded]:
    """Yields every picture decoded on several threads, in the listing's order, a bounded number at a time.

    Args:
        cutter: cuts out the faces; None where the pictures are faces.
        side: of the network's input.
    """
    workers = min(available_cores(), _MOST_WORKERS)
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        running: deque[Future] = deque()
        try:
            for group in _grouped(pictures):
                running.append(
                    pool.submit(lambda group: [_decode(picture, cutter, side, colours) for picture in group], group)
                )
                if len(running) > 2 * workers:
                    yield from running.popleft().result()
            while running:
                yield from running.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _grouped(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Yields groups that are worth a thread's while and do not fill the memory."""
    group: list[Picture] = []
    held = 0
    for picture in pictures:
        group.append(picture)
        held += picture.held_bytes
        if len(group) == _PICTURES_AT_ONCE or held > _HELD_BYTES_AT_ONCE:
            yield group
            group, held = [], 0
    yield group


def _decode(picture: Picture, cutter: Cutter | None, side: int, colours: str) -> Decoded:
    name = printable(picture.name, kept="")
    try:
        cut = cutter.cut(picture, in_colour=colours != "gray") if cutter else CutOut(picture.read())
    except UnreadablePictureError as error:
        return Decoded(name, bad=printable(str(error)))
    if cut.face is None:
        return Decoded(name, cut=cut)
    face_gray = np.ascontiguousarray(gray(cut.face))
    _, deviation = cv2.meanStdDev(face_gray)
    content = content_hash(face_gray)
    image = DecodedImage(picture.part, picture.label, content, name, float(deviation[0, 0]), picture.known)
    face = face_gray if colours == "gray" else cut.face
    pixels = network_input(face, side=side, channels=1 if colours == "gray" else 3, colours=colours)
    return Decoded(name, image, pixels, cut=cut._replace(face=None))


def _opened(folder: Path, shape: tuple[int, int, int]) -> CachedImages | None:
    """Returns the images, or None where they are not there or not whole (a disk that lost power)."""
    try:
        contents = Contents.load(folder)
        # Images of classes that are not trained have pixels there too.
        stored, rest = divmod((folder / _PIXELS).stat().st_size, math.prod(shape))
        if rest or (len(contents) and contents.rows.max() >= stored):
            return None
        shape = (stored, *(shape if shape[2] > 1 else shape[:2]))
        # An empty file cannot be mapped.
        pixels = np.memmap(folder / _PIXELS, np.uint8, "r", shape=shape) if shape[0] else np.empty(shape, np.uint8)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError, zipfile.BadZipFile):
        return None
    return CachedImages(contents, pixels)


def _build(source: Source, finished: Path, needs_classes: bool, *, side: int, colours: str, report: Report) -> None:
    building = finished.with_name(finished.name + _BUILDING)
    try:
        cutter = source.faces.cutter(source) if source.faces else None
        with source.open() as listing:
            with _writing(building):
                building.mkdir()
                pixels = side * side * (1 if colours == "gray" else 3)
                check_free_space(building, (listing.count or 0) * (pixels + _BYTES_PER_IMAGE_BESIDES_PIXELS))
            how = {"side": side, "colours": colours, "report": report}
            contents = _decode_into(building / _PIXELS, listing, cutter, **how)
        if needs_classes:
            contents = contents.of_trained_classes(TRAINING_PARTS)
            contents.check_classes(source.location)
        with _writing(building):
            contents.save(building)
            for path in (*building.iterdir(), building):
                sync(path)
            _remove([finished])
            building.rename(finished)
            sync(finished.parent)
    finally:
        _remove([building])


def _decode_into(
    path: Path, listing: Listing, cutter: Cutter | None, *, side: int, colours: str, report: Report
) -> Contents:
    images: list[DecodedImage] = []
    bad_images: list[BadImage] = []
    cuts: dict[str, CutOut] = {}
    detects = cutter is not None and cutter.detects
    doing, report_every = ("finding faces:", _REPORT_EVERY // 5) if detects else ("decoding", _REPORT_EVERY)
    whole = f" of {listing.count:,}" if listing.count is not None else ""
    with _writing(path), path.open("wb") as stream:
        for number, decoded in enumerate(decode_all(listing.pictures, cutter, side=side, colours=colours), start=1):
            if decoded.bad:
                bad_images.append(BadImage(decoded.name, decoded.bad))
            elif decoded.cut.found is not None:
                cuts[decoded.name] = decoded.cut
            if decoded.image is not None:
                stream.write(decoded.pixels)
                images.append(decoded.image)
            if number % report_every == 0:
                report(f"{doing} {number:,}{whole} images")
    if cutter is not None:
        cutter.note(listing.report, cuts)
    return Contents.of(images, bad_images, listing.report)


@contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Turns a disk that is full or closed to us into an error that says so. Sources word their own."""
    try:
        yield
    except OSError as error:
        existing = next(folder for folder in (place, *place.absolute().parents) if folder.exists())
        free = _megabytes(shutil.disk_usage(existing).free)
        raise DatasetError(
            f"The cache of decoded images cannot be written to {place}: {error.strerror or error} ({free} free).",
            hint=_ROOM_HINT,
        ) from None


@contextmanager
def _locked(folder: Path, name: str, report: Report) -> Iterator[None]:
    lock = file_lock(folder / f"{name}.lock")
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            report("waiting for another process that decodes the same images")
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove(folders: Iterable[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:16]


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
