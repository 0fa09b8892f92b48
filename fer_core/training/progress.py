"""How far a training is: its checkpoint, from which it goes on, and what it reports while it runs.

`.keras` and `save_weights` leave out the state of the random generators; a training resumed from them is another one.
The checkpoint has all variables of model and optimizer, the weights of the best epoch, and the history so far, in one
file that is replaced at each epoch's end, so that a training killed at any moment and resumed ends with the same bits
as one that was not. Reports go to metrics.jsonl, log.txt and state.json, and to who started the training.
"""

import contextlib
import io
import json
import shutil
import threading
import traceback
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fer_core.errors import DISK_IS_FULL, ArtifactError, FerError, printable
from fer_core.store.files import DiskFullError, full_disk_named, replacing, utc_now, utc_text
from fer_core.store.run import MetricsWriter, Run, read_metrics

if TYPE_CHECKING:
    import keras

FILE_NAME = "checkpoint.npz"
_ROOM_FOR_LOGS_AND_PLOTS = 20 * 2**20
Report = Callable[[str, dict[str, Any]], None]
"""Called with the kind ("event", "progress", "epoch") and its fields, as they stand in metrics.jsonl."""

PULSE_SECONDS = 4.0
"""Who watches a run may take it for dead after somewhat more silence than this."""


