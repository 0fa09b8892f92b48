"""fer2013.csv and icml_face_data.csv as a source: one image a row, its 2,304 gray values as text.

Label numbers mean what FER2013_CSV_ORDER says, which is not the alphabetical order of folders.
"""

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from fer_core.data.listing import Listing, Picture
from fer_core.data.regular_file import checked_status
from fer_core.data.unpacking import UNPACKING_ERRORS, opened_unpacked
from fer_core.emotions import FER2013_CSV_ORDER
from fer_core.errors import DatasetError

SIDE = 48
USAGES = {"training": "Training", "publictest": "PublicTest", "privatetest": "PrivateTest"}

_LONGEST_LINE = 2**20
"""A picture has 9,000 characters; the csv module would read a line of any length into memory."""
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_COLUMNS_HINT = "Expected are the columns emotion, pixels and Usage, as in fer2013.csv and icml_face_data.csv."


class _Columns(NamedTuple):
    emotion: int
    pixels: int
    usage: int


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
    return Listing(_pictures(rows, _columns(header, name), name), None, notes)


def looks_like_csv(first_bytes: bytes) -> bool:
    """Returns whether a file that begins so has a header with a column of pixels."""
    encoding = "utf-16" if first_bytes.startswith(_UTF16) else "utf-8"
    header = first_bytes.decode(encoding, "replace").partition("\n")[0]
    return "," in header and "pixels" in header.lower()


def _columns(header: list[str], name: str) -> _Columns:
    """What stands in the header is not repeated: the file may be another one than was meant, and not for all eyes."""
    found = [column.strip().lower() for column in header]
    missing = [column for column in _Columns._fields if column not in found]
    if missing:
        raise DatasetError(
            f"{name} has no column {' and no column '.join(missing)} (of {len(header)} columns in its first line).",
            hint=_COLUMNS_HINT,
        )
    return _Columns(*(found.index(column) for column in _Columns._fields))


def _rows(stream: BinaryIO, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yields the number and the cells of each line."""
    number = 0
    try:
        for line in _lines(stream):
            number += 1
            if len(line) == _LONGEST_LINE:
                raise csv.Error(f"longer than {_LONGEST_LINE:,} characters")
            yield number, next(csv.reader([line], strict=True), [])
    except (csv.Error, UnicodeError) as error:
        raise DatasetError(f"{name}: line {number} is no csv: {error}.", hint=_COLUMNS_HINT) from None
    except OSError as error:
        raise DatasetError(f"{name} cannot be read: {error}.", hint="Download it again.") from None


def _lines(stream: BinaryIO) -> Iterator[str]:
    buffered = io.BufferedReader(stream)
    encoding = "utf-16" if buffered.peek(2).startswith(_UTF16) else "utf-8-sig"
    text = io.TextIOWrapper(buffered, encoding=encoding)
    while line := text.readline(_LONGEST_LINE):
        yield line


def _pictures(rows: Iterator[tuple[int, list[str]]], columns: _Columns, name: str) -> Iterator[Picture]:
    for number, row in rows:
        if not any(cell.strip() for cell in row):
            continue
        place = f"{name}, line {number}"
        if len(row) <= max(columns):
            raise DatasetError(f"{place}: {len(row)} columns, too few.", hint=_COLUMNS_HINT)
        text = row[columns.pixels]
        yield Picture(
            f"line {number:06}",
            _part(row[columns.usage], place),
            _label(row[columns.emotion], place),
            partial(_pixels, text, place),
            held_bytes=len(text),
        )


def _part(usage: str, place: str) -> str:
    part = USAGES.get(usage.strip().lower())
    if part is None:
        raise DatasetError(
            f"{place}: Usage is {usage.strip()[:40]!r}.", hint=f"Usage must be one of {', '.join(USAGES.values())}."
        )
    return part


def _label(number: str, place: str) -> str:
    number = number.strip()
    if number not in map(str, range(len(FER2013_CSV_ORDER))):
        raise DatasetError(
            f"{place}: the emotion is {number[:40]!r}, which is no number from 0 to {len(FER2013_CSV_ORDER) - 1}.",
            hint="The numbers mean " + ", ".join(f"{i} {label}" for i, label in enumerate(FER2013_CSV_ORDER)) + ".",
        )
    return FER2013_CSV_ORDER[int(number)]


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
