"""`metrics.jsonl`: what a training reports while it runs, one JSON object a line. The wire to jobs and the web page."""

import json
import os
from pathlib import Path
from typing import Any, Literal

from fer_core.errors import ArtifactError
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.files import full_disk_named, parse_json, plain, read_whole

MetricKind = Literal["epoch", "progress", "event"]

_LARGEST = 1e18
_LARGEST_EPOCH = 1_000_000_000


class MetricsWriter:
    """Appends to a metrics.jsonl. A line that a kill tore is closed first, so that no two run together."""

    def __init__(self, path: Path, *, attempt: int = 1, clock: Clock = utc_now):
        self._attempt = attempt
        self._clock = clock
        self._path = path
        self._file = path.open("ab+", buffering=0)
        self._close_torn_line()

    def write(self, kind: MetricKind, **fields: Any) -> None:
        """Writes one line; an epoch's line is on the disk when this returns. NaN becomes null. Raises DiskFullError."""
        entry = {"kind": kind, "time": utc_text(self._clock()), "attempt": self._attempt} | plain(fields)
        with full_disk_named(self._path):
            self._close_torn_line()
            self._append(json.dumps(entry, ensure_ascii=False, allow_nan=False).encode() + b"\n")
            if kind == "epoch":
                os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "MetricsWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _close_torn_line(self) -> None:
        """Also before each line: an earlier write may have stopped halfway at a full disk."""
        if self._file.seek(0, os.SEEK_END):
            self._file.seek(-1, os.SEEK_END)
            if self._file.read(1) != b"\n":
                self._append(b"\n")

    def _append(self, data: bytes) -> None:
        while data:
            data = data[self._file.write(data) :]


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Returns the entries of a metrics.jsonl, oldest first; torn lines are left out, a missing file has none.

    An entry of an epoch has the epoch's number; all other values of it are numbers, or None. Raises ArtifactError.
    """
    try:
        lines = read_whole(path).split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}.") from error
    return [entry for entry in map(_entry, lines) if entry is not None]


def _entry(line: bytes) -> dict[str, Any] | None:
    """Returns what a training may have written: who shows it reckons with its numbers."""
    try:
        entry = parse_json(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or entry.get("kind") not in ("epoch", "progress", "event"):
        return None
    epoch = entry.get("epoch")
    if entry["kind"] == "epoch" and (type(epoch) is not int or not 0 < epoch <= _LARGEST_EPOCH):
        return None
    figures = (value for name, value in entry.items() if name not in ("kind", "time"))
    are_numbers = all(one is None or (isinstance(one, int | float) and abs(one) <= _LARGEST) for one in figures)
    return entry if entry["kind"] == "event" or are_numbers else None
