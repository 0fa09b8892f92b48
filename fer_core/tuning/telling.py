"""`tell`: what came of a trial is written down, once. No Keras: a task tells so of a trial whose process has died."""

import math
from typing import Literal, NamedTuple

from fer_core.errors import ArtifactError
from fer_core.store.clock import Clock, utc_now, utc_text
from fer_core.tuning.entries import SearchState
from fer_core.tuning.estimate import note_estimate
from fer_core.tuning.folder import Search
from fer_core.tuning.notes import write_note
from fer_core.tuning.state import changing, load_state


class Outcome(NamedTuple):
    """What came of a training."""

    status: Literal["COMPLETED", "FAILED"]
    score: float | None = None
    """The objective at the epoch whose weights are kept: the best one, unless the recipe keeps the last."""
    epochs: int = 0
    stopped_early: bool = False
    message: str = ""
    parameters: int | None = None
    latency_ms: float | None = None
    seconds: float | None = None


def tell(search: Search, number: int, outcome: Outcome, *, clock: Clock = utc_now) -> SearchState:
    """Returns the state of the search, which now has the outcome of entry `number`; the first one told stays.

    A score that is no number counts as a failure; enough failures in a row end the search.

    Raises:
        ArtifactError: there is no such entry. DiskFullError.
    """
    with changing(search) as state:
        if not 0 <= number < len(state.entries):
            raise ArtifactError(f"Search {search.id} has no trial {number}; it has {len(state.entries)}.")
        if state.entries[number].status == "RUNNING":
            note_outcome(search, state, number, outcome, clock)
    write_note(search, state, number)
    return state


def tell_speed(search: Search, epoch_seconds: float, *, clock: Clock = utc_now) -> SearchState | None:
    """Notes what an epoch takes, and so how long the search will; returns its state, None where that is known."""
    if load_state(search).epoch_seconds is not None:
        return None
    with changing(search) as state:
        state.epoch_seconds = epoch_seconds
        note_estimate(search.spec, search.base, state, clock())
    return state


def note_outcome(search: Search, state: SearchState, number: int, outcome: Outcome, clock: Clock) -> None:
    """Writes the outcome of a running entry into the state."""
    spec = search.spec
    outcome = _with_a_number(outcome)
    entry = state.change(number, told_utc=utc_text(clock()), **outcome._asdict())
    if entry.kind == "trial":
        state.failed_in_a_row = state.failed_in_a_row + 1 if entry.status == "FAILED" else 0
    if state.failed_in_a_row >= spec.max_failed_in_a_row and state.status == "RUNNING":
        state.status = "FAILED"
        state.message = f"{state.failed_in_a_row} trials failed one after the other; the last one: {entry.message}"
    note_estimate(spec, search.base, state, clock())


def _with_a_number(outcome: Outcome) -> Outcome:
    if outcome.status == "FAILED":
        return outcome._replace(score=None)
    if outcome.score is None or not math.isfinite(outcome.score):
        return outcome._replace(status="FAILED", score=None, message=outcome.message or "Its score is no number.")
    return outcome._replace(score=float(outcome.score))
