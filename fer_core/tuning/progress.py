"""What may happen to a search from outside: a trial fails for good, the search is cancelled, or goes on again.

Light, for processes that never train.
"""

from fer_core.errors import JobError
from fer_core.store.clock import Clock, utc_now
from fer_core.tuning.folder import Search
from fer_core.tuning.notes import write_note
from fer_core.tuning.state import changing
from fer_core.tuning.telling import Outcome, note_outcome


def trial_failed(search: Search, name: str, message: str, *, clock: Clock = utc_now) -> None:
    """Counts a training that has failed for good as failed. One that had not begun a trial fails the whole search.

    Raises ArtifactError if the search's state is lost, DiskFullError.
    """
    with changing(search) as state:
        entry = state.entry_of(name)
        if entry is not None and entry.status == "RUNNING":
            note_outcome(search, state, entry.number, Outcome("FAILED", message=message), clock)
        elif entry is None and state.status == "RUNNING":
            state.status, state.message = "FAILED", message
    if entry is not None:
        write_note(search, state, entry.number)


def note_refusal(search: Search, worker: str, message: str) -> None:
    """Notes that a worker could not begin a trial, which others may."""
    with changing(search) as state:
        state.refused_by[worker] = message


def cancel_search(search: Search, message: str = "Cancelled.") -> None:
    """Ends a running search. Raises JobError if it has ended."""
    with changing(search) as state:
        if state.status != "RUNNING":
            raise JobError(f"Search {search.id} has ended already ({state.status}).")
        state.status, state.message = "CANCELLED", message


def reopen_search(search: Search) -> None:
    """Lets a search that was cancelled or has failed go on. Raises JobError if it has succeeded."""
    with changing(search) as state:
        if state.status == "SUCCEEDED":
            raise JobError(
                f"Search {search.id} is finished.", hint=f"`python -m jobs best {search.id}` shows what it found."
            )
        state.status, state.message, state.failed_in_a_row = "RUNNING", "", 0
        state.refused_by, state.waits_after = {}, None
