"""`Supervisor`: watches the process of a job until it ends, and ends it where that is asked for. Touches no Redis.

    start ─► watch ─► it ended by itself ──────────────────► killed group, classified end
               └────► somebody wants its end ─► SIGTERM, wait, SIGKILL ─►┘

Each half second it looks whether the job was cancelled, the worker is to stop, the time is up, or another
process has taken the job by now; each ten seconds it gives a sign of life.
"""

import logging
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from fer_core.errors import FerError, JobError
from fer_core.store.clock import Clock, utc_now, utc_text
from jobs.job import Job
from jobs.memory import MemoryWatch, memory_limit
from jobs.process import End, end_of, running, send
from jobs.record import Jobs, JobTakenError

Wish = Literal["taken", "cancelled", "timed_out", "handed_on"]
"""Why a process is ended by us: another one carries the job out, or the job was cancelled, …"""

POLL_SECONDS = 0.5
BEAT_SECONDS = 10.0
GRACE_SECONDS: dict[Wish, float] = {"taken": 6, "cancelled": 6, "timed_out": 60, "handed_on": 45}
"""From SIGTERM to SIGKILL. Files survive a kill at any instant; a cancelled job is to be gone within ten seconds."""

SIGNAL_SECONDS = 3.0

_logger = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """How a process of a job ended: by itself, or because of a wish."""

    end: End
    wish: Wish | None = None


class Supervisor:
    """Watches one job's processes, one after another."""

    def __init__(self, jobs: Jobs, job: Job, *, is_stop_asked: Callable[[], bool], clock: Clock = utc_now):
        self.job = job
        self._jobs = jobs
        self._owner = job.owner
        self._is_stop_asked = is_stop_asked
        self._clock = clock
        self._next_beat = time.monotonic() + BEAT_SECONDS
        self._trouble = ""

    def run(self, command: Sequence[str]) -> Outcome:
        """Returns how the command ended; nothing that it has started is left then.

        Raises DiskFullError for no log, ConfigError for a limit of memory that is none.
        """
        log, limit = self._jobs.log(self.job.id), memory_limit()
        with running(command, log, owner=self._owner) as process, MemoryWatch(process.pid, limit) as memory:
            wish = self._watch(process)
            if wish is not None:
                wish = self._stop(process, wish)
        # Again it would need as much.
        end = End("refused", memory.message) if memory.message else end_of(process.returncode, log)
        return Outcome(end, wish)

    def pause(self, seconds: float) -> Wish | None:
        """Waits; returns at once, with the wish, when somebody wants the job's end."""
        deadline = time.monotonic() + seconds
        while (wish := self.wish()) is None and time.monotonic() < deadline:
            self._beat()
            time.sleep(POLL_SECONDS)
        return wish

    def wish(self) -> Wish | None:
        """Returns why the job's process is to be ended; None while nobody wants it."""
        self._look()
        if self.job.owner != self._owner or self.job.status != "RUNNING":
            return "taken"
        if self.job.cancel_requested:
            return "cancelled"
        if self.job.deadline_utc and self._clock() >= datetime.fromisoformat(self.job.deadline_utc):
            return "timed_out"
        return "handed_on" if self._is_stop_asked() else None

    def _watch(self, process: subprocess.Popen) -> Wish | None:
        while (wish := self.wish()) is None:
            if _has_ended(process, POLL_SECONDS):
                return None
            self._beat()
        return wish

    def _stop(self, process: subprocess.Popen, wish: Wish) -> Wish:
        """Ends the process and returns the wish that counts: who cancels does not wait for a hand-over."""
        _logger.info("Job %s: ending process %s (%s).", self.job.id, process.pid, wish)
        began = next_signal = time.monotonic()
        while (now := time.monotonic()) - began < GRACE_SECONDS[wish]:
            if now >= next_signal:
                # Once is not enough: an exception that a signal raises while Python calls back from a library is lost.
                send(process, signal.SIGTERM)
                next_signal = now + SIGNAL_SECONDS
            if _has_ended(process, POLL_SECONDS):
                break
            if wish == "handed_on" and self.wish() == "cancelled":
                wish, began = "cancelled", now
            self._beat()
        send(process, signal.SIGKILL)
        process.wait()
        return wish

    def _look(self) -> None:
        try:
            self.job = self._jobs.read(self.job.id)
        except (JobError, OSError) as error:
            self._tell(f"its record cannot be read: {error}")
            self._attempt(lambda: self._jobs.restore(self.job))

    def _beat(self) -> None:
        if time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + BEAT_SECONDS
            sign = {"heartbeat_utc": utc_text(self._clock())}
            self._attempt(lambda: self._jobs.change(self.job.id, as_owner=self._owner, **sign))

    def _attempt(self, write: Callable[[], object]) -> None:
        """A record that cannot be written, on a full disk or one that has gone, does not end what goes on well."""
        try:
            write()
        except JobTakenError:
            pass  # the next look tells
        except (FerError, OSError) as error:
            self._tell(f"its record cannot be written: {error}")

    def _tell(self, trouble: str) -> None:
        """Says what is wrong once, not twice a second."""
        if trouble != self._trouble:
            self._trouble = trouble
            _logger.warning("Job %s: %s", self.job.id, trouble)


def _has_ended(process: subprocess.Popen, seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
