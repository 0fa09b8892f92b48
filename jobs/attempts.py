"""Again after a crash: a job's process is started until it ends well, is refused, or crashes three times in vain."""

import logging
import socket
import time

from fer_core.errors import ArtifactError
from fer_core.store.run import Run
from jobs.job import Job
from jobs.process import End, kill_orphan
from jobs.record import Jobs
from jobs.supervisor import POLL_SECONDS, Outcome, Supervisor, Wish
from jobs.work import Work

MOST_CRASHES = 3
"""In a row, without an epoch having been finished."""
MOST_LOSSES = 30
"""How often in a row a worker may die over a job that finishes no epoch: more is no accident."""

_PAUSE_AFTER_CRASH = 2.0
_HELD_SECONDS = 120.0
"""A trainer that was asked to end may still write its checkpoint."""
_ORPHAN_SECONDS = 20.0
_PAUSE_WHILE_HELD = 2.0
_MOMENT = 2.0

_logger = logging.getLogger(__name__)


def attempted(work: Work, supervisor: Supervisor, jobs: Jobs) -> Outcome:
    """Returns how the job's last process ended. Raises JobTakenError, DiskFullError."""
    note_progress(work, supervisor, jobs)
    if (lost := too_many_losses(supervisor.job)) and not supervisor.wish():
        return Outcome(End("crashed", lost))
    held_since: float | None = None
    while True:
        wish = _wait_until_free(work, supervisor)
        outcome = Outcome(End("interrupted"), wish) if wish else supervisor.run(work.command)
        if outcome.wish or outcome.end.kind in ("done", "refused", "not_finite"):
            return outcome
        if outcome.end.kind == "interrupted" and (wish := supervisor.pause(_MOMENT)):
            return Outcome(outcome.end, wish)  # the same signal reached the worker a moment later
        if outcome.end.kind == "held":
            held_since = held_since or time.monotonic()
            if time.monotonic() - held_since > _HELD_SECONDS:
                return outcome
            supervisor.pause(_PAUSE_WHILE_HELD)
        elif not _may_try_again(work, supervisor, jobs):
            return outcome
        else:
            _logger.warning("Job %s: %s It is tried again.", supervisor.job.id, outcome.end.message.partition("\n")[0])
            supervisor.pause(_PAUSE_AFTER_CRASH)


_LOST = (
    "The worker died {} times over it before an epoch was finished: most likely the machine runs out of memory. "
    "Nothing is lost; give it a smaller batch_size, or another machine, and resume it."
)


def too_many_losses(job: Job) -> str:
    """Returns why a job is given up over which workers die again and again; nothing where it is tried again."""
    return _LOST.format(job.losses) if job.losses >= MOST_LOSSES else ""


def note_progress(work: Work, supervisor: Supervisor, jobs: Jobs) -> bool:
    """Returns whether an epoch was finished since the last look; it is noted, and forgives crashes and losses."""
    epoch, seen = finished_epochs(work.run()), supervisor.job.epoch
    if epoch > seen:
        supervisor.job = _changed(supervisor, jobs, epoch=epoch, crashes=0, losses=0)
    elif epoch < seen:  # its checkpoint is lost, and it began again: its next epoch counts
        supervisor.job = _changed(supervisor, jobs, epoch=epoch)
    return epoch > seen


def finished_epochs(run: Run | None) -> int:
    """Returns the last finished epoch of a run; 0 where there is no run, or nothing is known of it."""
    try:
        return run.state.epoch if run is not None else 0
    except ArtifactError:
        return 0


def close_run(run: Run | None, status: str, message: str) -> None:
    """Makes state.json say how a run ended whose process could not; what a process said of itself stays.

    Raises DiskFullError; a state that cannot be read stays as it is.
    """
    if run is None:
        return
    try:
        said = run.state.status
        is_ours = status in ("CANCELLED", "TIMED_OUT") and said != "SUCCEEDED"
        if is_ours or said in ("QUEUED", "RUNNING"):
            run.update_state(status=status, message=message)
    except (ArtifactError, OSError) as error:
        _logger.warning("Run %s: its state stays as it is: %s", run.id, error)


def _may_try_again(work: Work, supervisor: Supervisor, jobs: Jobs) -> bool:
    if not note_progress(work, supervisor, jobs):
        supervisor.job = _changed(supervisor, jobs, crashes=supervisor.job.crashes + 1)
    if supervisor.job.crashes >= MOST_CRASHES:
        return False
    supervisor.job = _changed(supervisor, jobs, attempt=supervisor.job.attempt + 1)
    return True


def _changed(supervisor: Supervisor, jobs: Jobs, **fields: int) -> Job:
    return jobs.change(supervisor.job.id, as_owner=supervisor.job.owner, **fields)


def _wait_until_free(work: Work, supervisor: Supervisor) -> Wish | None:
    """Waits while another process trains the run, and returns the wish if somebody wants the job's end meanwhile."""
    began = time.monotonic()
    wish = supervisor.wish()
    while wish is None and _is_held(work.run()) and time.monotonic() - began < _HELD_SECONDS:
        if time.monotonic() - began > _ORPHAN_SECONDS:
            _kill_orphan_of(work.run())
        wish = supervisor.pause(POLL_SECONDS)
    return wish


def _is_held(run: Run | None) -> bool:
    return run is not None and run.folder.is_dir() and run.is_held()


def _kill_orphan_of(run: Run) -> None:
    state = run.state
    if state.pid is not None and state.host == socket.gethostname() and kill_orphan(state.pid):
        _logger.warning("Run %s: killed process %s, which its watcher had left behind.", run.id, state.pid)
