"""What is written of every frame: the log of predictions, and the record of a session, of which the summary is made.

Whether a file can be written is found out before there is anything to write.
"""

import contextlib
import csv
import io
import json
import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_core.errors import DISK_IS_FULL, ConfigError, SourceError
from fer_core.live.frame import Shown, Sink
from fer_core.store.files import DiskFullError, utc_text

if TYPE_CHECKING:
    import pandas

COLUMNS = ("utc", "seconds", "frame", "person", "x", "y", "width", "height", "label", "confidence", "unsure")
"""Of every log; after them one for each emotion."""
NAME = "name"
"""The last column where pictures are read: their file names."""
LOG_SUFFIXES = (".csv", ".jsonl")
Row = Mapping[str, Any]
STAGES = ("detect", "track", "classify", "smooth", "draw")
NOBODY = 0
"""The person's number where nobody is followed."""
_FRAME = np.dtype(
    [("number", "<i8"), ("seconds", "<f8"), ("read_at", "<f8"), ("faces", "<i4"), ("is_picture", "?")]
    + [(stage, "<f4") for stage in STAGES]
)
_LONGEST_HOLD_SECONDS = 1.0
"""A prediction stands for the time since the frame before, at most so long: a lost stream is no emotion."""
_FIRST_FRAME_SECONDS = 1 / 30
"""What the first frame counts, which has none before it."""


def check_output(path: Path, *, suffixes: tuple[str, ...], overwrite: bool) -> None:
    """Raises ConfigError if `path` has none of the suffixes or cannot be written, and leaves the disk as it was."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(
            f"{path} cannot be written: its name must end in {', '.join(suffixes)}.",
            hint=f"For example {path.with_suffix(suffixes[0]) if path.name else suffixes[0]}",
        )
    if not path.parent.is_dir():
        make = f"md {path.parent}" if os.name == "nt" else f"mkdir -p {shlex.quote(str(path.parent))}"
        hint = f"Make it first: {make}"
        raise ConfigError(f"{path} cannot be written: there is no folder {path.parent}.", hint=hint)
    if path.is_dir():
        raise ConfigError(f"{path} cannot be written: it is a folder.", hint="Give the name of a file.")
    check_free(path, overwrite=overwrite)
    is_new = not path.exists()
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        hint = "Give a place that you may write to."
        raise ConfigError(f"{path} cannot be written: {error.strerror}.", hint=hint) from None
    if is_new:
        path.unlink()


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises ConfigError for a folder or a file with content, unless it may be overwritten.

    A recording cannot be made again, and the file may be the very one that is read.
    """
    if not overwrite and (path.is_dir() or (path.is_file() and path.stat().st_size)):
        raise ConfigError(f"{path} is already there, and is not replaced.", hint="Give another name, or --overwrite.")


