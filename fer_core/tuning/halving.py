"""Asynchronous successive halving: a trial ends early if it is not among the best third of those that came as far.

The stopping form of ASHA (Li et al., arXiv 1810.05934): no trial waits for another, so the first ones at a rung all
continue. Decisions are saved in the search's state, so that a resumed trial gets the same answer.
"""

import signal
from collections.abc import Collection, Sequence

from fer_core.errors import Interrupted
from fer_core.store.clock import Clock, utc_now
from fer_core.tuning.entries import SearchState
from fer_core.tuning.ranking import objective_value
from fer_core.tuning.stage import FACTOR, is_out_of_time, rungs_up_to
from fer_core.tuning.state import Search, changing, load_state


def is_stopped(search: Search, number: int, rows: Sequence[dict], *, clock: Clock = utc_now) -> bool:
    """Returns whether trial `number` ends after these epochs, and saves why.

    Args:
        rows: one for each finished epoch, as in the history.

    Raises:
        Interrupted: the search has been cancelled. What was trained is kept, to continue with.
    """
    state = load_state(search)
    if state.status == "CANCELLED":
        raise Interrupted(signal.SIGTERM)
    if state.entries[number].kind == "confirm" or number in state.stopped:
        return number in state.stopped
    if not (_new_rungs(state, number, rows) or is_out_of_time(state, clock())):
        return False
    with changing(search) as state:
        reason = _outranked(state, number, rows)
        if not reason and is_out_of_time(state, clock()):
            hours = state.plan.spec.max_hours
            reason = f"Stopped after epoch {len(rows)}: the {hours:g} hours of the search are over."
        if reason:
            state.stopped[number] = reason
    return bool(reason)


def _new_rungs(state: SearchState, number: int, rows: Sequence[dict]) -> list[int]:
    plan = state.plan
    rungs = rungs_up_to(len(rows), plan.base) if plan.spec.stops_early else ()
    return [rung for rung in rungs if number not in state.rungs.get(rung, {})]


def _outranked(state: SearchState, number: int, rows: Sequence[dict]) -> str:
    objective = state.plan.spec.objective
    for rung in _new_rungs(state, number, rows):
        everyone = state.rungs.setdefault(rung, {})
        own = everyone[number] = max(objective_value(objective, row[objective]) for row in rows[:rung])
        # Trial 0 has the recipe's own values: what the others are measured by is trained to its end.
        if number and not _is_among_best(own, everyone.values()):
            return (
                f"Stopped after epoch {rung}: {objective} {objective_value(objective, own):.3f} is not among "
                f"the best third of the {len(everyone)} trials that came as far."
            )
    return ""


def _is_among_best(own: float, everyone: Collection[float]) -> bool:
    return len(everyone) <= FACTOR or sum(other > own for other in everyone) < len(everyone) // FACTOR
