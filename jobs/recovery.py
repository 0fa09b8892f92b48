"""`Housekeeping`: what every worker's main process does beside Celery's own work, also while its child trains for days.

Every five seconds it looks at the jobs that have not ended. Whose message is lost (its worker died, or Redis lost it)
is sent again. So nothing waits for the visibility timeout, and no scheduler is needed for it. What `celery call` has
sent is written down while it still waits.
"""

import contextlib
import logging
from collections.abc import Callable, Iterable
from datetime import datetime

from celery.bootsteps import StartStopStep
from celery.signals import task_received
from celery.worker import WorkController
from celery.worker.request import Request

from fer_core.errors import FerError, JobError
from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.store.files import sweep
from jobs.celery import stop_flag
from jobs.job import ENDED, Job, owner_is_alive, seconds_since
from jobs.messages import Waiting
from jobs.record import Jobs
from jobs.sending import BrokerAwayError, publish, waiting_ids, waiting_messages
from jobs.wishes import WISHES

PERIOD_SECONDS = 5.0
SENT_SECONDS = 60.0
"""After so long in no queue and with nobody, a message is lost: between the two it is for milliseconds only."""
UNSENT_SECONDS = 5.0
"""Who wrote a record sends its message at once, or is dead."""

_logger = logging.getLogger(__name__)


class Housekeeping(StartStopStep):
    """A part of a worker's main process."""

    requires = ("celery.worker.components:Pool", "celery.worker.components:Timer")

    def __init__(self, worker: WorkController, **options: object):
        super().__init__(worker, **options)
        self._said = ""

    def start(self, worker: WorkController) -> None:
        """Called when the worker starts."""
        task_received.connect(self._received, weak=False)
        worker.timer.call_after(1.0, self._look)
        worker.timer.call_repeatedly(PERIOD_SECONDS, self._look)

    def close(self, worker: WorkController) -> None:
        """Called when it ends, before it waits for its children: also after `celery control shutdown`."""
        stop_flag.ask()

    def _received(self, request: Request, **_: object) -> None:
        try:
            note_received(Jobs(Paths.from_environment().models / "jobs"), request)
        except (FerError, OSError) as error:
            _logger.warning("Job %s is not written down yet: %s", request.id, error)

    def _look(self) -> None:
        if stop_flag.is_asked():
            return
        try:
            jobs = Jobs(Paths.from_environment().models / "jobs")
            recover(jobs, publish=publish, waiting_ids=waiting_ids)
            note_waiting(jobs, waiting_messages())
            self._said = ""
        except (FerError, OSError) as error:
            self._say(f"Lost messages cannot be looked for: {error}")
        except Exception:
            _logger.exception("Lost messages cannot be looked for.")

    def _say(self, text: str) -> None:
        """Once, not every five seconds."""
        if text != self._said:
            self._said = text
            _logger.warning(text)


def note_waiting(jobs: Jobs, messages: Iterable[Waiting]) -> None:
    """Writes down what waits while all workers are busy, so that it is listed and can be cancelled."""
    known = set(jobs.ids())
    for message in messages:
        if message.id not in known:
            with contextlib.suppress(JobError):  # what is no id of ours
                note_received(jobs, message)


def note_received(jobs: Jobs, request: Request | Waiting, *, clock: Clock = utc_now) -> None:
    """Writes down a job that `celery call` has sent, as soon as a worker has its message.

    A worker may have to keep a message until its child is free. If Redis is away meanwhile, Celery forgets it.
    """
    if request.name in WISHES and not request.args:
        moment = utc_text(clock())
        queue = request.delivery_info["routing_key"]
        about = {"task": request.name, "arguments": request.kwargs, "queue": queue}
        jobs.create(Job(id=request.id, created_utc=moment, sent_utc=moment, **about))


def recover(
    jobs: Jobs,
    *,
    publish: Callable[[Job], None],
    waiting_ids: Callable[[], set[str]],
    clock: Clock = utc_now,
) -> list[str]:
    """Sends the messages again that are lost, and returns their jobs' ids. What many workers see, one of them sends."""
    sweep(jobs.folder)
    lost = []
    for job in jobs.open_jobs():
        if job.status in ENDED:
            jobs.change(job.id)  # was killed between its last change and its move to the others that have ended
        elif job.cancel_requested and not owner_is_alive(job, now=clock()):
            jobs.ask_to_cancel(job.id)
        elif needs_message(job, clock()):
            lost.append(job)
    waiting = waiting_ids() if lost else set()
    away = [job for job in lost if job.id not in waiting]
    return [job.id for job in away if _sent_again(jobs, job, publish)]


def _sent_again(jobs: Jobs, job: Job, publish: Callable[[Job], None]) -> bool:
    if not jobs.note_sent(job.id, instead_of=job.sent_utc):
        return False
    _logger.warning("Job %s: its message is lost; it is sent again.", job.id)
    try:
        publish(job)
    except BrokerAwayError:
        raise
    except JobError as error:  # a queue that this worker does not know must not keep the others from being sent
        _logger.warning("%s %s", error, error.hint)
        return False
    return True


def needs_message(job: Job, now: datetime) -> bool:
    """Returns whether a job that has not ended is with nobody, and its message should have been taken long ago."""
    since_sent = seconds_since(job.sent_utc, now)
    if job.status == "QUEUED":
        return since_sent > SENT_SECONDS if job.sent_utc else seconds_since(job.created_utc, now) > UNSENT_SECONDS
    if job.status != "RUNNING" or owner_is_alive(job, now=now):
        return False
    was_sent_for_it = since_sent >= seconds_since(job.started_utc, now)
    return was_sent_for_it or since_sent > SENT_SECONDS
