"""`Run`: one run's folder: its manifest, its state, its files, the lock of who trains it, and what people say of it."""

import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import filelock
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_core.errors import ArtifactError, ConfigError, RunHeldError
from fer_core.resources import file_lock
from fer_core.store.files import (
    Clock,
    full_disk_named,
    in_folder,
    parse_json,
    plain,
    read_json,
    read_whole,
    sweep,
    utc_now,
    utc_text,
    write_atomically,
    write_json,
)
from fer_core.store.manifest import Count, Manifest, Timestamp, checked

Status = Literal["QUEUED", "RUNNING", "INTERRUPTED", "SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"]

_HOLD_SECONDS = 0.5  # longer than anybody needs to look whether a run is held; shorter than a person notices


class State(BaseModel):
    """How far a run is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    status: Status = "QUEUED"
    attempt: Count = 0
    host: str | None = None
    pid: int | None = None
    heartbeat_utc: Timestamp | None = None
    epoch: Count = 0
    """The last finished one; 0 before the first."""
    epochs: Count | None = None
    message: str = ""
    started_utc: Timestamp | None = None
    finished_utc: Timestamp | None = None


@dataclass(frozen=True)
class Run:
    """A run on disk. Nothing is kept in memory: manifest and state are read anew each time."""

    folder: Path
    history: Path
    """The folder of all runs' history CSVs."""

    model_h5 = in_folder("model.h5")
    model_tflite = in_folder("model.tflite")
    model_int8 = in_folder("model_int8.tflite")
    architecture_json = in_folder("model.json")
    labels_json = in_folder("labels.json")
    metrics_jsonl = in_folder("metrics.jsonl")
    log_txt = in_folder("log.txt")
    checkpoint = in_folder("checkpoint")
    plots = in_folder("plots")
    evaluation_json = in_folder("evaluation.json")
    answers_npz = in_folder("answers.npz")
    audit_json = in_folder("audit.json")
    training_images = in_folder("training_images.bin")

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def history_csv(self) -> Path:
        return self.history / self.manifest.history_csv

    @property
    def manifest(self) -> Manifest:
        """What the run is. Raises ArtifactError if the file is missing or not ours."""
        path = self.folder / "manifest.json"
        try:
            return Manifest.from_json(read_whole(path), where=str(path))
        except OSError as error:
            raise ArtifactError(f"Run {self.id} has no readable manifest: {path}: {error.strerror}.") from error

    @property
    def state(self) -> State:
        """How far the run is. Raises ArtifactError if the file is missing or not ours."""
        path = self.folder / "state.json"
        return checked(State, read_json(path, f"state of run {self.id}"), otherwise=f"{path} is no state of a run")

    def update_state(self, **fields: Any) -> State:
        """Changes some fields of state.json in one instant and returns the new state. Raises DiskFullError."""
        with self._writing():
            state = State.model_validate(self.state.model_dump() | plain(fields))
            write_json(self.folder / "state.json", state.model_dump())
        return state

    def update_manifest(self, **fields: Any) -> Manifest:
        """Completes the manifest in one instant and returns it.

        A finished run's manifest changes no more, but for `litert`: that export may be made later, on another machine.
        Raises ArtifactError, DiskFullError.
        """
        with self._writing():
            if self.state.status == "SUCCEEDED" and set(fields) != {"litert"}:
                raise ArtifactError(f"Run {self.id} is finished: its manifest does not change any more.")
            manifest = self.manifest.completed(fields)
            write_atomically(self.folder / "manifest.json", manifest.to_json())
        return manifest

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keeps every other process from training this run; freed by the system when this process ends in any way.

        Removes what a killed holder left behind. Raises RunHeldError that names the holder.
        """
        lock = self._lock()
        try:
            lock.acquire(timeout=_HOLD_SECONDS)
        except filelock.Timeout:
            state = self.state
            raise RunHeldError(
                f"Run {self.id} is being trained by process {state.pid} on {state.host}.",
                hint="Wait until it ends, or stop it with Ctrl-C or `kill` there; then start it again with --resume.",
            ) from None
        try:
            for folder in (self.folder, self.checkpoint, self.plots, self.history_csv.parent):
                sweep(folder)
            self.update_state(host=socket.gethostname(), pid=os.getpid(), heartbeat_utc=utc_text(utc_now()))
            yield
        finally:
            lock.release()

    def is_held(self) -> bool:
        """Returns whether a living process trains this run."""
        try:
            with self._lock().acquire(timeout=0):
                return False
        except filelock.Timeout:
            return True
        except OSError:  # in a folder that cannot be written to, nobody trains
            return False

    def _lock(self) -> filelock.BaseFileLock:
        return file_lock(self.folder / ".trainer.lock", poll_seconds=0.02)

    def _writing(self) -> filelock.BaseFileLock:
        """Reading, changing and writing back is one step, for the trainer and for a process that watches it."""
        return file_lock(self.folder / ".writing.lock", poll_seconds=0.01)


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


NOTES_FILE = "notes.json"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MOST = {"name": "100 characters", "tags": "20 tags of 40 characters", "notes": "10,000 characters"}

Tag = Annotated[str, Field(min_length=1, max_length=40)]


class RunNotes(BaseModel):
    """What people say about a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Annotated[str, Field(max_length=100)] = ""
    tags: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()
    notes: Annotated[str, Field(max_length=10_000)] = ""
    archived: bool = False
    """Lists leave it out unless they are asked for it. Nothing else changes."""


def notes_of(run: Run) -> RunNotes:
    """Returns what was said about a run; nothing where there is no such file, or none of ours."""
    try:
        return RunNotes.model_validate(read_json(run.folder / NOTES_FILE, "notes"))
    except (ArtifactError, ValidationError):  # they must never hide the run
        return RunNotes()


def save_notes(run: Run, *, name: str, tags: Sequence[str], notes: str, archived: bool) -> RunNotes:
    """Writes what people say about a run, whole, and returns it, without spaces around it and tags that come twice.

    Raises ConfigError for what is too long, DiskFullError.
    """
    plain_tags = dict.fromkeys(filter(None, map(_on_one_line, tags)))
    values = {"name": _on_one_line(name), "tags": tuple(plain_tags), "notes": notes.strip(), "archived": archived}
    try:
        found = RunNotes(**values)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise ConfigError(f"The {field} of a run may have at most {_MOST[field]}.", hint="Shorten it.") from None
    write_json(run.folder / NOTES_FILE, found.model_dump())
    return found


def _on_one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()
