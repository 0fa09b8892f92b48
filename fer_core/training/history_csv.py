"""Reads training histories as CSV, whoever wrote them: ours, Keras's CSVLogger, pandas, a spreadsheet.

Column names are brought to ours (`acc`, `lr`, `Val Acc` …), percent to shares, epochs to count from 1. Columns that we
do not know are left out.
"""

import csv
import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path

from fer_core.errors import ArtifactError
from fer_core.store.files import read_whole

Row = dict[str, float | None]

_OTHER_NAMES = {
    "acc": "accuracy",
    "categorical_accuracy": "accuracy",
    "sparse_categorical_accuracy": "accuracy",
    "binary_accuracy": "accuracy",
    "f1": "macro_f1",
    "f1_score": "macro_f1",
    "f1_macro": "macro_f1",
}
_SHARES = ("accuracy", "precision", "recall", "macro_f1")
_VALUES = ("loss", *_SHARES)
_CURVES = {*_VALUES, *(f"val_{name}" for name in _VALUES)}
_KNOWN = {*_CURVES, "epoch", "learning_rate", "seconds", "images_per_second"}
_WHOLE_COLUMNS = {"epochs": "epoch", "lr": "learning_rate", "time": "seconds"}


def read_rows(path: Path) -> list[Row]:
    """Returns one row per epoch, with those of our columns that the file has; missing values are None.

    An incomplete last line (the program was killed while writing it) is left out. Raises ArtifactError, which names
    the file and the line, for what is no history.
    """
    (_, header), *lines = _lines(path)
    names = [_our_name(name) for name in header]
    if not _CURVES.intersection(names):
        found = ", ".join(name or "(no name)" for name in header[:8])
        raise _problem(path, f"has no column of a training history (found: {found})")
    records = [(number, cells) for number, cells in lines if cells != header]
    if records and len(records[-1][1]) < len(names):
        records.pop()
    rows = [_row(path, number, names, cells) for number, cells in records]
    _percent_to_shares(path, rows)
    _count_epochs_from_one(rows)
    return rows


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """Returns the lines that are not blank, with their numbers; the first is the header."""
    try:
        text = read_whole(path).decode("utf-8-sig")
    except OSError as error:
        raise _problem(path, f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise _problem(path, "is no text") from None
    if "\0" in text:
        raise _problem(path, "is no text")
    first = next((line for line in text.splitlines() if line.strip(" \t,;")), None)
    if first is None:
        raise _problem(path, "is empty")
    separator = max(",;\t", key=first.count)
    try:
        lines = [(number, cells) for number, cells in _numbered(text, separator) if any(cells)]
    except csv.Error as error:
        raise _problem(path, f"is no CSV: {error}") from None
    if not lines:
        raise _problem(path, "is empty")
    return lines


def _numbered(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    predictor = csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True)
    for cells in predictor:
        cells = [cell.strip() for cell in cells]
        yield predictor.line_num, [cell.replace(",", ".") for cell in cells] if separator == ";" else cells


def _our_name(name: str) -> str:
    """Returns our name of a column: `Val Acc` → val_accuracy, `precision_1` (as Keras numbers metrics) → precision."""
    name = re.sub(r"[\s\-.]+", "_", name.strip().lower())
    name = re.sub(r"_\d+$", "", name)
    name = re.sub(r"^(training|train)_", "", re.sub(r"^(validation|valid)_", "val_", name))
    name = _WHOLE_COLUMNS.get(name, name)
    part = "val_" if name.startswith("val_") else ""
    name = name.removeprefix("val_")
    return part + _OTHER_NAMES.get(name, name)


def _row(path: Path, line: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) != len(names):
        raise _problem(path, f"has {len(cells)} values in line {line}, its first line has {len(names)}")
    row: Row = {}
    for name, cell in zip(names, cells, strict=True):
        if name in _KNOWN and name not in row:
            row[name] = _number(path, line, name, cell)
    return row


def _number(path: Path, line: int, name: str, cell: str) -> float | None:
    """Returns the value, None where it is empty or not finite; percent is marked by its sign, so divided here."""
    if cell.lower() in ("", "none", "null", "n/a", "-"):
        return None
    try:
        value = float(cell.rstrip("% ")) / (100 if cell.endswith("%") else 1)
    except ValueError:
        raise _problem(path, f"has {cell[:40]!r} as {name} in line {line}, which is no number") from None
    return value if math.isfinite(value) else None


def _percent_to_shares(path: Path, rows: list[Row]) -> None:
    for name in (*_SHARES, *(f"val_{name}" for name in _SHARES)):
        largest = max((row[name] for row in rows if row.get(name) is not None), default=0)
        if largest > 100 or any((row.get(name) or 0) < 0 for row in rows):
            raise _problem(path, f"has values of {name} that are neither shares nor percent")
        if largest > 1:
            for row in rows:
                row[name] = None if row[name] is None else row[name] / 100


def _count_epochs_from_one(rows: list[Row]) -> None:
    """Epochs from 0 move up by one; missing ones, and those that do not rise, are numbered by their line."""
    epochs = [row.get("epoch") for row in rows]
    rising = None not in epochs and all(a < b for a, b in itertools.pairwise(epochs))
    start = 1 if rising and epochs and epochs[0] == 0 else 0
    for place, row in enumerate(rows):
        row["epoch"] = int(row["epoch"]) + start if rising else place + 1


def _problem(path: Path, what: str) -> ArtifactError:
    return ArtifactError(
        f"{path} {what}.",
        hint="A history has a first line of names, such as epoch,loss,accuracy,val_accuracy, then a line per epoch.",
    )
