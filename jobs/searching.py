"""Whether a search has something for one more worker, and the slot in which that works."""

import contextlib
from collections.abc import Iterator

from fer_core.job.job import Job
from fer_core.job.lock import Held, is_taken, taken
from fer_core.store.clock import utc_now
from fer_core.tuning.stage import TrialName, running_slots, slot_count, slot_lock, trial_of, work_left
from fer_core.tuning.state import load_state

Slot = tuple[TrialName, Held]


def has_work(job: Job, *, beside: TrialName | None = None) -> bool:
    """Returns whether one more worker would find something to do in a search: a training to begin or to go on with.

    Args:
        beside: one that was taken a moment ago, and may not have begun.
    """
    search, state = job.search, load_state(job.search)
    if state.status != "RUNNING":
        return False
    taken_slots = {slot for slot in _candidates(job) if is_taken(slot_lock(search, slot))}
    if len(taken_slots) >= slot_count(search):
        return False
    begun = running_slots(state)
    not_begun = len(taken_slots - begun)
    is_free = begun - taken_slots - ({beside.slot} if beside else set())
    return bool(is_free) or work_left(state, utc_now()) > not_begun


@contextlib.contextmanager
def free_slot(job: Job) -> Iterator[Slot | None]:
    """Yields a slot that this process holds, with the training that it is at; None if there is nothing to do in any.

    One whose training was begun and abandoned comes first.
    """
    search, state = job.search, load_state(job.search)
    begun = running_slots(state)
    if state.status == "RUNNING":
        order = [*sorted(begun), *(slot for slot in range(slot_count(search)) if slot not in begun)]
        for slot in order if has_work(job) else ():
            with taken(slot_lock(search, slot), patience_seconds=0.1) as held:
                if held is not None:
                    yield trial_of(load_state(search), search.id, slot), held
                    return
    yield None


def _candidates(job: Job) -> set[int]:
    """Returns the slots in which somebody may be: those that have a lock file."""
    names = (path.name.removeprefix(".slot").removesuffix(".lock") for path in job.folder.glob(".slot*.lock"))
    return {int(name) for name in names if name.isdigit()}
