"""`Sweep`: what every worker's main process does beside Celery's own work, also while its child trains for days.

Every five seconds, where a queue is empty, it looks through the jobs of that queue that are open. One that nobody works
on gets a message again: that which it had is lost, or whoever took it has died. Where messages wait, workers are busy
anyway, and nothing is looked at. So the cost does not grow with what waits or has ended.
"""

import contextlib
import logging
import os
import time
from pathlib import Path

from celery.bootsteps import StartStopStep
from celery.worker import WorkController, state
from kombu import Connection

from fer_core.errors import FerError, NoSuchJobError
from fer_core.job.broker import is_purged, models_id, waiting_in
from fer_core.job.broker_address import BrokerAwayError
from fer_core.job.change import cancel_job, end_cancelled
from fer_core.job.job import Job, open_ids, open_job
from fer_core.job.lock import is_taken
from jobs.celery import app, ask_to_stop, broker, is_stop_asked, paths
from jobs.searching import has_work

PERIOD_SECONDS = 5.0
SENT_SECONDS = 10.0
"""So young a message may be on its way."""
_WITHOUT_JOB_SECONDS = 60.0
_REVOKED_SECONDS = 60.0
"""So long it is looked for the job of a message that was revoked, which may come later."""

_logger = logging.getLogger(__name__)


class Sweep(StartStopStep):
    """A part of a worker's main process."""

    requires = ("celery.worker.components:Pool", "celery.worker.components:Timer")

    def __init__(self, worker: WorkController, exit_when_idle: float | None = None, **options: object):
        super().__init__(worker, **options)
        self._exit_when_idle = exit_when_idle
        self._busy = time.monotonic()
        self._said = ""
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
            self._said = ""
        except (FerError, OSError) as error:
            self._say(f"What is open cannot be looked for: {error}")
        except Exception:
            _logger.exception("What is open cannot be looked for.")
        if self._exit_when_idle is not None and time.monotonic() - self._busy >= self._exit_when_idle:
            _logger.warning("Nothing to do for %.0f s: the worker ends.", self._exit_when_idle)
            state.should_stop = os.EX_OK

    def _look_through_queues(self) -> None:
        connection = self._connected()
        try:
            is_busy = bool(state.active_requests)
            for queue in app.amqp.queues.consume_from:
                if waiting_in(connection, queue):
                    is_busy = True
                else:
                    is_busy |= look_through(queue, connection)
        except (*connection.connection_errors, *connection.channel_errors) as error:
            self._connection = None
            raise broker.away(error) from error
        if is_busy:
            self._busy = time.monotonic()

    def _connected(self) -> Connection:
        """One for all looks: a new one each time costs more than the look."""
        if self._connection is None:
            connection = app.connection_for_write()
            try:
                self._connection = connection.ensure_connection(max_retries=1, interval_start=0.1)
            except connection.connection_errors as error:
                raise broker.away(error) from error
        return self._connection

    def _cancel_revoked(self) -> None:
        """`celery control revoke` means the job: else what it was told to forget would be sent again for ever."""
        now = time.monotonic()
        new = {name for name in state.revoked if now - self._revoked.setdefault(name, now) < _REVOKED_SECONDS}
        for job_id in open_ids(paths) if new else ():
            with contextlib.suppress(FerError):
                job = open_job(paths, job_id)
                if job.order.message_id in new:
                    self._cancel(job)

    def _cancel(self, job: Job) -> None:
        cancel_job(job)
        if job.end is not None:  # who works on it tells so; else nobody can, with a message of this id
            app.backend.mark_as_revoked(job.order.message_id, "revoked")
            job.forget_marker()

    def _say(self, text: str) -> None:
        """Once, not every five seconds."""
        if text != self._said:
            self._said = text
            _logger.warning(text)


def look_through(queue: str, connection: Connection) -> bool:
    """Sends what is open in an empty queue and with nobody; returns whether anything is open."""
    folder = paths.models / "open" / queue
    try:
        entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except FileNotFoundError:
        return False
    for entry in entries:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - entry.stat().st_mtime >= SENT_SECONDS:
                _look_at(entry, connection)
    return bool(entries)


def _look_at(entry: os.DirEntry, connection: Connection) -> None:
    try:
        job = open_job(paths, entry.name)
    except NoSuchJobError:
        if time.time() - entry.stat().st_mtime > _WITHOUT_JOB_SECONDS:
            Path(entry.path).unlink(missing_ok=True)  # whoever made it was killed before there was a job
        return
    except FerError as error:
        _logger.warning("Job %s: %s", entry.name, error)
        return
    if is_taken(job.lock):
        return
    end_cancelled(job)
    if job.end is None and job.search is not None and not has_work(job):
        return
    if is_purged(job, connection) and not _has_strangers():
        cancel_job(job, "Its message was purged.")
    _send(job)


def _has_strangers() -> bool:
    """Whether workers of other models folders listen, which may have taken the message."""
    return any(about["models_id"] != models_id(paths) for about in broker.workers(seconds=0.5).values())


def _send(job: Job) -> None:
    try:
        broker.send(job)
        _logger.info("Job %s is sent again.", job.id)
    except BrokerAwayError:
        raise
    except FerError as error:  # a queue that this worker does not know must not keep the others from being sent
        _logger.warning("%s %s", error, error.hint)