def make_folder(folder: Path) -> None:
    """Makes a folder, and raises ConfigError if that cannot be, or if nothing can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(
            f"Nothing can be written in {folder}: {error.strerror}.", hint="Give another place with --folder."
        ) from None


def free_path(folder: Path, name: str) -> Path:
    """Returns folder/name, or with _2, _3 … before the suffix: nothing that is there is written over."""
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{Path(name).stem}_{number}{Path(name).suffix}"
    return path


def disk_full(path: Path) -> DiskFullError:
    """Returns the error of a file for which there is no more room."""
    return DiskFullError(
        f"No room to go on writing {path}; what was written before is kept.",
        hint="Make room on that disk, or write to another one.",
    )


def write_error(path: Path, number: int | None, reason: str | None) -> DiskFullError | SourceError:
    """Returns the error of a file that cannot be written any more, by the errno and text of what was raised."""
    if number in DISK_IS_FULL:
        return disk_full(path)
    hint = "What was written before is kept. Is its disk still there?"
    return SourceError(f"{path} cannot be written any more: {reason}.", hint=hint)


class PredictionLog(Sink):
    """A file with a row for every face of every frame; a frame without a face has a row too, with empty cells.

    Columns are `COLUMNS`, each label's probability and, for pictures, `NAME`. Every frame's rows are given to the
    system in one piece before `write` returns, so that there are whole rows only, whatever ends the process. The labels
    are those of the beginning: where the model changes, what has no column is left out.
    """

    def __init__(self, path: Path, labels: Sequence[str], *, overwrite: bool = False, of_pictures: bool = False):
        """Raises ConfigError if the file cannot be written, or is there, not empty and not to be overwritten."""
        check_output(path, suffixes=LOG_SUFFIXES, overwrite=overwrite)
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
        self._file = path.open("wb", buffering=0)
        if is_csv:
            self._append(_csv_line(dict(zip(self._columns, self._columns, strict=True))))

    def write(self, shown: Shown) -> None:
        """Writes a frame's rows; does nothing after `close` and after an error.

        Raises DiskFullError, and SourceError where the file cannot be written any more for another reason.
        """
        self._append("".join(map(self._as_line, self._rows(shown))))

    def close(self) -> None:
        """Closes the file. May be called again."""
        self._file.close()

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
        if self._file.closed:
            return
        whole = text.encode()
        try:
            _write_all(self._file, whole)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._whole_bytes)
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


class Record(Sink):
    """Frames and the faces in them, one row each. `problem` says why nothing more could be kept, else it is empty."""

    def __init__(self, labels: Sequence[str], *, is_live: bool = True):
        """`labels`: the model's, in its order. `is_live`: missing frames were dropped; those of a file are damaged."""
        self.labels, self.is_live, self.problem = tuple(labels), is_live, ""
        self.count = 0
        self._face = np.dtype(
            [("frame", "<i8"), ("person", "<i4"), ("label", "<i2"), ("unsure", "?")]
            + [(str(number), "<f4") for number in range(len(labels))]
        )
        # Without a buffer, which a full disk would let nobody read from or close. They are open until `close`.
        self._frames, self._faces = (tempfile.TemporaryFile(buffering=0) for _ in range(2))  # noqa: SIM115

    def write(self, shown: Shown) -> None:
        """Keeps one frame; frames come in their order. Where there is no room any more, what is there is kept."""
        if self.problem:
            return
        frame, stages = shown.frame, [shown.stage_seconds.get(stage, np.nan) for stage in STAGES]
        row = (frame.number, frame.seconds, frame.read_at, len(shown.predictions), bool(frame.name), *stages)
        try:
            for one in shown.predictions:
                shares = (one.probabilities[name] for name in self.labels)
                face = (self.count, one.person or NOBODY, self.labels.index(one.label), one.unsure, *shares)
                _write_all(self._faces, np.array([face], self._face).tobytes())
            _write_all(self._frames, np.array([row], _FRAME).tobytes())
        except OSError as error:
            self.problem = f"The summary is of the first {self.count:,} frames: {error.strerror}."
            return
        self.count += 1

    def frames(self) -> "pandas.DataFrame":
        """Returns a row for each frame, with the seconds that it stands for as `held` (1 for a picture)."""
        import pandas

        frames = pandas.DataFrame(_rows(self._frames, _FRAME)[: self.count])
        frames["held"] = frames["seconds"].diff().clip(0, _LONGEST_HOLD_SECONDS).fillna(_FIRST_FRAME_SECONDS)
        frames.loc[frames["is_picture"], "held"] = 1.0
        return frames

    def faces(self) -> "pandas.DataFrame":
        """Returns a row for each face: `frame` (its row), `seconds`, `held`, `person`, `label`, `unsure`, `0`, `1` … .

        `label` is its number, and so are the names of the columns with the probabilities.
        """
        import pandas

        faces = pandas.DataFrame(_rows(self._faces, self._face))
        faces = faces[faces["frame"] < self.count]
        return faces.join(self.frames()[["seconds", "held"]], on="frame")

    def close(self) -> None:
        """Gives the room on the disk back; may be called again."""
        self._frames.close()
        self._faces.close()


def _write_all(file: io.RawIOBase, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]


def _rows(file: io.RawIOBase, dtype: np.dtype) -> np.ndarray:
    file.seek(0)
    data = file.read()
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
