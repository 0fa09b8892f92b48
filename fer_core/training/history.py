"""The history of a training: one CSV, one row per epoch; and the list of all of them.

Our own files and those of other programs are read by `history_csv.py`. Nothing here knows Keras or the run folders:
which run a CSV belongs to is handed in.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fer_core.errors import FerError
from fer_core.store.files import write_atomically
from fer_core.training.history_csv import Row, read_rows

if TYPE_CHECKING:
    from rich.console import Console

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

NARROW_COLUMNS = 112
"""In a terminal with fewer, the run stands below its recipe."""

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


def print_histories(console: "Console", histories: Sequence[History]) -> None:
    """Prints one line per history, and below the table what could not be read."""
    from rich.table import Table
    from rich.text import Text

    is_narrow = console.width < NARROW_COLUMNS
    table = Table(box=None, pad_edge=False, padding=(0, 1 if is_narrow else 2, 0, 0), header_style="bold")
    table.add_column("date (UTC)", no_wrap=True)
    table.add_column("recipe, run or file" if is_narrow else "recipe", overflow="fold")
    for column in ("epochs", "best (epoch)", "last", "test"):
        table.add_column(column, justify="right", no_wrap=True)
    if not is_narrow:
        table.add_column("run or file", overflow="fold")
    readable = [history for history in histories if not history.problem]
    for history in readable:
        table.add_row(*map(Text, (_narrow_cells if is_narrow else _cells)(history)))
    if readable:
        console.print(table)
    for note in _notes(histories):
        console.print(note, markup=False, highlight=False, emoji=False, soft_wrap=True)


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


def _cells(history: History) -> list[str]:
    curve = history.curve
    mark = "" if history.has_validation else "*"
    best = f"{history.best[1]:.1%}{mark} ({history.best[0]:>2})" if history.best else "–"
    test = history.run.test_accuracy if history.run else None
    return [
        f"{history.date:%Y-%m-%d %H:%M}",
        (history.run and history.run.recipe) or "–",
        str(len(history.rows)),
        best,
        f"{curve[-1][1]:.1%}{mark}" if curve else "–",
        "–" if test is None else f"{test:.1%}",
        history.run.run_id if history.run else history.path.name,
    ]


def _narrow_cells(history: History) -> list[str]:
    """Returns the cells with the day alone, and the run below its recipe."""
    date, recipe, *figures, source = _cells(history)
    return [date.split()[0], source if recipe == "–" else f"{recipe}\n{source}", *figures]


def _notes(histories: Sequence[History]) -> list[str]:
    if not histories:
        return ["No history yet. `python train_emotion_model.py --data sample` makes one."]
    notes = []
    if any(history.has_validation for history in histories):
        notes.append("best, last: validation accuracy; test: accuracy of the epoch that was kept.")
    if any(history.curve and not history.has_validation for history in histories):
        notes.append("* training accuracy: the file has no val_accuracy.")
    return notes + [f"Left out: {history.problem}" for history in histories if history.problem]


def _is_nan(value: float | None) -> bool:
    return value is not None and value != value
