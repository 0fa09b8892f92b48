"""What lies in the inbox, <label>/…: which of its images a training may take, and why it may not take the others.

A training image of the data set that lies here under another label is a correction: it is trained on in its original's
place. Images are told apart by their decoded pixels, not by their names.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core.data.cache import Report, cached_images
from fer_core.data.contents import Contents
from fer_core.data.dataset import Dataset, ignore
from fer_core.data.face_finding import FaceFinder
from fer_core.data.sources import labelled_source
from fer_core.errors import did_you_mean
from fer_core.labels import known_label


@dataclass(frozen=True)
class AcceptedImage:
    """An image to train on. `content` is its 64-bit hash; `is_new`: the model in use has not been trained on it."""

    name: str
    label: str
    content: int
    is_new: bool


@dataclass(frozen=True)
class RefusedImage:
    """An image that must not be trained on, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class InboxContents:
    """The images of an inbox; names are paths in it."""

    accepted: tuple[AcceptedImage, ...]
    refused: tuple[RefusedImage, ...]

    @property
    def new(self) -> int:
        """How many accepted images the model in use has not been trained on."""
        return sum(image.is_new for image in self.accepted)


def read_inbox(
    inbox: Path,
    dataset: Dataset,
    known: np.ndarray,
    finder: FaceFinder,
    *,
    corrected: Collection[tuple[str, int]] = (),
    report: Report = ignore,
) -> InboxContents:
    """Returns what lies in the inbox; nothing where there is no such folder.

    Args:
        dataset: what the images would be added to: its classes are the only ones, and what it has is refused.
        known: content hashes, uint64 (n,), of what the model in use was trained on.
        finder: finds the faces in its pictures.
        corrected: label and content hash of the images that were added when it was trained.

    Raises:
        DatasetError: the folder cannot be read.
    """
    if not inbox.is_dir():
        return InboxContents((), ())
    # One picture of one class is enough.
    source = labelled_source(inbox, finder)
    contents = cached_images(source, finder.paths.cache, side=dataset.side, report=report, needs_classes=False).contents
    # What the data calls the class of each image: anger is angry. A class that it has not keeps its name.
    called = {label: known_label(label, dataset.labels) or label for label in contents.labels}
    labels = [called[contents.label(position)] for position in range(len(contents))]
    accepted, refused = [], [RefusedImage(bad.name, f"cannot be read: {bad.reason}") for bad in contents.bad_images]
    taken, left_out = set(contents.names), {"no face is found in it": contents.report.without_face}
    left_out["several faces are found in it"] = contents.report.several_faces
    refused += [RefusedImage(name, why) for why, names in left_out.items() for name in names if name not in taken]
    # The model in use knows the picture of a correction: under its former label.
    is_new = ~np.isin(contents.hashes, known) | np.isin(contents.hashes, dataset.contents.hashes)
    for position, objection in enumerate(_objections(contents, dataset, labels)):
        name, label, content = contents.names[position], labels[position], int(contents.hashes[position])
        if objection:
            refused.append(RefusedImage(name, objection))
        else:
            added_before = (label, content) in corrected
            accepted.append(AcceptedImage(name, label, content, bool(is_new[position]) and not added_before))
    return InboxContents(*(tuple(sorted(images, key=lambda image: image.name)) for images in (accepted, refused)))


def sentences(found: InboxContents, inbox: Path) -> Iterator[str]:
    """Yields what to say of a look: how many images there are, and each refused one by name."""
    known = len(found.accepted) - found.new
    yield f"Inbox {inbox}: {found.new:,} new images, {known:,} known ones, {len(found.refused):,} refused."
    yield from (f"Refused: {image.name}: {image.reason}." for image in found.refused)


def _objections(contents: Contents, dataset: Dataset, labels: list[str]) -> Iterator[str]:
    """Yields what there is against each image, or ''. `labels` are those of the images.

    Of several copies under one label the first is taken; under several labels none, since nobody knows which is right.
    """
    tested, data = set(dataset.test.hashes.tolist()), dataset.contents
    own = dict(zip(data.hashes.tolist(), data.label_numbers.tolist(), strict=True))
    kept = set(data.hashes[~data.trains].tolist())
    copies: dict[int, list[int]] = {}
    for position, content in enumerate(contents.hashes.tolist()):
        if labels[position] in dataset.labels:
            copies.setdefault(content, []).append(position)
    for position, content in enumerate(contents.hashes.tolist()):
        label, group = labels[position], copies.get(content, [])
        others = sorted({labels[other] for other in group} - {label})
        if label not in dataset.labels:
            yield f"the data has no class {label!r}. {did_you_mean(label, dataset.labels).rstrip('.')}"
        elif content in tested:
            yield "a copy of a test image"
        elif content in own and (content in kept or dataset.labels[own[content]] == label):
            yield f"the data has it already, as {dataset.labels[own[content]]}"
        elif others:
            yield f"the same picture also lies under {', '.join(others)}"
        else:
            yield "" if position == group[0] else f"a copy of {contents.names[group[0]]}"
