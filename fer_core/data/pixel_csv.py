"""fer2013.csv and icml_face_data.csv as a source: one image a row, its 2,304 gray values as text.

Label numbers mean what FER2013_CSV_ORDER says, which is not the alphabetical order of folders.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from fer_core.data.listing import Listing, Picture
from fer_core.emotions import FER2013_CSV_ORDER
from fer_core.errors import DatasetError

SIDE = 48
USAGES = {"training": "Training", "publictest": "PublicTest", "privatetest": "PrivateTest"}

_COLUMNS_HINT = "Expected are the columns emotion, pixels and Usage, as in fer2013.csv and icml_face_data.csv."


class _Columns(NamedTuple):
    emotion: int
    pixels: int
    usage: int


@contextmanager
def opened_csv(path: Path) -> Iterator[Listing]:
    """Opens the table and checks its columns. Reading its pictures raises DatasetError at the first wrong row."""
    try:
        with path.open("rb") as stream:
            yield csv_listing(stream, name=path.name)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.", hint="Check its access rights.") from None


def csv_listing(stream: BinaryIO, *, name: str) -> Listing:
    """Returns the images of an open table, which are read row by row.

    Raises:
        DatasetError: columns are missing.
    """
    rows = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""))
    columns = _columns(next(_checked(rows, name), []), name)
    return Listing(_pictures(rows, columns, name), None)


def looks_like_csv(first_bytes: bytes) -> bool:
    """Returns whether a file that begins so has a header with a column of pixels."""
    header = first_bytes.splitlines()[0] if first_bytes else b""
    return b"," in header and b"pixels" in header.lower()


def _columns(header: list[str], name: str) -> _Columns:
    found = [column.strip().lower() for column in header]
    missing = [column for column in _Columns._fields if column not in found]
    if missing:
        raise DatasetError(
            f"{name} has no column {' and no column '.join(missing)}; its first line is {','.join(header)[:80]!r}.",
            hint=_COLUMNS_HINT,
        )
    return _Columns(*(found.index(column) for column in _Columns._fields))


def _checked(rows: Iterator[list[str]], name: str) -> Iterator[list[str]]:
    try:
        yield from rows
    except (csv.Error, UnicodeDecodeError) as error:
        raise DatasetError(f"{name}: line {rows.line_num} is no csv: {error}.", hint=_COLUMNS_HINT) from None
    except OSError as error:
        raise DatasetError(f"{name} cannot be read: {error}.", hint="Download it again.") from None


def _pictures(rows: Iterator[list[str]], columns: _Columns, name: str) -> Iterator[Picture]:
    for row in _checked(rows, name):
        if not any(cell.strip() for cell in row):
            continue
        place = f"{name}, line {rows.line_num}"
        if len(row) <= max(columns):
            raise DatasetError(f"{place}: {len(row)} columns, too few.", hint=_COLUMNS_HINT)
        text = row[columns.pixels]
        yield Picture(
            f"line {rows.line_num:06}",
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
    if not (number.isdecimal() and int(number) < len(FER2013_CSV_ORDER)):
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
