"""FER-2013 (Goodfellow et al. 2013, arXiv 1307.0414): its csv as a source, and how it is recognised in any form.

fer2013.csv and icml_face_data.csv have one image a row, its 2,304 gray values as text. Label numbers mean what
FER2013_CSV_ORDER says, which is not the alphabetical order of folders.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from fer_core.data.contents import MORE_IMAGES, Contents, Listing, Picture
from fer_core.data.regular_file import checked_status
from fer_core.data.unpacking import UNPACKING_ERRORS, opened_unpacked
from fer_core.emotions import FER2013_CSV_ORDER, FER2013_LABELS
from fer_core.errors import DatasetError

NAME = "FER-2013"
TRAINING, PUBLIC, PRIVATE = "Training", "PublicTest", "PrivateTest"
BOTH = f"{PUBLIC} + {PRIVATE}"
SIDE = 48

_TITLES = {
    (3995, 436, 4097, 7215, 4965, 4830, 3171): TRAINING,
    (467, 56, 496, 895, 607, 653, 415): PUBLIC,
    (491, 55, 528, 879, 626, 594, 416): PRIVATE,
    (958, 111, 1024, 1774, 1233, 1247, 831): BOTH,
}
"""By the number of images of each class."""
_LONGEST_LINE = 2**20
"""A picture has 9,000 characters; the csv module would read a line of any length into memory."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_COLUMNS = ("emotion", "pixels", "usage")
_COLUMNS_HINT = "Expected are the columns emotion, pixels and Usage, as in fer2013.csv and icml_face_data.csv."
_PARTS = {part.lower(): part for part in (TRAINING, PUBLIC, PRIVATE)}
_USAGE_HINT = f"Usage must be one of {', '.join(_PARTS.values())}."
_LABELS = {str(number): label for number, label in enumerate(FER2013_CSV_ORDER)}


def fer2013_titles(contents: Contents) -> dict[str, str] | None:
    """Returns what each part of the source is called in FER-2013, or None where it is another data set.

    Images that were added to it keep the name of their part.
    """
    if contents.labels != FER2013_LABELS:
        return None
    counts = contents.counts()
    added = {MORE_IMAGES: MORE_IMAGES} if counts.pop(MORE_IMAGES, None) else {}
    titles = {part: _TITLES.get(tuple(of_part.values())) for part, of_part in counts.items()}
    return titles | added if TRAINING in titles.values() and None not in titles.values() else None


@contextmanager
def opened_csv(path: Path) -> Iterator[Listing]:
    """Opens the table and checks its columns. Reading its pictures raises DatasetError at the first wrong row.

    It may be compressed by gzip, bzip2 or xz.
    """
    try:
        checked_status(path)
        with opened_unpacked(path) as stream:
            yield csv_listing(stream, name=path.name)
    except UNPACKING_ERRORS as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(
            f"{path} cannot be read: {reason}.", hint="Download it again, or check its rights."
        ) from None


def csv_listing(stream: BinaryIO, *, name: str, notes: tuple[str, ...] = ()) -> Listing:
    """Returns the images of an open table, which are read row by row.

    Raises:
        DatasetError: columns are missing.
    """
    rows = _rows(stream, name)
    _, header = next(rows, (0, []))
    return Listing(_pictures(rows, _column_places(header, name), name), None, notes)


def looks_like_csv(first_bytes: bytes) -> bool:
    """Returns whether a file that begins so has a header with a column of pixels."""
    encoding = "utf-16" if first_bytes.startswith(_UTF16) else "utf-8"
    header = first_bytes.decode(encoding, "replace").partition("\n")[0]
    return "," in header and "pixels" in header.lower()


def _column_places(header: list[str], name: str) -> list[int]:
    """What stands in the header is not repeated: the file may be another one than was meant, and not for all eyes."""
    found = [column.strip().lower() for column in header]
    missing = [column for column in _COLUMNS if column not in found]
    if missing:
        raise DatasetError(
            f"{name} has no column {' and no column '.join(missing)} (of {len(header)} columns in its first line).",
            hint=_COLUMNS_HINT,
        )
    return [found.index(column) for column in _COLUMNS]


def _rows(stream: BinaryIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the number and the cells of each line."""
    buffered = io.BufferedReader(stream)
    number = 0
    try:
        encoding = "utf-16" if buffered.peek(2).startswith(_UTF16) else "utf-8-sig"
        text = io.TextIOWrapper(buffered, encoding=encoding)
        for number, line in enumerate(iter(partial(text.readline, _LONGEST_LINE), ""), start=1):
            if len(line) == _LONGEST_LINE:
                raise csv.Error(f"longer than {_LONGEST_LINE:,} characters")
            yield number, next(csv.reader([line], strict=True), [])
    except (csv.Error, UnicodeError) as error:
        raise DatasetError(f"{name}: line {number} is no csv: {error}.", hint=_COLUMNS_HINT) from None
    except OSError as error:
        raise DatasetError(f"{name} cannot be read: {error}.", hint="Download it again.") from None


def _pictures(rows: Iterator[tuple[int, list[str]]], columns: list[int], name: str) -> Iterator[Picture]:
    for number, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        place = f"{name}, line {number}"
        if len(row) <= max(columns):
            raise DatasetError(f"{place}: {len(row)} columns, too few.", hint=_COLUMNS_HINT)
        emotion, pixels, usage = (row[column] for column in columns)
        part, label, read = _part(usage.strip(), place), _label(emotion.strip(), place), partial(_pixels, pixels, place)
        yield Picture(f"line {number:06}", part, label, read, held_bytes=len(pixels))


def _part(usage: str, place: str) -> str:
    if usage.lower() not in _PARTS:
        raise DatasetError(f"{place}: Usage is {usage[:40]!r}.", hint=_USAGE_HINT)
    return _PARTS[usage.lower()]


def _label(number: str, place: str) -> str:
    if number not in _LABELS:
        raise DatasetError(
            f"{place}: the emotion is {number[:40]!r}, which is no number from 0 to {len(_LABELS) - 1}.",
            hint=f"The numbers mean {', '.join(map(' '.join, _LABELS.items()))}.",
        )
    return _LABELS[number]


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
