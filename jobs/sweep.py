"""`Sweep`: what every worker's main process does beside Celery's own work, also while its child trains for days.

Every five seconds, where a queue is empty, it looks through the jobs of that queue that are open. One that nobody works
on gets a message again: that which it had is lost, or whoever took it has died. Where messages wait, workers are busy
anyway, and nothing is looked at. So the cost does not grow with what waits or has ended.
"""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

from celery.bootsteps import StartStopStep
from celery.worker import WorkController, state
from kombu import Connection

from fer_core.errors import FerError, NoSuchJobError
from fer_core.job.broker import BrokerAwayError, broker_away, is_purged, models_id, waiting_in
from fer_core.job.job import Job, open_ids, open_job
from fer_core.job.lifecycle import cancel_job, end_cancelled
from fer_core.locks import Held, is_taken, taken
from fer_core.store.files import utc_now
from fer_core.tuning.stage import TrialName, running_slots, slot_count, slot_lock, trial_of, work_left
from fer_core.tuning.state import load_state
from jobs.celery import app, ask_to_stop, broker, is_stop_asked, paths

PERIOD_SECONDS = 5.0
SENT_SECONDS = 10.0  # so young a message may be on its way
_WITHOUT_JOB_SECONDS = 60.0
_REVOKED_SECONDS = 60.0  # so long it is looked for the job of a message that was revoked, which may come later

_logger = logging.getLogger(__name__)


class Sweep(StartStopStep):
    """A part of a worker's main process."""

    requires = ("celery.worker.components:Pool", "celery.worker.components:Timer")

    def __init__(self, worker: WorkController, exit_when_idle: float | None = None, **options: object):
        super().__init__(worker, **options)
        self._exit_when_idle = exit_when_idle
        self._busy = time.monotonic()
        self._problem = ""
        self._revoked: dict[str, float] = {}
        self._connection: Connection | None = None

    def start(self, worker: WorkController) -> None:
        """Called when the worker starts."""
        _logger.warning("It serves %s (%s).", paths.models.resolve(), models_id(paths))
        worker.timer.call_after(1.0, self._look)
        worker.timer.call_repeatedly(PERIOD_SECONDS, self._look)

    def close(self, worker: WorkController) -> None:
        """Called when it ends, before it waits for its children: also after `celery control shutdown`."""
        ask_to_stop()

    def _look(self) -> None:
        if is_stop_asked():
            return
        try:
            self._cancel_revoked()
            self._look_through_queues()
            self._problem = ""
        except (FerError, OSError) as error:
            if str(error) != self._problem:  # once, not every five seconds
                self._problem = str(error)
                _logger.warning("What is open cannot be looked for: %s", error)
        except Exception:
            _logger.exception("What is open cannot be looked for.")
        if self._exit_when_idle is not None and time.monotonic() - self._busy >= self._exit_when_idle:
            _logger.warning("Nothing to do for %.0f s: the worker ends.", self._exit_when_idle)
            state.should_stop = os.EX_OK

    def _look_through_queues(self) -> None:
        if self._connection is None:  # one for all looks: a new one each time costs more than the look
            self._connection = app.connection_for_write()
        connection, is_busy = self._connection, bool(state.active_requests)
        try:
            connection.ensure_connection(max_retries=1, interval_start=0.1)
            for queue in app.amqp.queues.consume_from:
                is_busy |= bool(waiting_in(connection, queue)) or look_through(queue, connection)
        except (*connection.connection_errors, *connection.channel_errors) as error:
            self._connection = None
            raise broker_away(broker.url, error) from error
        if is_busy:
            self._busy = time.monotonic()

    def _cancel_revoked(self) -> None:
        """`celery control revoke` means the job: else what it was told to forget would be sent again for ever."""
        now = time.monotonic()
        new = {name for name in state.revoked if now - self._revoked.setdefault(name, now) < _REVOKED_SECONDS}
        for job_id in open_ids(paths) if new else ():
            with contextlib.suppress(FerError):
                job = open_job(paths, job_id)
                if job.order.message_id in new:
                    cancel_job(job)
                    if job.end is not None:  # who works on it tells so; else nobody can, with a message of this id
                        app.backend.mark_as_revoked(job.order.message_id, "revoked")
                        job.forget_marker()


def look_through(queue: str, connection: Connection) -> bool:
    """Sends what is open in an empty queue and with nobody; returns whether anything is open."""
    try:
        entries = [entry for entry in os.scandir(paths.models / "open" / queue) if not entry.name.startswith(".")]
    except FileNotFoundError:
        return False
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            _look_at(entry, connection, may_be_on_its_way=time.time() - entry.stat().st_mtime < SENT_SECONDS)
    return bool(entries)


def _look_at(entry: os.DirEntry, connection: Connection, *, may_be_on_its_way: bool) -> None:
    try:
        job = open_job(paths, entry.name)
        if is_taken(job.lock):
            if job.study is not None and not job.has_message and job.study.has_free_parts():
                broker.send(job)
            return
        if may_be_on_its_way:
            return
        end_cancelled(job)
        if job.end is None and job.search is not None and not has_work(job):
            return
        if is_purged(job, connection) and not _has_strangers():
            cancel_job(job, "Its message was purged.")
        broker.send(job)
        _logger.info("Job %s is sent again.", job.id)
    except NoSuchJobError:
        if time.time() - entry.stat().st_mtime > _WITHOUT_JOB_SECONDS:
            Path(entry.path).unlink(missing_ok=True)  # whoever made it was killed before there was a job
    except BrokerAwayError:
        raise
    except FerError as error:  # such as a queue that this worker does not know: the others are sent all the same
        _logger.warning("Job %s: %s %s", entry.name, error, error.hint)


def _has_strangers() -> bool:
    """Whether workers of other models folders listen, which may have taken the message."""
    return any(about["models_id"] != models_id(paths) for about in broker.workers(seconds=0.5).values())


def has_work(job: Job, *, beside: TrialName | None = None) -> bool:
    """Returns whether one more worker would find something to do in a search: a training to begin or to go on with.

    Args:
        beside: one that was taken a moment ago, and may not have begun.
    """
    search, search_state = job.search, load_state(job.search)
    if search_state.status != "RUNNING":
        return False
    names = (path.name.removeprefix(".slot").removesuffix(".lock") for path in job.folder.glob(".slot*.lock"))
    taken_slots = {slot for slot in map(int, filter(str.isdigit, names)) if is_taken(slot_lock(search, slot))}
    if len(taken_slots) >= slot_count(search):
        return False
    begun = running_slots(search_state)
    is_free = begun - taken_slots - ({beside.slot} if beside else set())
    return bool(is_free) or work_left(search_state, utc_now()) > len(taken_slots - begun)


@contextlib.contextmanager
def free_slot(job: Job) -> Iterator[tuple[TrialName, Held] | None]:
    """Yields a slot that this process holds, with the training that it is at; None if there is nothing to do in any.

    One whose training was begun and abandoned comes first.
    """
    search = job.search
    begun = running_slots(load_state(search))
    order = [*sorted(begun), *(slot for slot in range(slot_count(search)) if slot not in begun)]
    for slot in order if has_work(job) else ():
        with taken(slot_lock(search, slot), patience_seconds=0.1) as held:
            if held is not None:
                yield trial_of(load_state(search), search.id, slot), held
                return
    yield None
