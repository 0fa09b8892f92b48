"""`load_dataset`: from what --data says to the images that train, validate and test, mapped from disk.

Shuffles nothing, scales nothing, augments nothing.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.cache import CachedImages, cached_images
from fer_core.data.checks import check_readable
from fer_core.data.contents import Contents
from fer_core.data.decoding import BadImage
from fer_core.data.default_source import find_source
from fer_core.data.fer2013 import NAME, fer2013_titles
from fer_core.data.listing import Source
from fer_core.data.more_images import labelled_images, with_more_images
from fer_core.data.partition import Partition, Role, partition, split_fingerprint
from fer_core.data.sources import open_source
from fer_core.errors import DatasetError
from fer_core.paths import Paths


def ignore(text: str) -> None:
    """Takes a progress sentence and says nothing."""


@dataclass(frozen=True)
class Split:
    """Images of one role.

    `labels` int64 (n,), positions in the data set's labels; `hashes` uint64 (n,), of the gray pixels at their own size.
    """

    name: str
    labels: np.ndarray
    hashes: np.ndarray
    channels: int
    _names: list[str] = field(repr=False)
    _pixels: np.ndarray = field(repr=False)
    _rows: np.ndarray = field(repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, positions: slice | np.ndarray) -> np.ndarray:
        """Returns the images at these positions of the split, read from disk: uint8 (k, side, side, channels)."""
        pixels = np.asarray(self._pixels[self._rows[positions]])[..., np.newaxis]
        return pixels if self.channels == 1 else np.repeat(pixels, self.channels, axis=3)

    def part(self, positions: slice) -> "Split":
        """Returns some of the images as a split of their own."""
        chosen = {name: getattr(self, name)[positions] for name in ("labels", "hashes", "_names", "_rows")}
        return replace(self, **chosen)

    def names(self, positions: slice | np.ndarray) -> list[str]:
        """Returns the images' names in their source: paths, or lines of a csv."""
        return [self._names[position] for position in np.arange(len(self))[positions]]


@dataclass(frozen=True)
class Dataset:
    """Images to train on, and what is known of them.

    `fingerprint` and `split_fingerprint` are sha256 (hex) over contents and labels of all images, with the source's
    parts and with the roles chosen here; neither depends on names or order. `notes` are sentences for the run's output.
    """

    name: str
    source: str
    labels: tuple[str, ...]
    side: int
    channels: int
    train: Split
    validation: Split | None
    test: Split
    fingerprint: str
    split_fingerprint: str
    bad_images: tuple[BadImage, ...]
    notes: tuple[str, ...]
    contents: Contents = field(repr=False)

    def hashes_seen_before_test(self) -> np.ndarray:
        """Returns the content hashes, uint64 (n,), of all that training or its choices saw: sorted, each once."""
        parts = [part.hashes for part in (self.train, self.validation) if part is not None]
        return np.unique(np.concatenate(parts))


@dataclass(frozen=True)
class Unsplit:
    """What is known of images that cannot be split into train, validation and test."""

    name: str
    source: str
    labels: tuple[str, ...]
    fingerprint: str
    bad_images: tuple[BadImage, ...]
    contents: Contents = field(repr=False)


class UnsplitError(DatasetError):
    """The images cannot be split; `images` is what can be audited all the same."""

    def __init__(self, error: DatasetError, images: Unsplit):
        super().__init__(str(error), hint=error.hint)
        self.images = images


def load_dataset(
    config: TrainConfig, paths: Paths, *, side: int, channels: int = 1, report: Callable[[str], None] = ignore
) -> Dataset:
    """Returns the data set that the settings describe, decoding it into the cache where it is not there yet.

    Args:
        side: of the images, in pixels.
        channels: 1, or 3 for the same gray three times.
        report: gets progress sentences such as "decoding 12,000 of 32,298 images".

    Raises:
        DatasetError: the data is not usable as it is; the text says what was found.
    """
    source = open_source(find_source(config.data, os.environ), config, paths)
    images = cached_images(source, paths.cache, side=side, report=report)
    if not config.skip_bad_images:
        check_readable(images.contents)
    return _put_together(source, *_with_more(images, config, paths, report), config=config, shape=(side, channels))


def _put_together(
    source: Source, images: CachedImages, notes: tuple[str, ...], *, config: TrainConfig, shape: tuple[int, int]
) -> Dataset:
    contents, (side, channels) = images.contents, shape
    titles = fer2013_titles(contents)
    name = NAME if titles else source.name
    try:
        chosen = partition(contents, config)
    except DatasetError as error:
        metadata = (name, source.location, contents.labels, contents.fingerprint, contents.bad_images)
        raise UnsplitError(error, Unsplit(*metadata, contents)) from None
    train, validation, test = _splits(images, chosen, channels, titles or {})
    return Dataset(
        name=name,
        source=source.location,
        labels=contents.labels,
        side=side,
        channels=channels,
        train=train,
        validation=validation,
        test=test,
        fingerprint=contents.fingerprint,
        split_fingerprint=split_fingerprint(contents, chosen),
        bad_images=contents.bad_images,
        notes=(*contents.notes, *notes, *chosen.notes),
        contents=contents,
    )


def _with_more(
    images: CachedImages, config: TrainConfig, paths: Paths, report: Callable[[str], None]
) -> tuple[CachedImages, tuple[str, ...]]:
    if config.more_images is None:
        return images, ()
    folder = Path(config.more_images).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"There is no folder of more images {folder}.", hint="Check the path, or leave it out.")
    more = labelled_images(folder, paths.cache, side=images.pixels.shape[1], report=report)
    if not config.skip_bad_images:
        check_readable(more.contents)
    images, note = with_more_images(images, more, source=str(folder))
    return images, (note,)


def _splits(
    images: CachedImages, chosen: Partition, channels: int, titles: dict[str, str]
) -> tuple[Split, Split | None, Split]:
    train, test = (
        _split(images, role, channels, _title(role, titles, default))
        for role, default in ((chosen.train, "train"), (chosen.test, "test"))
    )
    if chosen.validation is None or chosen.validation is chosen.test:
        return train, test if chosen.validation else None, test
    title = _title(chosen.validation, titles, "validation")
    return train, _split(images, chosen.validation, channels, title), test


def _title(role: Role, titles: dict[str, str], default: str) -> str:
    return " + ".join(titles.get(part, part) for part in role.parts) or default


def _split(images: CachedImages, role: Role, channels: int, name: str) -> Split:
    contents, positions = images.contents, role.positions
    return Split(
        name=name,
        labels=contents.label_numbers[positions],
        hashes=contents.hashes[positions],
        channels=channels,
        _names=[contents.names[position] for position in positions],
        _pixels=images.pixels,
        _rows=contents.rows[positions],
    )
