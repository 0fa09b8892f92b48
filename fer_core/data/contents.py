"""The images of a source: how it hands them to the decoder, and what is known of them once they are decoded."""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_core.data.report import DataReport
from fer_core.errors import DatasetError, printable
from fer_core.labels import in_model_order

ALL_IMAGES = "all images"
"""The part of every image of a source that is not split into train and test."""
MORE_IMAGES = "more images"
"""The part of the images that were added to a source: they train and validate, and never test."""
TRAINING_PARTS = ("train", "Training", ALL_IMAGES, MORE_IMAGES)
"""The parts that are trained on."""

if TYPE_CHECKING:
    from fer_core.data.face_finding import FaceFinder
    from fer_core.data.tree import FaceBox

_ARRAYS, _WORDS = "contents.npz", "contents.json"
_COLUMNS = ("part_numbers", "label_numbers", "hashes", "deviations", "rows")
_CLASSES_HINT = "At least two emotions are needed, each a folder of pictures (or a number in fer2013.csv)."


class Known(NamedTuple):
    """What a data set says of a picture besides its label.

    `shares`: how much of the votes each label has, empty without votes; `only_trains`: it is no yardstick.
    """

    person: str = ""
    shares: tuple[tuple[str, float], ...] = ()
    only_trains: bool = False


NOTHING_KNOWN = Known()


@dataclass(frozen=True)
class Picture:
    """One image of a source, not read yet.

    `read` returns uint8 gray, BGR or BGRA of any size, or raises UnreadablePictureError; any thread may call it.
    `held_bytes` is what it keeps in memory until it is read (a picture out of a stream; otherwise 0).
    `known` is what a data set says of it besides; `box` is where its face is.
    """

    name: str
    part: str
    label: str
    read: Callable[[], np.ndarray]
    held_bytes: int = 0
    known: Known = NOTHING_KNOWN
    box: "FaceBox | None" = None


@dataclass(frozen=True)
class Listing:
    """The images of an opened source; `count` is None where only reading them tells.

    `report` says how they were found; it is complete when the last of them was taken.
    """

    pictures: Iterable[Picture]
    count: int | None
    report: DataReport = field(default_factory=DataReport)


@dataclass(frozen=True)
class Source:
    """Images that can be loaded.

    `name` and `location` are for people; `place` tells sources apart; `identity` changes whenever an image changes and
    is found without decoding or unpacking.
    """

    name: str
    location: str
    place: str
    identity: str
    open: Callable[[], AbstractContextManager[Listing]]
    faces: "FaceFinder | None" = None
    """What finds the faces in its pictures; None where they are the faces."""


class DecodedImage(NamedTuple):
    """What is kept of an image beside its pixels, in the order of the columns that images are sorted by.

    `content` is a 64-bit hash of size and gray pixels at their own size, `deviation` their standard deviation.
    """

    part: str
    label: str
    content: int
    name: str
    deviation: float
    known: Known = NOTHING_KNOWN


@dataclass(frozen=True)
class BadImage:
    """A picture that could not be read, and why."""

    name: str
    reason: str


class UnreadableImagesError(DatasetError):
    """Some images cannot be read; `bad_images` are all of them."""

    def __init__(self, bad_images: tuple[BadImage, ...]):
        first = "; ".join(f"{bad.name} ({bad.reason})" for bad in bad_images[:3])
        more = f"; and {len(bad_images) - 3:,} more" if len(bad_images) > 3 else ""
        super().__init__(
            f"{len(bad_images):,} {'images' if len(bad_images) > 1 else 'image'} cannot be read: {first}{more}.",
            hint="Repair or remove them, or go on without them with --skip-bad-images.",
        )
        self.bad_images = bad_images


