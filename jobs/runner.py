"""What each job does in processes of its own, a command that a user could type as well, under the lock of the job.

A process is started until it ends well, is refused, or crashes three times in vain.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fer_core.errors import ArtifactError
from fer_core.job.arguments import EvaluateArguments, ReadArguments, RetrainArguments
from fer_core.job.job import Job
from fer_core.locks import Held
from fer_core.resources import PROJECT
from fer_core.store.files import read_json, utc_now, utc_text
from fer_core.store.run import Run, State
from fer_core.store.runs import open_run
from fer_core.tuning.stage import TrialName
from fer_core.tuning.state import load_state
from jobs.process import GRACE_SECONDS, Ended, StopReason, last_lines, watched

MOST_CRASHES = 3  # in a row, without an epoch having been finished
MOST_LOSSES = 30  # how often in a row a worker may die over work that finishes no epoch: more is no accident

_PAUSE_SECONDS = 2.0  # after a crash, or while another process trains the run
_HELD_SECONDS = 120.0
_FLAG_SECONDS = 2.0
_FULL_BELOW = 2**20
_STUDY = ("-m", "fer_core.cli.study")
_SCORES = ("split", "images", "accuracy", "accuracy_interval", "macro_f1", "kept_epoch", "epochs")
_LOST = (
    "The worker died {} times over it before an epoch was finished: most likely the machine runs out of memory. "
    "Nothing is lost; give it a smaller batch_size, or another machine, and resume it."
)

_logger = logging.getLogger(__name__)


class RunnerOutcome(NamedTuple):
    """What came of it. 'unable': this machine could not begin it, others may; 'full': the disk is, it goes on later."""

    kind: Literal["done", "failed", "full", "unable", StopReason]
    message: str = ""


@dataclass
class Worker:
    """The worker that this pool child is of."""

    name: str
    is_stop_asked: Callable[[], bool]
    main: int = field(default_factory=os.getppid)
    is_terminated: bool = False

    @property
    def id(self) -> str:
        """Another one after each start."""
        return f"{self.name}/{self.main}"

    def is_to_stop(self) -> bool:
        """Whether what it works on is to be handed on: it is asked to end, or its main process is dead."""
        return self.is_stop_asked() or os.getppid() != self.main

    @contextlib.contextmanager
    def heeding_sigterm(self) -> Iterator[None]:
        """While this lasts, SIGTERM ends the work, where it would end this process on the spot."""

        def terminate(number: int, frame: object) -> None:
            self.is_terminated = True

        is_child = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, terminate) if is_child else None
        self.is_terminated = False
        try:
            yield
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)

    def was_terminated(self) -> bool:
        """Whether SIGTERM meant the work (`celery control terminate`), not the worker, which would say so itself."""
        deadline = time.monotonic() + _FLAG_SECONDS
        while not self.is_to_stop() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.is_to_stop()


@dataclass
class Runner:
    """The processes of a job, or of one trial of a search, one after another."""

    command: Sequence[str]
    log: Path
    run: Callable[[], Run | None]  # what it trains; None where it trains nothing, or nothing yet
    cancel_file: Path
    held: Held
    worker: Worker
    others: Callable[[], bool]  # whether other workers listen that may be able to do it
    leaves_refusals: bool = False  # whether what a machine refuses before it has begun may be begun by others

    def outcome(self, message_id: str, max_hours: float | None = None) -> RunnerOutcome:
        """Returns what came of it. Raises Celery's SoftTimeLimitExceeded when that comes, with the process ended."""
        notes, now = self.held.notes, utc_now()
        self.held.note(
            worker=self.worker.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            message_id=message_id,
            attempt=notes.attempt + 1,
            started_utc=utc_text(now),
            deadline_utc=notes.deadline_utc or (utc_text(now + timedelta(hours=max_hours)) if max_hours else None),
            losses=notes.losses + bool(notes.worker),
        )
        try:
            with self.worker.heeding_sigterm():
                return self._outcome()
        finally:
            self.held.note(worker="", started_utc=None)

    def _outcome(self) -> RunnerOutcome:
        self._note_progress()
        if self.held.notes.losses >= MOST_LOSSES and not self._stop_reason():
            return RunnerOutcome("failed", _LOST.format(self.held.notes.losses))
        while True:
            if (reason := self._wait_until_free()) is not None:
                return self._stopped(reason)
            begun = self._state().attempt
            ended = watched(self.command, self.log, self._stop_reason)
            if ended.kind == "done":
                return RunnerOutcome("done")
            if ended.kind in GRACE_SECONDS:
                return self._stopped(ended.kind)
            if ended.kind != "held":  # by a person who trains it
                outcome = self._of_end(ended, has_begun=self._state().attempt > begun)
                if outcome is not None:
                    return outcome
                _logger.warning("%s It is tried again.", ended.message.partition("\n")[0])
            self._pause(_PAUSE_SECONDS)

    def _of_end(self, ended: Ended, *, has_begun: bool) -> RunnerOutcome | None:
        """Returns what a process that ended badly means; None if it is to be started again."""
        if ended.kind in ("not_finite", "too_large"):
            return RunnerOutcome("failed", ended.message)
        if self._is_full(ended, has_begun=has_begun):
            return RunnerOutcome("full", f"No room in {self.log.parent}: it goes on when there is some.")
        has_begun = has_begun or self._note_progress()
        may_be_begun_elsewhere = not has_begun and (ended.kind == "crashed" or self.leaves_refusals)
        if ended.kind in ("refused", "crashed") and may_be_begun_elsewhere and self.others():
            return RunnerOutcome("unable", ended.message)
        if ended.kind == "refused":
            return RunnerOutcome("failed", ended.message)
        if not self._note_progress():
            self.held.note(crashes=self.held.notes.crashes + 1)
        return RunnerOutcome("failed", ended.message) if self.held.notes.crashes >= MOST_CRASHES else None

    def _is_full(self, ended: Ended, *, has_begun: bool) -> bool:
        """A training that finds no room ends like one that is refused, but says that it was interrupted, if it can."""
        is_interrupted = has_begun and self._state().status in ("RUNNING", "INTERRUPTED")
        try:
            with tempfile.TemporaryFile(dir=self.log.parent) as probe:  # a quota counts like a disk
                probe.write(bytes(_FULL_BELOW))
        except OSError:
            return True
        return ended.kind == "refused" and is_interrupted

    def _stopped(self, reason: StopReason) -> RunnerOutcome:
        is_worker_s = reason == "terminated" and not self.worker.was_terminated()
        return RunnerOutcome("handed_on" if is_worker_s else reason)

    def _stop_reason(self) -> StopReason | None:
        if self.cancel_file.exists():
            return "cancelled"
        deadline = self.held.notes.deadline_utc
        if deadline and utc_now() >= datetime.fromisoformat(deadline):
            return "timed_out"
        if self.worker.is_to_stop():
            return "handed_on"
        return "terminated" if self.worker.is_terminated else None

    def _pause(self, seconds: float) -> StopReason | None:
        deadline = time.monotonic() + seconds
        while (reason := self._stop_reason()) is None and time.monotonic() < deadline:
            time.sleep(0.2)
        return reason

    def _wait_until_free(self) -> StopReason | None:
        """Waits while a person trains the run; returns the reason if somebody wants the end meanwhile."""
        began, reason = time.monotonic(), self._stop_reason()
        while reason is None and (run := self.run()) is not None and run.folder.is_dir() and run.is_held():
            is_late = time.monotonic() - began > _HELD_SECONDS
            reason = "handed_on" if is_late else self._pause(0.5)
        return reason

    def _note_progress(self) -> bool:
        """Returns whether an epoch was finished since the last look; it is noted, and forgives crashes and losses."""
        epoch, seen = self._state().epoch, self.held.notes.epoch
        if epoch > seen:
            self.held.note(epoch=epoch, crashes=0, losses=0)
        elif epoch < seen:  # its checkpoint is lost, and it began again: its next epoch counts
            self.held.note(epoch=epoch)
        return epoch > seen

    def _state(self) -> State:
        """Returns how far the run is; nothing of one that there is not, or that is broken."""
        with contextlib.suppress(ArtifactError):
            run = self.run()
            return run.state if run is not None else State()
        return State()


