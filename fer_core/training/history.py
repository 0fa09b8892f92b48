"""The history of a training: one CSV, one row per epoch; and the list of all of them.

CSVs of others are read too: Keras's CSVLogger, pandas, a spreadsheet. Column names are brought to ours (`acc`, `lr`,
`Val Acc` …), percent to fractions, epochs to count from 1; columns that we do not know are left out. Nothing here knows
Keras or the run folders: which run a CSV belongs to is handed in.
"""

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import ArtifactError, FerError
from fer_core.store.files import read_whole, write_atomically

Row = dict[str, float | None]

HISTORY_COLUMNS = (
    "epoch",
    "loss",
    "accuracy",
    "precision",
    "recall",
    "macro_f1",
    "val_loss",
    "val_accuracy",
    "val_precision",
    "val_recall",
    "val_macro_f1",
    "learning_rate",
    "seconds",
    "images_per_second",
)
HISTORY_HEADER = ",".join(HISTORY_COLUMNS) + "\n"
"""What a history starts with: the file is reserved under its name before the first epoch."""

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

_TIME_IN_NAME = re.compile(r"(?<!\d)(\d{8})[_-](\d{6})(?!\d)")


class RunOfHistory(NamedTuple):
    """The run that wrote a CSV, with what the CSV itself does not hold."""

    run_id: str
    recipe: str | None
    test_accuracy: float | None


@dataclass(frozen=True)
class History:
    """One history file. Epochs count from 1; shares are 0..1; `problem` says why a file has no rows."""

    path: Path
    date: datetime
    rows: tuple[Row, ...] = ()
    run: RunOfHistory | None = None
    problem: str = ""

    @property
    def has_validation(self) -> bool:
        """Whether the curve is of validation images."""
        return any(row.get("val_accuracy") is not None for row in self.rows)

    @property
    def curve(self) -> list[tuple[int, float]]:
        """Epoch and accuracy: on validation images, or on training images where there are no others."""
        column = "val_accuracy" if self.has_validation else "accuracy"
        return [(int(row["epoch"]), row[column]) for row in self.rows if row.get(column) is not None]

    @property
    def best(self) -> tuple[int, float] | None:
        """The epoch with the highest accuracy of the curve (the earliest of equals), and that accuracy."""
        return max(self.curve, key=lambda point: point[1], default=None)

    @property
    def name(self) -> str:
        """What the run is called in lists: its recipe, else the file's name."""
        return (self.run and self.run.recipe) or self.path.stem


def write_history(path: Path, rows: Sequence[Mapping[str, float | None]]) -> None:
    """Writes the whole file, atomically. Missing values stay empty; a column that there is not is a ValueError."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, HISTORY_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if _is_nan(value) else value for name, value in row.items()} for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())


def read_history(path: Path) -> History:
    """Returns a history file, ours or another program's; raises ArtifactError that names what is wrong with it."""
    rows = tuple(read_rows(path))
    return History(path=path, date=_date(path), rows=rows)


def list_histories(
    folder: Path, runs: Mapping[str, tuple[str, str | None, float | None]] | None = None
) -> list[History]:
    """Returns every `*.csv` directly in `folder`, oldest first; one that cannot be read has a `problem`, no rows.

    Args:
        runs: CSV file name → id, recipe and test accuracy of the run that wrote it (fields of `RunOfHistory`).
    """
    runs = runs or {}
    histories = [_listed(path, runs.get(path.name)) for path in folder.glob("*.csv")]
    return sorted(histories, key=lambda history: (history.date, history.path.name))


def _listed(path: Path, run: tuple | None) -> History:
    try:
        return replace(read_history(path), run=run and RunOfHistory(*run))
    except FerError as error:
        return History(path=path, date=_date(path), problem=str(error))


def _date(path: Path) -> datetime:
    """Returns the time in the file's name (UTC), else when it was last changed."""
    found = _TIME_IN_NAME.search(path.stem)
    try:
        return datetime.strptime("".join(found.groups()) + "Z", "%Y%m%d%H%M%S%z") if found else _changed(path)
    except ValueError:
        return _changed(path)


def _changed(path: Path) -> datetime:
    changed = path.stat().st_mtime if path.exists() else 0.0
    return datetime.fromtimestamp(changed, UTC)


def _is_nan(value: float | None) -> bool:
    return value is not None and value != value


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