@dataclass
class Progress:
    """How far a training is. Epochs count from 1."""

    epoch: int = 0
    """The last finished one."""
    best_epoch: int = 0
    best_value: float | None = None
    rows: list[dict] = field(default_factory=list)
    """One for each finished epoch, as in the history CSV."""
    best_weights: list[np.ndarray] = field(default_factory=list)
    """Of the network, in the order of `get_weights`."""

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights are saved: the best, where validation chose one."""
        return self.best_epoch if self.best_weights else self.epoch


def save_checkpoint(folder: Path, model: "keras.Model", progress: Progress) -> None:
    """Replaces the checkpoint in one instant. Raises DiskFullError; the one before is then still whole."""
    folder.mkdir(exist_ok=True)
    arrays = {name: np.asarray(variable) for name, variable in _variables(model).items()}
    arrays |= {f"best{place:05d}": array for place, array in enumerate(progress.best_weights)}
    metadata = {name: value for name, value in vars(progress).items() if name != "best_weights"}
    arrays["progress"] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    # Not np.savez(file): on a full disk its zip writer fails again while closing, and hides the reason.
    content = io.BytesIO()
    np.savez(content, **arrays)
    with replacing(folder / FILE_NAME) as temporary:
        temporary.write_bytes(content.getbuffer())


def check_room(folder: Path, model: "keras.Model") -> None:
    """Raises DiskFullError, before the first epoch, if the disk cannot hold what the training will write.

    That is the checkpoint twice (the old one goes when the new one is whole), the best weights, and the saved forms.
    """
    state = sum(int(np.prod(variable.shape)) * 4 for variable in _variables(model).values())
    network = sum(int(np.prod(weight.shape)) * 4 for weight in model.network.weights)
    needed = 2 * (state + network) + 4 * network + _ROOM_FOR_LOGS_AND_PLOTS
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFullError(
            f"The training needs about {needed / 2**20:,.0f} MB in {folder}, and {free / 2**20:,.0f} MB are free.",
            hint="Make room there, or put the runs on another disk with --models-dir.",
        )


def load_checkpoint(folder: Path, model: "keras.Model") -> Progress:
    """Puts the checkpoint into the model and its optimizer, and returns how far it was; a new Progress without one.

    Raises:
        ArtifactError: for a file that is damaged or of another network.
    """
    arrays = _read(folder)
    if arrays is None:
        return Progress()
    model.optimizer.build(model.trainable_variables)
    metadata = json.loads(arrays.pop("progress").tobytes())
    best = [arrays.pop(name) for name in sorted(name for name in arrays if name.startswith("best"))]
    wanted = _variables(model)
    if {name: array.shape for name, array in arrays.items()} != {n: tuple(v.shape) for n, v in wanted.items()}:
        path = folder / FILE_NAME
        raise ArtifactError(f"{path} is a checkpoint of another network or optimizer.", hint="Start a new run.")
    for name, variable in wanted.items():
        variable.assign(arrays[name])
    return Progress(**metadata, best_weights=best)


def read_progress(folder: Path) -> Progress:
    """Returns how far the checkpoint in `folder` is, without weights; a new Progress where there is none."""
    arrays = _read(folder)
    return Progress() if arrays is None else Progress(**json.loads(arrays["progress"].tobytes()))


def _read(folder: Path) -> dict[str, np.ndarray] | None:
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ArtifactError(
            f"The checkpoint {path} is damaged ({error}).",
            hint="Remove it, and --resume starts this run again from its first epoch.",
        ) from error


def _variables(model: "keras.Model") -> "dict[str, keras.Variable]":
    """Returns every variable by place: names that Keras makes up depend on what else the process has built."""
    both = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {f"{kind}{place:05d}": v for kind, variables in both.items() for place, v in enumerate(variables)}


def ignore(kind: str, fields: dict[str, Any]) -> None:
    """A report that nobody reads."""


class RunReport:
    """Writes what happens in a run, and a heartbeat while there is nothing else (compiling, validating, exporting)."""

    def __init__(self, run: Run, attempt: int, forward: Report):
        self._run, self._forward = run, forward
        self._metrics = MetricsWriter(run.metrics_jsonl, attempt=attempt)
        self._log = run.log_txt.open("a", encoding="utf-8")
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._pulse = threading.Thread(target=self._beat, daemon=True)
        self.has_estimate = False

    def __enter__(self) -> "RunReport":
        self._pulse.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._pulse.join()
        self._metrics.close()
        self._log.close()

    def _beat(self) -> None:
        """A folder that cannot be written to for a while (a network drive) must not end the heartbeat for good."""
        trouble = ""
        while not self._ended.wait(PULSE_SECONDS):
            try:
                with self._writing:
                    self._metrics.write("progress", alive=True)
                    self._run.update_state(heartbeat_utc=utc_text(utc_now()))
            except DiskFullError:
                continue  # for the training to meet, in its own thread
            except (ArtifactError, OSError) as error:
                if str(error) != trouble:  # once, not every few seconds; and not to the files that cannot be written
                    trouble = str(error)
                    text = f"The sign of life cannot be written; it is tried again: {error}"
                    self._forward("event", {"text": text})

    def event(self, text: str, **fields: Any) -> None:
        """Something that happened, as a sentence."""
        self._report("event", {"text": text} | fields)
        self.note(text)

    def estimate(self, epoch_seconds: float, epochs: int) -> None:
        """How long it will take, reported once."""
        self.has_estimate = True
        total = epoch_seconds * epochs
        whole = f"{duration(total)} for {'1 epoch' if epochs == 1 else f'{epochs} epochs'}"
        text = f"About {duration(epoch_seconds)} an epoch: {whole}, less if it stops early."
        self.event(text, epoch_seconds=round(epoch_seconds, 3), total_seconds=round(total, 1))

    def progress(self, **fields: Any) -> None:
        """How far the epoch is."""
        self._report("progress", fields)
        self._run.update_state(heartbeat_utc=utc_text(utc_now()))

    def epoch(self, row: dict[str, Any]) -> None:
        """A finished epoch, as its row in the history."""
        self._report("epoch", row)
        self.note(epoch_line(row))
        self._run.update_state(epoch=row["epoch"], heartbeat_utc=utc_text(utc_now()))

    def catch_up(self, rows: list[dict[str, Any]]) -> None:
        """Writes the epochs that were saved before a kill, which came before they were reported."""
        reported = {entry["epoch"] for entry in read_metrics(self._run.metrics_jsonl) if entry["kind"] == "epoch"}
        with self._writing:
            for row in rows:
                if row["epoch"] not in reported:
                    self._metrics.write("epoch", **row)

    def note(self, text: str) -> None:
        """Something for the log alone."""
        with full_disk_named(Path(self._log.name)):
            self._log.write(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}  {printable(text)}\n")
            self._log.flush()

    def _report(self, kind: str, fields: dict[str, Any]) -> None:
        with self._writing:
            self._metrics.write(kind, **fields)
        self._forward(kind, fields)


@contextlib.contextmanager
def reporting(run: Run, report: Report) -> Iterator[RunReport]:
    """Keeps state.json true, from RUNNING to the end of the work, however it ends; yields what reports its events."""

    def end(status: str, message: str) -> None:
        run.update_state(status=status, message=message, finished_utc=utc_text(utc_now()))

    started = {"message": "", "started_utc": utc_text(utc_now()), "finished_utc": None}
    state = run.update_state(status="RUNNING", attempt=run.state.attempt + 1, **started)
    with RunReport(run, state.attempt, report) as run_report:
        try:
            yield run_report
        except (KeyboardInterrupt, BrokenPipeError):
            end("INTERRUPTED", f"Interrupted after epoch {run.state.epoch}.")
            raise
        except DiskFullError as error:
            # There may be no room for this either; whoever made room can go on with --resume latest.
            with contextlib.suppress(DiskFullError):
                end("INTERRUPTED", str(error))
            raise
        except FerError as error:
            end("FAILED", str(error))
            raise
        except Exception as error:
            if getattr(error, "errno", None) in DISK_IS_FULL:  # where the output goes
                end("INTERRUPTED", f"The output cannot be written: {error}.")
                raise
            end("FAILED", f"Internal error: {error!r}")
            run_report.note(traceback.format_exc())
            raise
    end("SUCCEEDED", "")


def epoch_line(row: dict[str, Any]) -> str:
    """Returns a finished epoch as one line for people."""
    parts = [f"epoch {row['epoch']:>3}", f"loss {row['loss']:.4f}", f"accuracy {row['accuracy']:.1%}"]
    if row.get("val_accuracy") is not None:
        parts += [f"val_loss {row['val_loss']:.4f}", f"val_accuracy {row['val_accuracy']:.1%}"]
        parts += [f"val_macro_f1 {row['val_macro_f1']:.3f}"]
    return "  ".join([*parts, f"{row['seconds']:.1f} s", f"{row['images_per_second']:,.0f} images/s"])


def duration(seconds: float) -> str:
    """Returns a time for people: 3.2 s, 41 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
