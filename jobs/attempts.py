"""What is done under one lock: a process is started until it ends well, is refused, or crashes three times in vain."""

import contextlib
import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from fer_core.errors import ArtifactError
from fer_core.job.lock import Held
from fer_core.store.clock import utc_now, utc_text
from fer_core.store.run import Run
from jobs.process import Ended, Wish, kill_orphan, watched

MOST_CRASHES = 3
"""In a row, without an epoch having been finished."""
MOST_LOSSES = 30
"""How often in a row a worker may die over work that finishes no epoch: more is no accident."""

_PAUSE_AFTER_CRASH = 2.0
_HELD_SECONDS = 120.0
"""A trainer that was asked to end may still write its checkpoint."""
_ORPHAN_SECONDS = 20.0
_PAUSE_WHILE_HELD = 2.0
_FLAG_SECONDS = 2.0
_FULL_BELOW = 2**20

_LOST = (
    "The worker died {} times over it before an epoch was finished: most likely the machine runs out of memory. "
    "Nothing is lost; give it a smaller batch_size, or another machine, and resume it."
)
_logger = logging.getLogger(__name__)

Kind = Literal["done", "failed", "cancelled", "terminated", "timed_out", "handed_on", "full", "unable"]
"""'unable': this machine could not begin it, others may; 'full': the disk is, and it goes on when there is room."""


class Outcome(NamedTuple):
    """What came of it."""

    kind: Kind
    message: str = ""


@dataclass(frozen=True)
class Work:
    """A command, and what it works on."""

    command: Sequence[str]
    log: Path
    run: Callable[[], Run | None]
    """What it trains; None where it trains nothing, or nothing yet."""
    cancel_file: Path
    leaves_refusals: bool = False
    """Whether what a machine refuses before it has begun may be begun by others."""


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


class Attempts:
    """The processes of one piece of work, one after another."""

    def __init__(self, work: Work, held: Held, worker: Worker, *, others: Callable[[], bool]):
        self._work, self._held, self._worker, self._others = work, held, worker, others

    def outcome(self, message_id: str, max_hours: float | None = None) -> Outcome:
        """Returns what came of it. Raises Celery's SoftTimeLimitExceeded when that comes, with the process ended."""
        self._begin(message_id, max_hours)
        try:
            with self._worker.heeding_sigterm():
                return self._outcome()
        finally:
            self._held.note(worker="", started_utc=None)

    def _begin(self, message_id: str, max_hours: float | None) -> None:
        notes, now = self._held.notes, utc_now()
        deadline = notes.deadline_utc or (utc_text(now + timedelta(hours=max_hours)) if max_hours else None)
        self._held.note(
            worker=self._worker.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            message_id=message_id,
            attempt=notes.attempt + 1,
            started_utc=utc_text(now),
            deadline_utc=deadline,
            losses=notes.losses + bool(notes.worker),
        )

    def _outcome(self) -> Outcome:
        self._note_progress()
        if self._held.notes.losses >= MOST_LOSSES and not self._wish():
            return Outcome("failed", _LOST.format(self._held.notes.losses))
        held_since: float | None = None
        while True:
            if (wish := self._wait_until_free()) is not None:
                return self._of_wish(wish)
            begun = self._begun()
            ended = watched(self._work.command, self._work.log, self._wish)
            if ended.kind == "done" and ended.wish not in ("cancelled", "terminated"):
                return Outcome("done")
            if ended.wish is not None:
                return self._of_wish(ended.wish)
            if ended.kind == "held":
                held_since = held_since or time.monotonic()
                if time.monotonic() - held_since > _HELD_SECONDS:
                    return Outcome("handed_on", ended.message)
                self._pause(_PAUSE_WHILE_HELD)
            elif (outcome := self._of_end(ended, has_begun=self._begun() > begun)) is not None:
                return outcome
            else:
                _logger.warning("%s It is tried again.", ended.message.partition("\n")[0])
                self._pause(_PAUSE_AFTER_CRASH)

    def _of_end(self, ended: Ended, *, has_begun: bool) -> Outcome | None:
        """Returns what a process that ended badly means; None if it is to be started again."""
        if ended.kind in ("not_finite", "too_large"):
            return Outcome("failed", ended.message)
        if self._is_full(ended):
            return Outcome("full", f"No room in {self._work.log.parent}: it goes on when there is some.")
        has_begun = has_begun or self._note_progress()
        if ended.kind == "refused" and (has_begun or not self._work.leaves_refusals):
            return Outcome("failed", ended.message)
        if ended.kind in ("refused", "crashed") and not has_begun and self._others():
            return Outcome("unable", ended.message)
        if ended.kind == "refused":
            return Outcome("failed", ended.message)
        if not self._note_progress():
            self._held.note(crashes=self._held.notes.crashes + 1)
        return Outcome("failed", ended.message) if self._held.notes.crashes >= MOST_CRASHES else None

    def _is_full(self, ended: Ended) -> bool:
        """A training that finds no room ends like one that is refused, but says that it was interrupted, if it can."""
        if shutil.disk_usage(self._work.log.parent).free < _FULL_BELOW:
            return True
        state = _state(self._work.run())
        return ended.kind == "refused" and state is not None and state.status in ("RUNNING", "INTERRUPTED")

    def _of_wish(self, wish: Wish) -> Outcome:
        if wish == "terminated" and not self._worker.was_terminated():
            wish = "handed_on"
        return Outcome(wish)

    def _wish(self) -> Wish | None:
        if self._work.cancel_file.exists():
            return "cancelled"
        deadline = self._held.notes.deadline_utc
        if deadline and utc_now() >= datetime.fromisoformat(deadline):
            return "timed_out"
        if self._worker.is_to_stop():
            return "handed_on"
        return "terminated" if self._worker.is_terminated else None

    def _pause(self, seconds: float) -> Wish | None:
        deadline = time.monotonic() + seconds
        while (wish := self._wish()) is None and time.monotonic() < deadline:
            time.sleep(0.2)
        return wish

    def _wait_until_free(self) -> Wish | None:
        """Waits while another process trains the run, and returns the wish if somebody wants the end meanwhile."""
        began = time.monotonic()
        wish = self._wish()
        while wish is None and self._is_held() and time.monotonic() - began < _HELD_SECONDS:
            run, state = self._work.run(), _state(self._work.run())
            is_late = time.monotonic() - began > _ORPHAN_SECONDS
            if is_late and state is not None and state.host == socket.gethostname() and kill_orphan(state.pid or 0):
                _logger.warning("Run %s: killed process %s, which its watcher had left behind.", run.id, state.pid)
            wish = self._pause(0.5)
        return wish

    def _is_held(self) -> bool:
        run = self._work.run()
        return run is not None and run.folder.is_dir() and run.is_held()

    def _note_progress(self) -> bool:
        """Returns whether an epoch was finished since the last look; it is noted, and forgives crashes and losses."""
        state, seen = _state(self._work.run()), self._held.notes.epoch
        epoch = state.epoch if state is not None else 0
        if epoch > seen:
            self._held.note(epoch=epoch, crashes=0, losses=0)
        elif epoch < seen:  # its checkpoint is lost, and it began again: its next epoch counts
            self._held.note(epoch=epoch)
        return epoch > seen

    def _begun(self) -> int:
        """Returns how often the training was begun."""
        state = _state(self._work.run())
        return state.attempt if state is not None else 0


def _state(run: Run | None):
    try:
        return run.state if run is not None else None
    except ArtifactError:
        return None
