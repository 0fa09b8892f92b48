"""FER-2013 (Goodfellow et al. 2013, arXiv 1307.0414): its csv as a source.

fer2013.csv and icml_face_data.csv have one image a row, its 2,304 gray values as text. Label numbers mean what
FER2013_CSV_ORDER says, which is not the alphabetical order of folders. CK+ is handed round in the same form, with
contempt as number 7; parts of FER-2013 without the column Usage.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fer_core.data.contents import ALL_IMAGES, NOTHING_KNOWN, Known, Listing, Picture
from fer_core.data.folder_names import split_of
from fer_core.data.report import DataReport
from fer_core.data.splits import PRIVATE, PUBLIC, TRAINING
from fer_core.data.tree import encoding_of, rows
from fer_core.data.unpacking import UNPACKING_ERRORS, opened_unpacked
from fer_core.data.votes import USUAL, ReadOptions
from fer_core.errors import DatasetError
from fer_core.labels import EMOTIONS, NUMBERS, canonical
from fer_core.paths import checked_status

SIDE = 48
_COLUMNS_HINT = (
    "Expected are the columns emotion, pixels and Usage, as in fer2013.csv and icml_face_data.csv. Of a table that "
    "names pictures, give the folder that both lie in."
)
_WORDS = {
    "emotion": ("emotion", "emotions", "label", "labels", "class"),
    "pixels": ("pixels",),
    "usage": ("usage", "split", "set", "subset"),
}
_PARTS = {part.lower(): part for part in (TRAINING, PUBLIC, PRIVATE)}
_USAGE_HINT = f"Usage must be one of {', '.join(_PARTS.values())}."
_LABELS = NUMBERS["fer2013"]
_ORDER = "FER+ votes on the rows of fer2013.csv in the order in which it was published: give that file."
_ENOUGH_ROWS, _LEAST_AGREEMENT = 200, 0.4
"""On FER-2013 votes and labels agree on two thirds of the rows; by chance it would be a sixth."""


@contextmanager
def opened_csv(path: Path, options: ReadOptions = USUAL) -> Iterator[Listing]:
    """Opens the table and checks its columns. Reading its pictures raises DatasetError at the first wrong row.

    It may be compressed by gzip, bzip2 or xz.
    """
    try:
        checked_status(path)
        with opened_unpacked(path) as stream:
            yield csv_listing(stream, name=path.name, options=options)
    except UNPACKING_ERRORS as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(
            f"{path} cannot be read: {reason}.", hint="Download it again, or check its rights."
        ) from None


def csv_listing(
    stream: BinaryIO,
    *,
    name: str,
    part: str = ALL_IMAGES,
    options: ReadOptions = USUAL,
    report: DataReport | None = None,
) -> Listing:
    """Returns the images of an open table, read row by row; `part` is that of rows which state none.

    Raises:
        DatasetError: columns are missing.
    """
    report = report or DataReport(format="a table of pixels")
    if options.votes is not None:
        if options.rule.keeps_labels:
            report.notes.append(options.rule.sentence())
        else:
            report.votes = options.rule.sentence()
            report.format, report.is_usual = "FER+", False
    lines = rows(stream, name, hint=_COLUMNS_HINT)
    _, header = next(lines, (0, []))
    table = _Table(name, _column_places(header, name), part, options, report)
    return Listing(table.pictures(lines), None, report)


def pixel_rows(
    stream: BinaryIO, name: str, part: str, *, options: ReadOptions, report: DataReport
) -> Iterator[Picture]:
    """Yields the images of an open table, and completes the report meanwhile."""
    yield from csv_listing(stream, name=name, part=part, options=options, report=report).pictures


def looks_like_csv(first_bytes: bytes) -> bool:
    """Returns whether a file that begins so has a header with a column of pixels."""
    header = first_bytes.decode(encoding_of(first_bytes), "replace").partition("\n")[0].lower()
    return any(separator in header for separator in ",;\t") and "pixels" in header


def columns_of(header: list[str]) -> dict[str, int]:
    """Returns where emotion, pixels and usage stand in a header, of those that it has."""
    found = [column.strip().lower() for column in header]
    places = {
        name: next((found.index(word) for word in words if word in found), None) for name, words in _WORDS.items()
    }
    return {name: place for name, place in places.items() if place is not None}


def _column_places(header: list[str], name: str) -> dict[str, int]:
    """What stands in the header is not repeated: the file may be another one than was meant, and not for all eyes."""
    found = columns_of(header)
    missing = [column for column in ("emotion", "pixels") if column not in found]
    if missing:
        raise DatasetError(
            f"{name} has no column {' and no column '.join(missing)} (of {len(header)} columns in its first line).",
            hint=_COLUMNS_HINT,
        )
    return found


@dataclass(frozen=True)
class _Table:
    name: str
    columns: dict[str, int]
    part: str
    options: ReadOptions
    report: DataReport
    agreement: Counter[bool] = field(default_factory=Counter)

    def pictures(self, lines: Iterator[tuple[int, list[str]]]) -> Iterator[Picture]:
        """Yields the pictures of the rows, and notes in the report what becomes of labels and votes."""
        index = -1
        for number, row in lines:
            if not any(cell.strip() for cell in row):
                continue
            index += 1
            place = f"{self.name}, line {number}"
            if len(row) <= max(self.columns.values()):
                raise DatasetError(f"{place}: {len(row)} columns, too few.", hint=_COLUMNS_HINT)
            usage = _part(row[self.columns["usage"]].strip(), place) if "usage" in self.columns else self.part
            emotion, pixels = row[self.columns["emotion"]].strip(), row[self.columns["pixels"]]
            label = _label(emotion, place)
            has_votes = self.options.votes is not None
            found = self._voted(index, label, usage) if has_votes else self._meant(emotion, label)
            if found is not None:
                name = f"line {number:06}" if self.part == ALL_IMAGES else f"{self.name} line {number:06}"
                yield Picture(name, usage, found[0], partial(_pixels, pixels, place), len(pixels), found[1])

        self._check_agreement()

    def _meant(self, number: str, label: str, known: Known = NOTHING_KNOWN) -> tuple[str, Known] | None:
        """Returns what a label is read as, or None where its class is dropped."""
        read = self.options.labels.one(number, label)
        if read != label:
            self.report.read_as[label] = read
        return (read, known) if read else None

    def _voted(self, index: int, label: str, usage: str) -> tuple[str, Known] | None:
        """Returns what the votes on a row make of it, or None where it is left out."""
        found = self.options.votes.of_row(index)
        if found and "usage" in self.columns and usage != found[0]:
            raise DatasetError(f"{self.name}: row {index + 1} is of {usage}; the votes are on {found[0]}.", hint=_ORDER)
        voted = self.options.rule.of(found[1] if found else None, label)
        if isinstance(voted, str):
            self.report.leave_out(voted, found[0] if found else usage)
            return None
        if voted.shares:
            self.agreement[max(voted.shares, key=itemgetter(1))[0] == label] += 1
        return self._meant("", voted.label, Known(shares=voted.shares, only_trains=voted.only_trains))

    def _check_agreement(self) -> None:
        """Raises DatasetError where the votes hardly ever say what the labels do: the rows have another order."""
        rows_voted, agree = self.agreement.total(), self.agreement[True]
        if rows_voted > _ENOUGH_ROWS and agree < _LEAST_AGREEMENT * rows_voted:
            raise DatasetError(
                f"{self.name}: votes and labels agree on {agree / rows_voted:.0%} of the rows only.", hint=_ORDER
            )


def _part(usage: str, place: str) -> str:
    part = _PARTS.get(usage.lower()) or split_of(usage)
    if part is None:
        raise DatasetError(f"{place}: Usage is {usage[:40]!r}.", hint=_USAGE_HINT)
    return part


def _label(number: str, place: str) -> str:
    label = _LABELS.get(number.removesuffix(".0")) or canonical(number)
    if label not in EMOTIONS:
        raise DatasetError(
            f"{place}: the emotion is {number[:40]!r}, which is no number from 0 to {len(_LABELS) - 1}.",
            hint=f"The numbers mean {', '.join(map(' '.join, _LABELS.items()))}.",
        )
    return label


def _pixels(text: str, place: str) -> np.ndarray:
    """Returns uint8 (48, 48). Raises DatasetError: a wrong row is a broken table, not one unreadable picture."""
    data = text.encode()
    if not data.strip() or data.translate(None, b"0123456789 \t"):
        raise DatasetError(f"{place}: the pixels are not numbers: {text[:40]!r}.", hint=_COLUMNS_HINT)
    values = np.fromstring(data, dtype=np.int64, sep=" ")
    if len(values) != SIDE * SIDE:
        raise DatasetError(
            f"{place}: {len(values):,} pixels instead of {SIDE * SIDE:,}.",
            hint=f"Each row is one picture of {SIDE} x {SIDE} gray values, separated by blanks.",
        )
    if values.max() > 255:
        raise DatasetError(f"{place}: a pixel is {values.max()}, more than 255.", hint="Gray values are 0 to 255.")
    return values.astype(np.uint8).reshape(SIDE, SIDE)
