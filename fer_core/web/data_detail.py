"""What is shown of a data set that was read: how it was read, what the audit found, and its images.

And what is kept of it for the next retraining: <label>/<name>.png in the inbox, each under one label. A training image
is kept as it is in its source, so that a training knows it again and takes it in the place of the original. Test and
validation images keep their labels: scores could not be compared with earlier ones.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from fer_core.data.audit import BLANK_DEVIATION
from fer_core.data.contents import TRAINING_PARTS
from fer_core.data.splits import PART_ORDER, fer2013_titles
from fer_core.errors import ConfigError, DatasetError, NotFoundError, did_you_mean
from fer_core.evaluation.audit_report import SuspiciousLabel
from fer_core.paths import Paths
from fer_core.store.files import write_atomically
from fer_core.web import answers
from fer_core.web.background import Work
from fer_core.web.data_sets import CHANGED, OpenedData

SHOWN = 60
"""Images at a time."""
LABEL = re.compile(r"[^\W_][\w -]{0,120}")
"""A folder of the inbox."""
FINDINGS = {
    "suspicious": "Labels that are probably wrong",
    "conflicting": "Copies with more than one label",
    "across": "Copies in more than one split",
    "near": "Nearly the same in another split",
    "copies": "Identical copies",
    "blank": "Blank pictures",
    "kept": "Relabelled, waiting in the inbox",
}
_COLUMNS = 10
_LARGEST = 96
"""Pixels across a picture of a sheet."""
_GUTTER = 2
"""Around each picture of a sheet its edge is repeated, so that a scaled one shows nothing of its neighbours."""
_UNREADABLE_SHOWN = 50


class Noted(NamedTuple):
    """An image of a finding, and what is said of it there."""

    position: int
    note: str = ""
    suggestion: str = ""


class Look:
    """A data set as it is looked at now: with the suspicious labels and the corrections of this moment."""

    def __init__(self, opened: OpenedData, suspicious: list[SuspiciousLabel] | None, inbox: Path):
        contents = opened.contents
        self.opened, self.contents = opened, contents
        self.suspicious = [one for one in suspicious or () if one.name in opened.positions]
        self.was_audited = suspicious is not None
        self.titles = fer2013_titles(contents) or {part: part for part in contents.parts}
        self.parts = sorted(contents.parts, key=PART_ORDER.index)
        self._kept = {path.stem: path.parent.name for path in inbox.glob("[!.]*/" + "[0-9a-f]" * 16 + ".png")}

    def trains(self, position: int) -> bool:
        """Returns whether an image is one of a part that is trained on."""
        return self.contents.parts[self.contents.part_numbers[position]] in TRAINING_PARTS

    def findings(self) -> dict[str, list[Noted]]:
        """Returns the images of each finding, in an order in which they can be compared."""
        return {name: list(getattr(self, f"_{name}_images")()) for name in FINDINGS}

    def images(self, query: answers.ImagesQuery) -> answers.ImagesAnswer:
        """Returns a page of images. Raises NotFoundError for a split, label or finding that there is not."""
        contents = self.contents
        for value, known in ((query.split, self.parts), (query.label, contents.labels), (query.finding, FINDINGS)):
            if value and value not in known:
                raise NotFoundError(f"There is no {value[:60]!r} here.", hint=did_you_mean(value, known))
        if query.finding:
            found = list(getattr(self, f"_{query.finding}_images")())
        else:
            found = [Noted(position) for part in self.parts for position in contents.in_part(part).tolist()]
        if query.split:
            found = [one for one in found if contents.parts[contents.part_numbers[one.position]] == query.split]
        if query.label:
            found = [one for one in found if contents.label(one.position) == query.label]
        start = min(query.start, len(found))
        shown = [self._image(one) for one in found[start : start + SHOWN]]
        return answers.ImagesAnswer(mark=self.opened.mark, count=len(found), start=start, images=shown)

    def relabel(self, asked: answers.RelabelRequest, paths: Paths) -> dict[str, int]:
        """Keeps training images under another label, or takes that back where it is their own; returns how many.

        Raises ConfigError: there is no such label or image, or it is no training image. DatasetError: it has changed.
        """
        opened, contents = self.opened, self.contents
        if asked.mark != opened.mark:
            raise DatasetError(f"{opened.choice.name} has changed since the page was made.", hint=CHANGED)
        if asked.label and asked.label not in contents.labels:
            hint = did_you_mean(asked.label, contents.labels)
            raise ConfigError(f"The data has no class {asked.label[:60]!r}.", hint=hint)
        suggested = {} if asked.label else {opened.positions[one.name]: one.prediction for one in self.suspicious}
        wanted: dict[int, str] = {}
        for position in asked.images:
            if not 0 <= position < len(contents) or not self.trains(position):
                raise ConfigError("Only training images can be relabelled.", hint="Test images keep their labels.")
            label = asked.label or suggested.get(position)
            if label is None:
                raise ConfigError("Nothing suggests a label for one of them.", hint="Choose one.")
            wanted[position] = label
        own = [position for position, label in wanted.items() if label == contents.label(position)]
        others = [position for position in wanted if position not in own]
        taken_back = sum(bool(take_back(paths.inbox, self._file_name(position))) for position in own)
        for position, face_gray in opened.originals(others, paths).items():
            png = cv2.imencode(".png", face_gray)[1].tobytes()
            keep(paths.inbox, wanted[position], self._file_name(position), png)
        return {"kept": len(others), "taken_back": taken_back}

    def _file_name(self, position: int) -> str:
        return f"{self.contents.hashes[position]:016x}.png"

    def _image(self, one: Noted) -> answers.DataImageAnswer:
        contents, position = self.contents, one.position
        return answers.DataImageAnswer(
            position=position,
            name=contents.names[position],
            label=contents.label(position),
            split=self.titles[contents.parts[contents.part_numbers[position]]],
            may_be_relabelled=self.trains(position),
            kept_as=self._kept.get(f"{contents.hashes[position]:016x}", ""),
            note=one.note,
            suggestion=one.suggestion,
        )

    def _suspicious_images(self) -> Iterator[Noted]:
        for one in self.suspicious:
            note = f"{one.prediction} {one.probability:.0%}, {one.label} {one.confidence:.0%}"
            yield Noted(self.opened.positions[one.name], note, one.prediction)

    def _conflicting_images(self) -> Iterator[Noted]:
        groups = chain.from_iterable(part.conflicting for part in self.opened.audit.parts)
        for group in groups:
            for name, label in group.items():
                others = sorted({*group.values()} - {label})
                yield Noted(self.opened.positions[name], f"a copy is called {', '.join(others)}" if others else "")

    def _across_images(self) -> Iterator[Noted]:
        parts = self.contents.part_numbers
        return self._named_copies(group for group in self.opened.copies if len(np.unique(parts[group])) > 1)

    def _copies_images(self) -> Iterator[Noted]:
        return self._named_copies(self.opened.copies)

    def _near_images(self) -> Iterator[Noted]:
        shown = set()
        for pair in self.opened.audit.near_duplicates:
            both = ((pair.name, pair.other, pair.other_label), (pair.other_name, pair.part, pair.label))
            for name, other, label in both:
                if name not in shown:
                    yield Noted(self.opened.positions[name], f"like one of {other}, called {label}")
                shown.add(name)

    def _blank_images(self) -> Iterator[Noted]:
        return map(Noted, np.flatnonzero(self.contents.deviations < BLANK_DEVIATION).tolist())

    def _kept_images(self) -> Iterator[Noted]:
        kept = np.array([int(name, 16) for name in self._kept], np.uint64)
        return map(Noted, np.flatnonzero(np.isin(self.contents.hashes, kept)).tolist())

    def _named_copies(self, groups: Iterable[np.ndarray]) -> Iterator[Noted]:
        contents = self.contents
        for group in groups:
            for position in group.tolist():
                others = [other for other in group.tolist() if other != position]
                parts = sorted({self.titles[contents.parts[contents.part_numbers[other]]] for other in others})
                yield Noted(position, f"{len(others)} more in {', '.join(parts)}")


def detail(line: answers.DataSetAnswer, work: Work, look: Look | None) -> answers.DataSetDetailAnswer:
    """Returns all that is known of a data set; `look` is None until it is read."""
    known: dict[str, Any] = {"counts": {}, "titles": {}, "findings": {}, "unreadable": [], "report": None}
    problem, hint = work.problem, work.hint
    if look is not None:
        opened = look.opened
        counts = look.contents.counts()
        problem = opened.problem
        known = {
            "counts": {part: counts[part] for part in look.parts},
            "titles": {part: look.titles[part] for part in look.parts},
            "findings": {name: len(found) for name, found in look.findings().items()},
            "unreadable": [vars(bad) for bad in opened.audit.unreadable[:_UNREADABLE_SHOWN]],
            "report": _report(look),
        }
    progress = "" if work.is_done else work.progress
    return answers.DataSetDetailAnswer(data_set=line, progress=progress, problem=problem, hint=hint, **known)


def keep(inbox: Path, label: str, name: str, png: bytes) -> Path:
    """Writes a face into the inbox, and takes it away from under any other label.

    Raises ConfigError for a label that no folder of the inbox can be called: what is kept must be found, and deleted.
    """
    if not LABEL.fullmatch(label):
        hint = "Call the class otherwise, by a label map: letters, digits, spaces, - and _."
        raise ConfigError(f"No face can be kept as {label[:60]!r}.", hint=hint)
    path = inbox / label / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png)
    take_back(inbox, name, but=label)
    return path


def take_back(inbox: Path, name: str, *, but: str = "") -> int:
    """Removes a face from under all labels, `but` one; returns from under how many."""
    found = [path for path in inbox.glob(f"[!.]*/{name}") if path.parent.name != but]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def sheet(pictures: np.ndarray) -> bytes:
    """Returns pictures, uint8 (n, side, side), as one PNG in rows of ten, which `cell_of` finds again."""
    if pictures.shape[1] > _LARGEST:
        pictures = np.stack([cv2.resize(one, (_LARGEST, _LARGEST), interpolation=cv2.INTER_AREA) for one in pictures])
    count, side, _ = pictures.shape
    padded = np.pad(pictures, [(0, 0), (_GUTTER, _GUTTER), (_GUTTER, _GUTTER)], mode="edge")
    rows = -(-count // _COLUMNS)
    padded = np.pad(padded, [(0, rows * _COLUMNS - count), (0, 0), (0, 0)])
    cell = side + 2 * _GUTTER
    tiled = padded.reshape(rows, _COLUMNS, cell, cell).swapaxes(1, 2).reshape(rows * cell, _COLUMNS * cell)
    return cv2.imencode(".png", tiled)[1].tobytes()


def cell_of(index: int, *, count: int, side: int) -> dict[str, Any]:
    """Returns where on a sheet of so many pictures one is, as an SVG takes it."""
    row, column = divmod(index, _COLUMNS)
    side = min(side, _LARGEST)
    cell = side + 2 * _GUTTER
    box = f"{column * cell + _GUTTER} {row * cell + _GUTTER} {side} {side}"
    return {"box": box, "width": _COLUMNS * cell, "height": -(-count // _COLUMNS) * cell}


def _report(look: Look) -> dict[str, Any]:
    report = look.contents.report
    return report.to_json() | {
        "name": look.opened.images.name,
        "labels": list(look.contents.labels),
        "about_persons": report.of_persons(),
        "bad_images": len(look.opened.audit.unreadable),
        "labels_were_audited": look.was_audited,
        "fingerprint": look.contents.fingerprint,
        "flags": look.opened.choice.flags,
    }
