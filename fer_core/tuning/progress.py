"""What the tasks of the jobs ask of a search: which jobs to send when one has ended, failed, or is to begin again.

Light, for processes that never train. The names of jobs are fixed, so that sending one twice sends it once; a woken
slot stays noted as idle until its next job asks, so that a sender that dies in between is made good by the next one.
"""

from typing import Literal, NamedTuple

from fer_core.errors import JobError
from fer_core.store.clock import Clock, utc_now
from fer_core.tuning.entries import SearchState
from fer_core.tuning.folder import Search
from fer_core.tuning.notes import write_note
from fer_core.tuning.slots import JobName, park, parse_job_id, refuse
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.stage import stage, work_left
from fer_core.tuning.state import changing
from fer_core.tuning.telling import Outcome, note_outcome


class Next(NamedTuple):
    """What follows a job of a search."""

    outcome: Literal["more", "idle", "over"]
    """'idle': the job's slot waits, and others will wake it; 'over': the search has ended."""
    send: tuple[str, ...]
    """The ids of the jobs to send now; those that there are already are to be left alone."""


def first_jobs(search: Search) -> tuple[str, ...]:
    """Returns the ids of the jobs that a search begins with, one a slot."""
    return tuple(JobName(search.id, slot, 0).id for slot in _slots(search.spec))


def next_jobs(search: Search, job_id: str, *, clock: Clock = utc_now) -> Next:
    """Returns what follows a job whose process has ended well. Asked again, it says the same or what is true by then.

    Raises ArtifactError if the search's state is lost, DiskFullError.
    """
    with changing(search) as state:
        return _following(search.spec, state, job_id, clock)


def trial_failed(search: Search, job_id: str, message: str, *, clock: Clock = utc_now) -> Next:
    """Counts the trial of a job that has failed for good as failed, and returns what follows.

    A job that has not begun a trial (other images or code on its machine, or a crash before) gives its slot up; when
    none is left, the search fails with `message`.
    """
    with changing(search) as state:
        entry = state.entry_of(job_id)
        if entry is None:
            _give_up_slot(search.spec, state, job_id, message)
        elif entry.status == "RUNNING":
            note_outcome(search, state, entry.number, Outcome("FAILED", message=message), clock)
        following = _following(search.spec, state, job_id, clock)
    if entry is not None:
        write_note(search, state, entry.number)
    return following


def cancel_search(search: Search) -> tuple[str, ...]:
    """Ends a running search; returns the ids of the jobs that train for it. Raises JobError if it has ended."""
    with changing(search) as state:
        if state.status != "RUNNING":
            raise JobError(f"Search {search.id} has ended already ({state.status}).")
        state.status, state.message = "CANCELLED", "Cancelled."
        return tuple(entry.job for entry in state.entries if entry.status == "RUNNING" and entry.job is not None)


def reopen_search(search: Search) -> tuple[str, ...]:
    """Lets a search that was cancelled, has failed or is stuck go on; returns the id of each slot's job to send.

    That is the job whose trial was interrupted, where there is one: its record may exist, and is to be opened again.
    Raises JobError if the search has succeeded.
    """
    with changing(search) as state:
        if state.status == "SUCCEEDED":
            raise JobError(
                f"Search {search.id} is finished.", hint=f"`python -m jobs best {search.id}` shows what it found."
            )
        state.status, state.message, state.failed_in_a_row = "RUNNING", "", 0
        state.idle_slots, state.refused_slots = {}, {}
        return tuple(_slot_job(search, state, slot) for slot in _slots(search.spec))


def _following(spec: SearchSpec, state: SearchState, job_id: str, clock: Clock) -> Next:
    timestamp = clock()
    now = stage(spec, state, timestamp)
    if now == "ended":
        return Next("over", ())
    name = parse_job_id(job_id)
    if now == "waiting":
        park(state, job_id)
    if name is None or now == "waiting" or state.idle_slots.get(name.slot) == job_id:
        return Next("idle", ())
    own = () if state.refused_slots.get(name.slot) == job_id else (name.following,)
    # A search of which all is told needs one more job, which names the winner.
    work = 1 if now == "done" else work_left(spec, state, timestamp)
    woken = _idle_jobs(state, but=name)[: max(0, work - len(own))]
    return Next("more" if own else "idle", own + woken)


def _idle_jobs(state: SearchState, *, but: JobName) -> tuple[str, ...]:
    """Returns the next job of each slot that waits."""
    waiting = (parse_job_id(job_id) for _, job_id in sorted(state.idle_slots.items()))
    return tuple(name.following for name in waiting if name.slot != but.slot)


def _give_up_slot(spec: SearchSpec, state: SearchState, job_id: str, message: str) -> None:
    refuse(state, job_id)
    if state.status == "RUNNING" and len(state.refused_slots) >= len(_slots(spec)):
        state.status, state.message = "FAILED", message


def _slots(spec: SearchSpec) -> range:
    return range(min(spec.parallelism, spec.max_trials))


def _slot_job(search: Search, state: SearchState, slot: int) -> str:
    last = parse_job_id(state.slots.get(slot, ""))
    if last is None:
        return JobName(search.id, slot, 0).id
    own = state.entry_of(last.id)
    return last.id if own is not None and own.status == "RUNNING" else last.following
