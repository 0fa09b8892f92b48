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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError, FerError
from fer_core.store.files import read_whole, write_atomically

Row = dict[str, float | None]

_FRACTIONS = ("accuracy", "precision", "recall", "macro_f1")
_CURVES = tuple(f"{part}{name}" for part in ("", "val_") for name in ("loss", *_FRACTIONS))
HISTORY_COLUMNS = ("epoch", *_CURVES, "learning_rate", "seconds", "images_per_second")
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
_OTHER_COLUMNS = {"epochs": "epoch", "lr": "learning_rate", "time": "seconds"}
_TIME_IN_NAME = re.compile(r"(?<!\d)(\d{8})[_-](\d{6})(?!\d)")


@dataclass(frozen=True)
class History:
    """One history file. Epochs count from 1; fractions are 0..1; `problem` says why a file has no rows."""

    path: Path
    date: datetime
    rows: tuple[Row, ...] = ()
    problem: str = ""
    run_id: str | None = None
    """Of the run that wrote it, as are recipe, name and accuracy on test."""
    recipe: str | None = None
    called: str = ""
    """What somebody called that run."""
    test_accuracy: float | None = None

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
        """What the run is called in lists: its own name, its recipe, else the file's name."""
        return self.called or self.recipe or self.path.stem


def write_history(path: Path, rows: Sequence[Mapping[str, float | None]]) -> None:
    """Writes the whole file, atomically. Missing values stay empty; a column that there is not is a ValueError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, csv_text(rows))


def csv_text(rows: Sequence[Mapping[str, float | None]]) -> str:
    """Returns what stands in the file."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, HISTORY_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    # Only NaN is unlike itself.
    writer.writerows({name: "" if value != value else value for name, value in row.items()} for row in rows)
    return text.getvalue()


def read_history(path: Path) -> History:
    """Returns a history file, ours or another program's: a row per epoch with those of our columns that it has.

    Missing values are None. An incomplete last line (the program was killed while writing it) is left out. Raises
    ArtifactError, which names the file and the line, for what is no history.
    """
    (_, header), *lines = _lines(path)
    names = [_our_name(name) for name in header]
    if not set(_CURVES).intersection(names):
        found = ", ".join(name or "(no name)" for name in header[:8])
        raise _problem(path, f"has no column of a training history (found: {found})")
    lines = [(number, cells) for number, cells in lines if cells != header]
    if lines and len(lines[-1][1]) < len(names):
        lines.pop()
    rows = [_row(path, number, names, cells) for number, cells in lines]
    _percent_to_fractions(path, rows)
    _count_epochs_from_one(rows)
    return History(path, _date(path), tuple(rows))


def list_histories(folder: Path, runs: Mapping[str, Mapping[str, Any]] | None = None) -> list[History]:
    """Returns every `*.csv` directly in `folder`, oldest first; one that cannot be read has a `problem`, no rows.

    Args:
        runs: CSV file name → `run_id`, `recipe`, `called` and `test_accuracy` of the run that wrote it.
    """
    histories = []
    for path in folder.glob("*.csv"):
        try:
            histories.append(replace(read_history(path), **(runs or {}).get(path.name, {})))
        except FerError as error:
            histories.append(History(path, _date(path), problem=str(error)))
    return sorted(histories, key=lambda history: (history.date, history.path.name))


def _date(path: Path) -> datetime:
    """Returns the time in the file's name (UTC), else when it was last changed."""
    if found := _TIME_IN_NAME.search(path.stem):
        try:
            return datetime.strptime("".join(found.groups()) + "Z", "%Y%m%d%H%M%S%z")
        except ValueError:
            pass
    return datetime.fromtimestamp(path.stat().st_mtime if path.exists() else 0.0, UTC)


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
    first = next((line for line in text.splitlines() if line.strip(" \t,;")), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(text.splitlines(), delimiter=separator, skipinitialspace=True)
    lines = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if any(cells):
                decimal = [cell.replace(",", ".") for cell in cells] if separator == ";" else cells
                lines.append((reader.line_num, decimal))
    except csv.Error as error:
        raise _problem(path, f"is no CSV: {error}") from None
    if not first or not lines:
        raise _problem(path, "is empty")
    return lines


def _our_name(name: str) -> str:
    """Returns our name of a column: `Val Acc` → val_accuracy, `precision_1` (as Keras numbers metrics) → precision."""
    name = re.sub(r"[\s\-.]+", "_", name.strip().lower())
    name = re.sub(r"_\d+$", "", name)
    name = re.sub(r"^(training|train)_", "", re.sub(r"^(validation|valid)_", "val_", name))
    name = _OTHER_COLUMNS.get(name, name)
    part = "val_" if name.startswith("val_") else ""
    name = name.removeprefix("val_")
    return part + _OTHER_NAMES.get(name, name)


def _row(path: Path, line: int, names: list[str], cells: list[str]) -> Row:
    if len(cells) != len(names):
        raise _problem(path, f"has {len(cells)} values in line {line}, its first line has {len(names)}")
    row: Row = {}
    for name, cell in zip(names, cells, strict=True):
        if name not in HISTORY_COLUMNS or name in row:
            continue
        try:
            is_missing = cell.lower() in ("", "none", "null", "n/a", "-")
            value = math.nan if is_missing else float(cell.rstrip("% ")) / (100 if cell.endswith("%") else 1)
        except ValueError:
            raise _problem(path, f"has {cell[:40]!r} as {name} in line {line}, which is no number") from None
        row[name] = value if math.isfinite(value) else None
    return row


def _percent_to_fractions(path: Path, rows: list[Row]) -> None:
    for name in (*_FRACTIONS, *(f"val_{name}" for name in _FRACTIONS)):
        values = [row[name] for row in rows if row.get(name) is not None]
        if values and not (min(values) >= 0 and max(values) <= 100):
            raise _problem(path, f"has values of {name} that are neither shares nor percent")
        if values and max(values) > 1:
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