def runner_of(job: Job, held: Held, worker: Worker, others: Callable[[], bool]) -> Runner:
    """Returns what carries out a training, a retraining or an analysis. Raises ConfigError."""
    arguments, folders = job.arguments, _folders(job)
    if isinstance(arguments, EvaluateArguments):
        model = [] if arguments.run == "current" else ["--model", arguments.run]
        data = [] if arguments.data is None else ["--data", arguments.data]
        command = [f"{PROJECT}/realtime_emotion_detector.py", "--analyze", *model, *data, *folders[:2]]
    elif isinstance(arguments, RetrainArguments):
        spec = arguments.model_dump_json(exclude={"queue", "max_hours"}, exclude_unset=True)
        command = ["-m", "fer_core.cli.retrain", "--job", job.id, "--spec", spec, "--run", job.id, *folders]
    elif isinstance(arguments, ReadArguments):
        spec = arguments.model_dump_json(exclude={"queue", "max_hours", "processes"}, exclude_unset=True)
        command = [*_STUDY, str(job.folder), "--spec", spec, "--processes", str(arguments.processes), *folders]
    else:
        command = [f"{PROJECT}/train_emotion_model.py", "--resume", job.id, *folders]
    return Runner([sys.executable, *command], job.log, lambda: job.run, job.cancel_file, held, worker, others)


