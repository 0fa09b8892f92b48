"""More images for a data set: a folder of <label>/… beside it. They train and validate, and are never tested on.

What the data set has already is left out, wherever it has it: so no test image comes back as a training image, and the
test images are the same with and without them.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from fer_core.data.cache import CachedImages, Report, cached_images
from fer_core.data.contents import Contents, fingerprint
from fer_core.data.face_picture import UnreadablePictureError
from fer_core.data.folder import listed, read_picture
from fer_core.data.folder_names import is_picture, label_of
from fer_core.data.listing import MORE_IMAGES, Listing, Picture, Source
from fer_core.errors import DatasetError, did_you_mean, printable

_PLACE = "more images"
"""One for all such folders: each retraining has a new one, and the cache of the one before is of no use any more."""


@dataclass(frozen=True)
class _Joined:
    """Two files of pixels as one: the rows of `more` follow on those of `own`."""

    own: np.ndarray
    more: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """Returns the pixels at these rows (int64), uint8 (k, side, side)."""
        pixels = np.empty((len(rows), *self.own.shape[1:]), np.uint8)
        is_more = rows >= len(self.own)
        pixels[~is_more] = self.own[rows[~is_more]]
        pixels[is_more] = self.more[rows[is_more] - len(self.own)]
        return pixels


def labelled_source(folder: Path) -> Source:
    """Returns the pictures in the folders of a folder as a source of one part; the folders' names are the labels.

    Pictures that lie in no folder of a label are left out. Raises DatasetError: the folder cannot be listed.
    """
    folder = folder.resolve()
    files, _ = listed(folder)
    names = sorted(name for name in files if is_picture(name) and "/" in name)
    told_apart = "\0".join([str(folder), *(f"{name}\0{files[name]}" for name in names)])
    return Source(
        name=folder.name,
        location=str(folder),
        place=_PLACE,
        identity=hashlib.sha256(told_apart.encode(errors="surrogateescape")).hexdigest(),
        open=partial(_opened, folder, names),
    )


def labelled_images(folder: Path, cache: Path, *, side: int, report: Report) -> CachedImages:
    """Returns the decoded pictures of `labelled_source`; there may be none. Raises DatasetError."""
    return cached_images(labelled_source(folder), cache, side=side, report=report, check=_anything_goes)


def with_more_images(own: CachedImages, more: CachedImages, *, source: str) -> tuple[CachedImages, str]:
    """Returns a data set's images and those that it does not have yet, and a sentence on how many these are.

    Args:
        more: decoded to the same side.
        source: where they are from, for messages.

    Raises:
        DatasetError: there are none, or of a class that the data set does not have.
    """
    contents = more.contents
    _check(contents, own.contents.labels, source)
    is_new = ~np.isin(contents.hashes, own.contents.hashes)
    added = int(is_new.sum())
    known = f" {len(contents) - added:,} are left out, as the data has them already." if added < len(contents) else ""
    note = f"More images: {added:,} of {source}, for training and validation.{known}"
    if not added:
        return own, note
    return CachedImages(
        _joined(own.contents, contents, is_new, len(own.pixels)), _Joined(own.pixels, more.pixels)
    ), note


@contextmanager
def _opened(folder: Path, names: list[str]) -> Iterator[Listing]:
    pictures = (
        Picture(name, MORE_IMAGES, label_of(name.partition("/")[0], str(folder)), partial(_read, folder, name))
        for name in names
    )
    yield Listing(pictures, len(names))


def _read(folder: Path, name: str) -> np.ndarray:
    """Names go into records and come back from there as paths: what cannot be written down is not taken."""
    if printable(name, kept="") != name:
        raise UnreadablePictureError("its name has control characters, or bytes that are no UTF-8")
    return read_picture(folder / name)


def _anything_goes(contents: Contents, source: str) -> None:
    """Of an inbox one picture of one class is enough, and what is wrong with others is told by who looks at them."""


def _check(contents: Contents, labels: tuple[str, ...], source: str) -> None:
    if not len(contents):
        raise DatasetError(f"{source} holds no pictures in folders of emotions.", hint="Expected is <emotion>/….")
    unknown = next((label for label in contents.labels if label not in labels), None)
    if unknown is not None:
        raise DatasetError(
            f"{source} has a folder {unknown!r}; the data has no such class.", hint=did_you_mean(unknown, labels)
        )


def _joined(own: Contents, more: Contents, is_new: np.ndarray, own_rows: int) -> Contents:
    parts = (*own.parts, MORE_IMAGES)
    numbers = np.array([own.labels.index(label) for label in more.labels], np.int64)
    label_numbers = np.concatenate([own.label_numbers, numbers[more.label_numbers[is_new]]])
    part_numbers = np.concatenate([own.part_numbers, np.full(is_new.sum(), len(own.parts), np.int64)])
    hashes = np.concatenate([own.hashes, more.hashes[is_new]])
    return replace(
        own,
        parts=parts,
        names=[*own.names, *(more.names[position] for position in np.flatnonzero(is_new))],
        part_numbers=part_numbers,
        label_numbers=label_numbers,
        hashes=hashes,
        deviations=np.concatenate([own.deviations, more.deviations[is_new]]),
        rows=np.concatenate([own.rows, more.rows[is_new] + own_rows]),
        bad_images=(*own.bad_images, *more.bad_images),
        notes=(*own.notes, *more.notes),
        fingerprint=fingerprint(hashes, (label_numbers, part_numbers), (own.labels, parts)),
    )
