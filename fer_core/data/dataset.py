"""`load_dataset`: from what --data says to the images that train, validate and test, mapped from disk.

Shuffles nothing, scales nothing, augments nothing.
"""

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.cache import CachedImages, cached_images
from fer_core.data.contents import MORE_IMAGES, BadImage, Contents, Source
from fer_core.data.face_finding import FaceFinder
from fer_core.data.sources import labelled_source, open_source
from fer_core.data.splits import FER2013, Role, fer2013_titles, not_measured, partition, split_fingerprint
from fer_core.errors import DatasetError, did_you_mean
from fer_core.labels import known_label
from fer_core.paths import Paths, expanded, find_source


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
    _names: np.ndarray = field(repr=False)
    _pixels: np.ndarray = field(repr=False)
    _rows: np.ndarray = field(repr=False)
    shares: np.ndarray | None = None
    """Of votes, where there are some: float32 (n, labels)."""

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, positions: slice | np.ndarray) -> np.ndarray:
        """Returns the images at these positions of the split, read from disk: uint8 (k, side, side, channels)."""
        pixels = np.asarray(self._pixels[self._rows[positions]])
        if pixels.ndim == 4:  # in colours
            return pixels
        pixels = pixels[..., np.newaxis]
        return pixels if self.channels == 1 else np.repeat(pixels, self.channels, axis=3)

    def part(self, positions: slice | np.ndarray) -> "Split":
        """Returns some of the images as a split of their own."""
        chosen = {name: getattr(self, name)[positions] for name in ("labels", "hashes", "_names", "_rows")}
        return replace(self, **chosen, shares=None if self.shares is None else self.shares[positions])

    def of_labels(self, numbers: np.ndarray) -> "Split":
        """Returns the images with labels of new numbers, int64 (labels,); those of a label that has -1 are left out."""
        chosen = self.part(np.flatnonzero(numbers[self.labels] >= 0))
        return replace(chosen, labels=numbers[chosen.labels], shares=None)

    def names(self, positions: slice | np.ndarray) -> list[str]:
        """Returns the images' names in their source: paths, or lines of a csv."""
        return self._names[positions].tolist()