def runner_of_helper(job: Job, number: int, held: Held, worker: Worker) -> Runner:
    """Returns what reads parts of a study that another worker sees to."""
    processes = str(job.arguments.processes)
    command = [sys.executable, *_STUDY, str(job.folder), "--helps", "--processes", processes, *_folders(job)]
    log = job.folder / "output" / f"helper{number}.txt"
    return Runner(command, log, lambda: None, job.cancel_file, held, worker, lambda: False)


def runner_of_trial(job: Job, name: TrialName, held: Held, worker: Worker, others: Callable[[], bool]) -> Runner:
    """Returns what carries out a training of a search."""
    command = [sys.executable, "-m", "fer_core.cli.trial", job.id, "--job", name.id, *_folders(job)]
    log, run = job.folder / "output" / f"s{name.slot}.{name.n}.txt", partial(run_of_trial, job, name)
    return Runner(command, log, run, job.cancel_file, held, worker, others, leaves_refusals=True)


def _folders(job: Job) -> list[str]:
    return ["--models-dir", str(job.paths.models), "--history-dir", str(job.paths.history)]


def run_of_trial(job: Job, name: TrialName) -> Run | None:
    """Returns the run of a training, which is known when its process has asked the search."""
    with contextlib.suppress(ArtifactError):
        entry = load_state(job.search).entry_of(name.id)
        return entry and open_run(job.paths, entry.run)
    return None


def result_of(job: Job) -> dict[str, Any]:
    """Returns the result of a job whose process has ended well."""
    arguments, run = job.arguments, job.run
    if isinstance(arguments, EvaluateArguments):
        return {"run": arguments.run}
    if isinstance(arguments, ReadArguments):
        counts = {} if job.study is None else job.study.counts()
        return {"study": job.id, **counts, "report": str(job.folder / "report.html")}
    if isinstance(arguments, RetrainArguments):
        decision = job.folder / "promotion.json"
        if decision.is_file():
            return read_json(decision, f"decision about run {job.id}")
        return {"promoted": False, "reasons": last_lines(job.log, 1)}
    scores = (run.manifest.scores or {}) if run else {}
    return {"run": job.id} | {name: scores[name] for name in _SCORES if name in scores}