@dataclass(frozen=True)
class Contents:
    """The images of a source, sorted by part, label and content: equal fingerprints mean equal images in equal order.

    Arrays of one entry per image: `part_numbers` and `label_numbers` int64 (positions in `parts` and `labels`),
    `hashes` uint64, `deviations` float32, `rows` int64 (where its pixels lie in the file of pixels).
    """

    parts: tuple[str, ...]
    labels: tuple[str, ...]
    names: list[str]
    part_numbers: np.ndarray
    label_numbers: np.ndarray
    hashes: np.ndarray
    deviations: np.ndarray
    rows: np.ndarray
    bad_images: tuple[BadImage, ...]
    report: DataReport
    fingerprint: str
    persons: tuple[str, ...] = ()
    """Of each image; empty where they are not known."""
    shares: np.ndarray | None = None
    """Of votes: (images, labels), each row sums to 1."""
    only_trains: np.ndarray | None = None
    """With votes: which images, bool, have no label that could be scored."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be said of how they were read."""
        return self.report.sentences()

    def __len__(self) -> int:
        return len(self.rows)

    def label(self, position: int) -> str:
        """Returns the label of the image at this position."""
        return self.labels[self.label_numbers[position]]

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns images per part and label."""
        table = np.zeros((len(self.parts), len(self.labels)), np.int64)
        np.add.at(table, (self.part_numbers, self.label_numbers), 1)
        rows = [dict(zip(self.labels, row, strict=True)) for row in table.tolist()]
        return dict(zip(self.parts, rows, strict=True))

    def in_part(self, part: str) -> np.ndarray:
        """Returns the positions of the part's images, int64."""
        return np.flatnonzero(self.part_numbers == self.parts.index(part))

    @classmethod
    def of(cls, images: Sequence[DecodedImage], bad_images: Iterable[BadImage], report: DataReport) -> "Contents":
        """Returns the contents of a source, sorted and fingerprinted, whose images were decoded in this order."""
        order = sorted(range(len(images)), key=lambda row: images[row][:-1])
        ordered = [images[row] for row in order]
        parts = tuple(sorted({image.part for image in images}))
        labels = in_model_order(image.label for image in images)
        label_numbers = np.array([labels.index(image.label) for image in ordered], np.int64)
        known = [image.known for image in ordered]
        persons = tuple(one.person for one in known) if known and all(one.person for one in known) else ()
        if persons:
            report.persons = len(set(persons))
        has_votes = any(one.shares for one in known)
        return cls(
            parts=parts,
            labels=labels,
            names=[image.name for image in ordered],
            part_numbers=np.array([parts.index(image.part) for image in ordered], np.int64),
            label_numbers=label_numbers,
            hashes=np.array([image.content for image in ordered], np.uint64),
            deviations=np.array([image.deviation for image in ordered], np.float32),
            rows=np.array(order, np.int64),
            bad_images=tuple(sorted(bad_images, key=lambda bad: bad.name)),
            report=report,
            fingerprint="",
            persons=persons,
            shares=_shares(known, label_numbers, labels) if has_votes else None,
            only_trains=np.array([one.only_trains for one in known]) if has_votes else None,
        ).fingerprinted()

    @property
    def trains(self) -> np.ndarray:
        """Which images are of a part that is trained on: bool (images,)."""
        return np.isin(self.part_numbers, [self.parts.index(part) for part in TRAINING_PARTS if part in self.parts])

    def taken(self, positions: np.ndarray, **changes: object) -> "Contents":
        """Returns the contents of these images alone, int64 (k,), with other values of some fields."""
        columns = {name: getattr(self, name)[positions] for name in _COLUMNS}
        votes = {name: getattr(self, name) for name in ("shares", "only_trains")}
        columns |= {name: column[positions] for name, column in votes.items() if column is not None}
        persons = tuple(self.persons[position] for position in positions) if self.persons else ()
        names = [self.names[position] for position in positions]
        return replace(self, **columns | {"names": names, "persons": persons} | changes).fingerprinted()

    def fingerprinted(self) -> "Contents":
        """Returns the contents with the fingerprint that belongs to them."""
        numbers = (self.label_numbers, self.part_numbers)
        return replace(self, fingerprint=fingerprint(self.hashes, numbers, (self.labels, self.parts)))

    def of_trained_classes(self, trained: Collection[str]) -> "Contents":
        """Returns the contents without the classes that no part to train on has; the report names them.

        Args:
            trained: the parts to train on. Where there are none of them, all stays.
        """
        counts = self.counts()
        training = [counts[part] for part in self.parts if part in trained]
        lacking = [label for label in self.labels if training and not any(one[label] for one in training)]
        if not lacking or len(lacking) == len(self.labels):
            return self
        kept = tuple(label for label in self.labels if label not in lacking)
        columns = [self.labels.index(label) for label in kept]
        positions = np.flatnonzero(np.isin(self.label_numbers, columns))
        for label in lacking:
            images = sum(one[label] for one in counts.values())
            self.report.leave_out(f"as training has none of its class ({label})", images=images)
        changes = {"labels": kept, "label_numbers": np.searchsorted(columns, self.label_numbers[positions])}
        if self.shares is not None:
            shares = self.shares[positions][:, columns]
            own = np.eye(len(kept), dtype=shares.dtype)[changes["label_numbers"]]
            shares = np.where(shares.any(axis=1, keepdims=True), shares, own)
            changes["shares"] = shares / shares.sum(axis=1, keepdims=True)
        return self.taken(positions, **changes)

    def save(self, folder: Path) -> None:
        """Writes the contents into the folder."""
        words = asdict(self)
        arrays = {name: value for name, value in words.items() if isinstance(value, np.ndarray)}
        words = {name: value for name, value in words.items() if name not in arrays}
        np.savez(folder / _ARRAYS, **arrays)
        (folder / _WORDS).write_text(json.dumps(words), encoding="ascii")

    @classmethod
    def load(cls, folder: Path) -> "Contents":
        """Returns what `save` wrote; raises OSError, ValueError or KeyError where it is not whole."""
        words = json.loads((folder / _WORDS).read_text(encoding="ascii"))
        with np.load(folder / _ARRAYS) as arrays:
            words.update({name: arrays[name] for name in arrays.files})
        words["report"] = DataReport.from_json(words["report"])
        for name in ("parts", "labels", "persons"):
            words[name] = tuple(words[name])
        words["bad_images"] = tuple(BadImage(**bad) for bad in words["bad_images"])
        return cls(**words)

    def check_readable(self) -> None:
        """Raises UnreadableImagesError where some image could not be decoded."""
        if self.bad_images:
            raise UnreadableImagesError(self.bad_images)

    def check_classes(self, source: str) -> None:
        """Raises DatasetError where there are no images, or fewer than two classes."""
        if not len(self):
            self.check_readable()
            raise DatasetError(f"{source} has no images.", hint=_CLASSES_HINT)
        unwritable = next((label for label in self.labels if printable(label, kept="") != label), None)
        if unwritable is not None:
            raise DatasetError(f"{source}: the label {unwritable!a} has control characters.", hint="Rename it.")
        if len(self.labels) < 2:
            raise DatasetError(f"{source} has one class only, {self.labels[0]!r}.", hint=_CLASSES_HINT)


def _shares(known: Sequence[Known], label_numbers: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Returns the shares of the labels that the images have; all of an image's own where it has no votes."""
    shares = np.eye(len(labels), dtype=np.float32)[label_numbers]
    for row, one in enumerate(known):
        mine = np.zeros(len(labels), np.float32)
        for label, share in one.shares:
            if label in labels:
                mine[labels.index(label)] += share
        if mine.any():
            shares[row] = mine / mine.sum()
    return shares


def fingerprint(hashes: np.ndarray, numbers: Sequence[np.ndarray], names: Sequence[Sequence[str]]) -> str:
    """Returns a sha256 (hex) over the images as a set: contents, columns of numbers, and the names those stand for."""
    order = np.lexsort((*numbers, hashes))
    digest = hashlib.sha256(json.dumps([list(column) for column in names]).encode())
    digest.update(hashes[order].astype(">u8"))
    for column in numbers:
        digest.update(column[order].astype(">u4"))
    return digest.hexdigest()