@dataclass(frozen=True)
class Dataset:
    """Images to train on, and what is known of them.

    `fingerprint` and `split_fingerprint` are sha256 (hex) over contents and labels of all images, with the source's
    parts and with the roles chosen here; neither depends on names or order. `notes` are sentences for the run's output.
    `pixels` uint8 (rows, side, side), in colours (rows, side, side, 3), are those of all images: of image i of the
    contents, pixels[contents.rows[i]].
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
    pixels: np.ndarray = field(repr=False)

    def of_classes(self, known: Collection[str]) -> "Dataset":
        """Returns the images of these classes alone; the fingerprints stay."""
        labels = tuple(label for label in self.labels if label in known)
        if labels == self.labels:
            return self
        numbers = np.array([labels.index(label) if label in labels else -1 for label in self.labels], np.int64)
        test = self.test.of_labels(numbers)
        is_test = self.validation is self.test
        validation = test if is_test else self.validation and self.validation.of_labels(numbers)
        validation = validation if validation is not None and len(validation) else None
        return replace(self, labels=labels, train=self.train.of_labels(numbers), validation=validation, test=test)

    def hashes_seen_before_test(self) -> np.ndarray:
        """Returns the content hashes, uint64 (n,), of all that training or its choices saw: sorted, each once."""
        parts = [part.hashes for part in (self.train, self.validation) if part is not None]
        return np.unique(np.concatenate(parts))


class Unsplit(NamedTuple):
    """What is known of images that cannot be split into train, validation and test."""

    name: str
    source: str
    contents: Contents
    pixels: np.ndarray


class UnsplitError(DatasetError):
    """The images cannot be split; `images` is what can be audited all the same."""

    def __init__(self, error: DatasetError, images: Unsplit):
        super().__init__(str(error), hint=error.hint)
        self.images = images


@dataclass(frozen=True)
class _JoinedPixels:
    """Two files of pixels as one: the rows of `more` follow on those of `own`."""

    own: np.ndarray
    more: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.own) + len(self.more), *self.own.shape[1:]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        pixels = np.empty((len(rows), *self.own.shape[1:]), np.uint8)
        is_more = rows >= len(self.own)
        pixels[~is_more] = self.own[rows[~is_more]]
        pixels[is_more] = self.more[rows[is_more] - len(self.own)]
        return pixels


def load_dataset(
    config: TrainConfig,
    paths: Paths,
    *,
    side: int,
    channels: int = 1,
    colours: str = "gray",
    report: Callable[[str], None] = ignore,
) -> Dataset:
    """Returns the data set that the settings describe, decoding it into the cache where it is not there yet.

    Args:
        side: of the images, in pixels.
        channels: 1, or 3 for the same gray three times.
        colours: "rgb" reads and keeps colours, where there are any; channels are 3 then.
        report: gets progress sentences such as "decoding 12,000 of 32,298 images".

    Raises:
        DatasetError: the data is not usable as it is; the text says what was found.
    """
    source = open_source(find_source(config.data, os.environ), config, paths)
    images, notes = cached_images(source, paths.cache, side=side, colours=colours, report=report), ()
    if not config.skip_bad_images:
        images.contents.check_readable()
    if config.more_images is not None:
        images, notes = _with_more_images(images, config, paths, report, colours=colours)
    return _divided(source, images, config, channels=channels, notes=notes)


def load_as_trained(config: TrainConfig, paths: Paths, *, labels: tuple[str, ...] | None, **options: Any) -> Dataset:
    """Returns and raises what `load_dataset` does, with the classes named as when a model was trained on them.

    Before classes had aliases, Anger was a class called anger. `labels` None: nothing has been trained yet.
    """
    dataset = load_dataset(config, paths, **options)
    if labels in (None, dataset.labels) or config.label_map is not None:
        return dataset
    unnamed = load_dataset(config.model_copy(update={"label_map": "none"}), paths, **options)
    return unnamed if unnamed.labels == labels else dataset


def settled_detector(config: TrainConfig, dataset: Dataset) -> dict[str, str]:
    """Returns the setting of the detector as it holds anywhere: by its name, where one looked for faces."""
    return {"face_detector": dataset.contents.report.detector or config.face_detector}


def _divided(
    source: Source, images: CachedImages, config: TrainConfig, *, channels: int, notes: tuple[str, ...]
) -> Dataset:
    contents = images.contents
    titles = fer2013_titles(contents) or {}
    has_votes = bool(contents.report.votes)
    name = FER2013 if titles else "FER+" if has_votes else source.name
    try:
        chosen = partition(contents, config)
    except DatasetError as error:
        raise UnsplitError(error, Unsplit(name, source.location, contents, images.pixels)) from None
    roles = {"train": chosen.train, "test": chosen.test, "validation": chosen.validation}
    splits = {name: _split(images, role, channels, titles, name) for name, role in roles.items() if role is not None}
    if chosen.validation is chosen.test:
        splits["validation"] = splits["test"]
    return Dataset(
        name=name,
        source=source.location,
        labels=contents.labels,
        side=images.pixels.shape[1],
        channels=channels,
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits["test"],
        fingerprint=contents.fingerprint,
        split_fingerprint=split_fingerprint(contents, chosen),
        bad_images=contents.bad_images,
        notes=(*contents.notes, *notes, *chosen.notes, *not_measured(contents, chosen)),
        contents=contents,
        pixels=images.pixels,
    )


def _split(images: CachedImages, role: Role, channels: int, titles: dict[str, str], default: str) -> Split:
    contents, positions = images.contents, role.positions
    name = role.name or " + ".join(titles.get(part, part) for part in role.parts) or default
    return Split(
        name=f"{name} (FER+ majority)" if contents.report.votes else name,
        labels=contents.label_numbers[positions],
        hashes=contents.hashes[positions],
        channels=channels,
        _names=np.array(contents.names, object)[positions],
        _pixels=images.pixels,
        _rows=contents.rows[positions],
        shares=None if contents.shares is None else contents.shares[positions],
    )


def _with_more_images(
    own: CachedImages, config: TrainConfig, paths: Paths, report: Callable[[str], None], *, colours: str
) -> tuple[CachedImages, tuple[str]]:
    """Returns a data set's images and those of --more-images that it does not have, and a note on how many these are.

    They train and validate, and are never tested on. What the data set has already is left out: so no test image comes
    back as a training image, and the test images are the same with and without them. A training image that comes back
    under another label is corrected: `partition` leaves the original out.
    """
    folder = expanded(config.more_images)
    if not folder.is_dir():
        raise DatasetError(f"There is no folder of more images {folder}.", hint="Check the path, or leave it out.")
    side = own.pixels.shape[1]
    source = labelled_source(folder, FaceFinder.beside(own.contents, config, paths))
    more = cached_images(source, paths.cache, side=side, colours=colours, report=report, needs_classes=False)
    contents = more.contents
    if not config.skip_bad_images:
        contents.check_readable()
    _check_labels(contents, own.contents.labels, folder)
    is_known, is_correction = np.isin(contents.hashes, own.contents.hashes), _corrections(contents, own.contents)
    is_new = ~is_known | is_correction
    added, corrected = int(is_new.sum()), int(is_correction.sum())
    note = f"More images: {added:,} of {folder}, for training and validation."
    if added < len(contents):
        note += f" {len(contents) - added:,} are left out, as the data has them already."
    if corrected:
        note += f" {corrected:,} of them correct a label of the data, where they are not held out for test."
    if not added:
        return own, (note,)
    joined = _joined(own.contents, contents, is_new, len(own.pixels))
    return CachedImages(joined, _JoinedPixels(own.pixels, more.pixels)), (note,)


def _corrections(more: Contents, own: Contents) -> np.ndarray:
    """Returns which images are training images of the data set under another label, and in no other part: bool (n,)."""
    trains = own.trains
    labels = dict(zip(own.hashes[trains].tolist(), own.label_numbers[trains].tolist(), strict=True))
    elsewhere = set(own.hashes[~trains].tolist())
    known = {label: known_label(label, own.labels) for label in more.labels}
    return np.array(
        [
            content in labels
            and content not in elsewhere
            and own.labels[labels[content]] != known[more.label(position)]
            for position, content in enumerate(more.hashes.tolist())
        ],
        bool,
    )


def _check_labels(more: Contents, labels: tuple[str, ...], folder: Path) -> None:
    if not len(more):
        raise DatasetError(f"{folder} holds no pictures in folders of emotions.", hint="Expected is <emotion>/….")
    unknown = next((label for label in more.labels if known_label(label, labels) is None), None)
    if unknown is not None:
        raise DatasetError(
            f"{folder} has a folder {unknown!r}; the data has no such class.", hint=did_you_mean(unknown, labels)
        )


def _joined(own: Contents, more: Contents, is_new: np.ndarray, own_rows: int) -> Contents:
    numbers = np.array([own.labels.index(known_label(label, own.labels)) for label in more.labels], np.int64)
    new = more.taken(np.flatnonzero(is_new))
    labels, count = numbers[new.label_numbers], len(new)
    added = {"label_numbers": labels, "part_numbers": np.full(count, len(own.parts)), "rows": new.rows + own_rows}
    added |= {"hashes": new.hashes, "deviations": new.deviations}
    if own.shares is not None:
        added |= {"shares": np.eye(len(own.labels))[labels], "only_trains": np.zeros(count, bool)}
    detector = own.report.detector or more.report.detector
    return replace(
        own,
        parts=(*own.parts, MORE_IMAGES),
        names=[*own.names, *new.names],
        bad_images=(*own.bad_images, *more.bad_images),
        report=replace(own.report, notes=[*own.report.notes, *more.notes], detector=detector),
        persons=(*own.persons, *[""] * count) if own.persons else (),
        **{name: np.concatenate([getattr(own, name), column]) for name, column in added.items()},
    ).fingerprinted()
