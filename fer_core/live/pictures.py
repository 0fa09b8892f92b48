"""Single pictures, and folders of pictures in their natural order."""

import re
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import cv2
import numpy as np

from fer_core.data.face_picture import MAX_PIXELS, UnreadablePictureError, decode_picture, on_background
from fer_core.data.picture_header import is_picture
from fer_core.data.regular_file import checked_status
from fer_core.errors import SourceError
from fer_core.live.frame import Frame
from fer_core.live.frame_sources import EveryFrame
from fer_core.store.clock import Clock, utc_now

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".avif", ".heic", ".heif", ".tif", ".tiff")

PICTURES_PER_SECOND = 1.0

_FORMATS_HINT = "Open it in a viewer and save it as JPEG or PNG; at most 100 megapixels can be read."
_MOST_BYTES = 4 * MAX_PIXELS
"""No picture that may be decoded is larger, not even one that is not compressed."""

_VIDEOS_OF_JPEGS = (".mjpeg", ".mjpg")


def looks_like_picture(path: Path) -> bool:
    """Returns whether a file is to be read as a picture: by how it begins, or by its name."""
    if path.suffix.lower() in (*SUFFIXES, *_VIDEOS_OF_JPEGS):
        return path.suffix.lower() in SUFFIXES
    with path.open("rb") as file:
        return is_picture(file.read(12))


def open_picture(path: Path, *, clock: Callable[[], float] = time.monotonic, now: Clock = utc_now) -> EveryFrame:
    """Returns one picture as a source. Raises SourceError if it is none, damaged or too large."""
    try:
        picture_bgr = read_picture(path)
    except UnreadablePictureError as error:
        raise SourceError(f"{path} is no picture that can be read: {error}.", hint=_FORMATS_HINT) from None
    frame = Frame(picture_bgr, 0, 0.0, now(), clock(), _name(path))
    return EveryFrame(str(path), frame, _nothing_more(), rate=PICTURES_PER_SECOND, skipped=[], is_still=True)


def open_folder(folder: Path, *, clock: Callable[[], float] = time.monotonic, now: Clock = utc_now) -> EveryFrame:
    """Returns the pictures of a folder as a source; bad ones are named in `skipped`.

    Raises SourceError if none of them can be read. Folders in the folder are not looked into.
    """
    paths = _pictures_in(folder)
    skipped: list[str] = []
    frames = _frames(paths, skipped, clock=clock, now=now)
    first = next(frames, None)
    if first is None:
        raise SourceError(
            f"{folder} has {len(paths)} pictures, and none can be read: {skipped[0]}."
            if paths
            else f"{folder} has no pictures ({', '.join(SUFFIXES)}).",
            hint=_FORMATS_HINT if paths else "Give the folder that the pictures are in: folders in it are not read.",
        )
    return EveryFrame(str(folder), first, frames, rate=PICTURES_PER_SECOND, skipped=skipped, is_still=True)


def picture_names(folder: Path) -> list[str]:
    """Returns the names that the frames of a folder have, in their order, also of pictures that cannot be read.

    Raises SourceError where the folder cannot be read.
    """
    return [_name(path) for path in _pictures_in(folder)]


def read_picture(path: Path) -> np.ndarray:
    """Returns a picture file as uint8 BGR (height, width, 3); what is transparent becomes mid-grey.

    Raises UnreadablePictureError, also where the file cannot be opened.
    """
    try:
        size = checked_status(path).st_size
        if size > _MOST_BYTES:
            raise UnreadablePictureError(f"a file of {size / 1e6:,.0f} MB")
        return in_colour(decode_picture(path.read_bytes()))
    except OSError as error:
        raise UnreadablePictureError(error.strerror or str(error)) from None


def in_colour(picture: np.ndarray) -> np.ndarray:
    """Returns uint8 BGR (height, width, 3) of a gray, BGR or BGRA picture; transparent parts become mid-grey."""
    if picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    if picture.shape[2] == 3:
        return picture
    return on_background(picture[:, :, :3], picture[:, :, 3:])


def natural_order(name: str) -> list[str | int]:
    """Returns a key that sorts `frame_9` before `frame_10`."""
    return [int(part) if place % 2 else part.casefold() for place, part in enumerate(re.split(r"(\d+)", name))]


def _pictures_in(folder: Path) -> list[Path]:
    try:
        paths = [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != "."]
    except OSError as error:
        raise SourceError(
            f"{folder} cannot be read: {error.strerror}.", hint="Give a folder that you may read."
        ) from None
    return sorted(paths, key=lambda path: (natural_order(path.name), path.name))


def _name(path: Path) -> str:
    """Returns a file's name as text that can be written down: in a name of other bytes, they become ?."""
    return path.name.encode(errors="replace").decode()


def _frames(
    paths: Sequence[Path], skipped: list[str], *, clock: Callable[[], float], now: Clock
) -> Generator[Frame, None, None]:
    for number, path in enumerate(paths):
        try:
            picture_bgr = read_picture(path)
        except UnreadablePictureError as error:
            skipped.append(f"{path.name}: {error}")
            continue
        yield Frame(picture_bgr, number, number / PICTURES_PER_SECOND, now(), clock(), _name(path))


def _nothing_more() -> Generator[Frame, None, None]:
    yield from ()
