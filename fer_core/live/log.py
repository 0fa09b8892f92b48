"""The log of predictions: one row per face and frame, as CSV or as JSON lines."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fer_core.live.frame import Shown, Sink
from fer_core.live.output_path import check_output, write_error
from fer_core.store.clock import utc_text

COLUMNS = ("utc", "seconds", "frame", "person", "x", "y", "width", "height", "label", "confidence", "unsure")
"""Of every log; after them one for each emotion."""
NAME = "name"
"""The last column where pictures are read: their file names."""
SUFFIXES = (".csv", ".jsonl")

Row = Mapping[str, Any]


class PredictionLog(Sink):
    """A file with a row for every face of every frame; a frame without a face has a row too, with empty cells.

    Columns are `COLUMNS`, each label's probability and, for pictures, `NAME`. Every frame's rows are given to the
    system in one piece before `write` returns, so that there are whole rows only, whatever ends the process. The labels
    are those of the beginning: where the model changes, what has no column is left out.
    """

    def __init__(self, path: Path, labels: Sequence[str], *, overwrite: bool = False, of_pictures: bool = False):
        """Raises ConfigError if the file cannot be written, or is there, not empty and not to be overwritten."""
        check_output(path, suffixes=SUFFIXES, overwrite=overwrite)
        self.path = path
        last = (NAME,) if of_pictures else ()
        self._of_pictures = of_pictures
        plain = {label: " ".join(label.split()) for label in labels}
        self._columns_by_label = {
            label: f"emotion_{name}" if name in (*COLUMNS, *last) else name for label, name in plain.items()
        }
        self._columns = (*COLUMNS, *self._columns_by_label.values(), *last)
        is_csv = path.suffix.lower() == ".csv"
        self._as_line = _csv_line if is_csv else _json_line
        self._whole_bytes = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
        self._file: int | None = os.open(path, flags, 0o666)
        if is_csv:
            self._append(_csv_line(dict(zip(self._columns, self._columns, strict=True))))

    def write(self, shown: Shown) -> None:
        """Writes a frame's rows; does nothing after `close` and after an error.

        Raises DiskFullError, and SourceError where the file cannot be written any more for another reason.
        """
        self._append("".join(map(self._as_line, self._rows(shown))))

    def close(self) -> None:
        """Closes the file. May be called again."""
        if self._file is not None:
            file, self._file = self._file, None
            os.close(file)

    def _rows(self, shown: Shown) -> Iterator[Row]:
        frame, empty = shown.frame, dict.fromkeys(self._columns)
        empty |= {"utc": utc_text(frame.utc), "seconds": round(frame.seconds, 3), "frame": frame.number}
        if self._of_pictures:
            empty[NAME] = frame.name
        for prediction in shown.predictions:
            plain = prediction.to_json()
            shares, columns = plain.pop("probabilities"), self._columns_by_label.items()
            yield empty | plain.pop("box") | plain | {name: shares[label] for label, name in columns if label in shares}
        if not shown.predictions:
            yield empty

    def _append(self, text: str) -> None:
        if self._file is None:
            return
        whole = data = text.encode()
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._whole_bytes)
            self.close()
            raise write_error(self.path, error.errno, error.strerror) from None
        self._whole_bytes += len(whole)


def _json_line(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def _csv_line(row: Row) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(_cell, row.values()))
    return line.getvalue()


def _cell(value: Any) -> Any:
    """Returns a value as a cell. Spreadsheets compute what begins like a formula; a quote makes them show it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        value = " ".join(value.split())
        return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value
    return value
