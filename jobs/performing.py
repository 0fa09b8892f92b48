"""`Performance`: carries out a job that was claimed, and writes down how it ended. Knows nothing of Celery.

The record that it returns is then SUCCEEDED, FAILED, CANCELLED or TIMED_OUT, or QUEUED if it goes on elsewhere.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from fer_core.config import Settings
from fer_core.errors import FerError
from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.run import Run
from jobs.attempts import attempted, close_run, too_many_losses
from jobs.garbage import find_garbage, remove_garbage
from jobs.job import Job
from jobs.record import Jobs, JobTakenError
from jobs.searching import after_failed_trial, after_trial, begin_search, too_late
from jobs.supervisor import POLL_SECONDS, Supervisor, Wish
from jobs.wishes import GcWish, TrialWish, TuneWish, checked_wish
from jobs.work import Work, work_of

Send = Callable[[Job], None]
"""Sends a job's message; where that cannot be done now, recovery does it later."""

Others = Callable[[Job], bool]
"""Whether there are workers which take jobs from the job's queue and have not refused it."""

_PAUSE_AFTER_REFUSAL = 5.0
"""Of a worker that gets a job again which it cannot begin: meanwhile one that can may have become free."""

_logger = logging.getLogger(__name__)


def _nobody(_: Job) -> bool:
    return False


class Performance:
    """One job, from its claim to its end."""

    def __init__(
        self,
        paths: Paths,
        jobs: Jobs,
        job: Job,
        *,
        is_stop_asked: Callable[[], bool],
        send: Send,
        others: Others = _nobody,
        clock: Clock = utc_now,
    ):
        self._others = others
        self._paths, self._jobs, self._job = paths, jobs, job
        self._is_stop_asked = is_stop_asked
        self._send = send
        self._clock = clock

    def carried_out(self) -> Job:
        """Returns the job as it is afterwards. Raises only if that cannot be written until the worker is to end."""
        try:
            return self._done(checked_wish(self._job.task, self._job.arguments))
        except JobTakenError:
            return self._jobs.read(self._job.id)
        except FerError as error:
            return self._failed(sentences(error))
        except Exception as error:
            _logger.exception("Job %s: internal error", self._job.id)
            return self._failed(f"Internal error: {error!r}. The worker's log has more.")

    def _done(self, wish: Settings) -> Job:
        if isinstance(wish, TuneWish | GcWish) and self._job.cancel_requested:
            return self._ended("CANCELLED", "Cancelled.")
        if isinstance(wish, TuneWish | GcWish) and (lost := too_many_losses(self._job)):
            return self._failed(lost)
        if isinstance(wish, TuneWish):
            self._send_all(begin_search(self._paths, self._jobs, self._job, wish))
            search = self._jobs.read(self._job.id).search
            return self._ended("SUCCEEDED", result={"search": search})
        if isinstance(wish, GcWish):
            return self._ended("SUCCEEDED", result=_cleaned(self._paths, wish, self._clock))
        if isinstance(wish, TrialWish) and (end := too_late(self._paths, wish.search)):
            # It needs no process to be told so.
            return self._ended(end, f"Search {wish.search} has ended.", result={"search": wish.search})
        return self._worked(wish)

    def _worked(self, wish: Settings) -> Job:
        hours = getattr(wish, "max_hours", None)
        if hours is not None and self._job.deadline_utc is None:
            deadline = utc_text(self._clock() + timedelta(hours=hours))
            self._job = self._jobs.change(self._job.id, as_owner=self._job.owner, deadline_utc=deadline)
        work = work_of(self._paths, self._jobs, self._job, wish)
        supervisor = Supervisor(self._jobs, self._job, is_stop_asked=self._is_stop_asked, clock=self._clock)
        if self._job.is_refused_here:
            wanted = supervisor.pause(_PAUSE_AFTER_REFUSAL)
            return self._stopped(wanted, None) if wanted else self._left_to_others(self._job.message)
        end, wanted = attempted(work, supervisor, self._jobs)
        if end.kind == "done" and wanted != "cancelled":
            return self._succeeded(work)
        if wanted:
            return self._stopped(wanted, work.run())
        if end.kind == "refused" and self._job.task == "trial" and work.run() is None:
            return self._left_to_others(end.message)
        return self._failed(end.message, run=work.run())

    def _succeeded(self, work: Work) -> Job:
        # What follows is made before this one has ended: a kill in between repeats it, and nothing is left out.
        if self._job.task == "trial":
            self._send_all(after_trial(self._paths, self._jobs, self._job))
        return self._ended("SUCCEEDED", result=work.result())

    def _stopped(self, wanted: Wish, run: Run | None) -> Job:
        if wanted == "taken":
            return self._jobs.read(self._job.id)
        if wanted == "cancelled":
            return self._ended("CANCELLED", "Cancelled.", run=run)
        if wanted == "timed_out":
            message = f"Its time is up. `python -m jobs resume {self._job.id}` goes on with it."
            return self._ended("TIMED_OUT", message, run=run)
        return self._handed_on(run)

    def _left_to_others(self, message: str) -> Job:
        """This machine has other images or other code, or none: that is no fault of the trial, which others may begin.

        Else one such machine would use up the jobs of a search in seconds, while those that can are at work.
        """
        if not self._others(self._job):
            return self._failed(message)
        return self._written(lambda: self._jobs.hand_on(self._job.id, as_owner=self._job.owner, refused=message))

    def _failed(self, message: str, *, run: Run | None = None) -> Job:
        if self._job.task == "trial" and self._job.search is not None:
            self._go_on_without_trial(message)
        return self._ended("FAILED", message, run=run)

    def _go_on_without_trial(self, message: str) -> None:
        try:
            self._send_all(after_failed_trial(self._paths, self._jobs, self._job, message))
        except FerError as error:
            _logger.warning("Job %s: its search does not go on: %s", self._job.id, sentences(error))

    def _send_all(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._send(job)

    def _ended(
        self, status: str, message: str = "", *, result: dict[str, Any] | None = None, run: Run | None = None
    ) -> Job:
        def write() -> Job:
            close_run(run, status, message)
            fields = {"status": status, "message": message, "result": result}
            return self._jobs.change(self._job.id, as_owner=self._job.owner, **fields)

        return self._written(write)

    def _handed_on(self, run: Run | None) -> Job:
        def write() -> Job:
            close_run(run, "INTERRUPTED", "Handed on to another worker.")
            return self._jobs.hand_on(self._job.id, as_owner=self._job.owner)

        return self._written(write)

    def _written(self, write: Callable[[], Job]) -> Job:
        """What cannot be written, on a full disk or one that is away, is written later: until then the job is ours."""
        said = ""
        while True:
            try:
                return write()
            except JobTakenError:
                return self._jobs.read(self._job.id)
            except (FerError, OSError) as error:
                if self._is_stop_asked():
                    raise
                if str(error) != said:
                    said = str(error)
                    _logger.error("Job %s: its end cannot be written yet: %s", self._job.id, said)
            with contextlib.suppress(FerError, OSError):
                self._jobs.restore(self._job)  # where somebody has deleted its record
            time.sleep(POLL_SECONDS)


def sentences(error: FerError) -> str:
    """Returns an error as it stands in a record: the sentence, and what to do."""
    return "\n".join(filter(None, (str(error), error.hint)))


def _cleaned(paths: Paths, wish: GcWish, clock: Clock) -> dict[str, Any]:
    found = find_garbage(paths, keep_days=wish.keep_days, now=clock())
    removed = 0 if wish.dry_run else remove_garbage(paths, found)
    return {"found": len(found), "removed_bytes": removed}
