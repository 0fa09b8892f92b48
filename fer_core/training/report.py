"""What a training reports while it runs: to its metrics.jsonl, log.txt and state.json, and to who started it."""

import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError, FerError, printable
from fer_core.store.files import DiskFullError, full_disk_named, utc_now, utc_text
from fer_core.store.run import MetricsWriter, Run, read_metrics

Report = Callable[[str, dict[str, Any]], None]
"""Called with the kind ("event", "progress", "epoch") and its fields, as they stand in metrics.jsonl."""

PULSE_SECONDS = 4.0
"""Who watches a run may take it for dead after somewhat more silence than this."""


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
