"""What lies in the inbox, <label>/…: which of its images a training may take, and why it may not take the others.

Looks only: copies, moves and deletes nothing. Images are told apart by their decoded pixels, not by their names.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core.data.cache import Report, cached_images
from fer_core.data.contents import Contents
from fer_core.data.dataset import Dataset, ignore
from fer_core.data.folder import labelled_source
from fer_core.errors import did_you_mean

Objection = Callable[[int], str]
"""Returns what there is against an image (by its position in the contents), or ''."""


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
    inbox: Path, dataset: Dataset, known: np.ndarray, *, cache: Path, report: Report = ignore
) -> InboxContents:
    """Returns what lies in the inbox; nothing where there is no such folder.

    Args:
        dataset: what the images would be added to: its classes are the only ones, and what it has is refused.
        known: content hashes, uint64 (n,), of what the model in use was trained on.

    Raises:
        DatasetError: the folder cannot be read.
    """
    if not inbox.is_dir():
        return InboxContents((), ())
    # One picture of one class is enough.
    source = labelled_source(inbox)
    contents = cached_images(source, cache, side=dataset.side, report=report, needs_classes=False).contents
    objections = (_of_labels(contents, dataset), _of_the_data(contents, dataset), _of_each_other(contents, dataset))
    accepted, refused = [], [RefusedImage(bad.name, f"cannot be read: {bad.reason}") for bad in contents.bad_images]
    is_new = ~np.isin(contents.hashes, known)
    for position, name in enumerate(contents.names):
        reason = next(filter(None, (objection(position) for objection in objections)), "")
        if reason:
            refused.append(RefusedImage(name, reason))
        else:
            content = int(contents.hashes[position])
            accepted.append(AcceptedImage(name, contents.label(position), content, bool(is_new[position])))
    return InboxContents(*(tuple(sorted(images, key=lambda image: image.name)) for images in (accepted, refused)))


def sentences(found: InboxContents, inbox: Path) -> Iterator[str]:
    """Yields what to say of a look: how many images there are, and each refused one by name."""
    known = len(found.accepted) - found.new
    yield f"Inbox {inbox}: {found.new:,} new images, {known:,} known ones, {len(found.refused):,} refused."
    yield from (f"Refused: {image.name}: {image.reason}." for image in found.refused)


def _of_labels(contents: Contents, dataset: Dataset) -> Objection:
    def objection(position: int) -> str:
        label = contents.label(position)
        if label in dataset.labels:
            return ""
        return f"the data has no class {label!r}. {did_you_mean(label, dataset.labels).rstrip('.')}"

    return objection


def _of_the_data(contents: Contents, dataset: Dataset) -> Objection:
    tested = set(dataset.test.hashes.tolist())
    own = dict(zip(dataset.contents.hashes.tolist(), dataset.contents.label_numbers.tolist(), strict=True))

    def objection(position: int) -> str:
        content = int(contents.hashes[position])
        if content in tested:
            return "a copy of a test image"
        return f"the data has it already, as {dataset.labels[own[content]]}" if content in own else ""

    return objection


def _of_each_other(contents: Contents, dataset: Dataset) -> Objection:
    """Of several copies under one label the first is taken; under several labels none, since nobody knows which."""
    copies: dict[int, list[int]] = {}
    for position, content in enumerate(contents.hashes.tolist()):
        if contents.label(position) in dataset.labels:
            copies.setdefault(content, []).append(position)

    def objection(position: int) -> str:
        group = copies[int(contents.hashes[position])]
        others = sorted({contents.label(other) for other in group} - {contents.label(position)})
        if others:
            return f"the same picture also lies under {', '.join(others)}"
        return "" if position == group[0] else f"a copy of {contents.names[group[0]]}"

    return objection
