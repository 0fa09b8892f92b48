"""How long a search takes: estimated from an epoch of the first trial, then from the trials that have ended.

Early stopping and hyperband are reckoned with as they are expected; a grid that is smaller than `max_trials` ends
earlier.
"""

from datetime import datetime, timedelta
from statistics import fmean

from fer_core.store.clock import utc_text
from fer_core.tuning.entries import INITIAL_EPOCH, Entry, Plan, SearchState
from fer_core.tuning.halving import FACTOR, rungs_up_to
from fer_core.tuning.stage import CONFIRMATION_SEEDS

_BESIDE_SECONDS = 20.0
"""Of a training beside its epochs (start, images, Keras, scoring, export), until the first one has ended."""


def update_estimate(state: SearchState, now: datetime) -> None:
    """Writes into the state when the search will have ended; as long as no epoch was measured, nothing is known."""
    if state.status != "RUNNING" or state.started_utc is None:
        return
    left = seconds_left(state, now)
    if left is None:
        return
    state.ends_utc = utc_text(now + timedelta(seconds=left))
    if state.first_estimate_seconds is None:
        state.first_estimate_seconds = round(left + _seconds_between(state.started_utc, now), 1)


def seconds_left(state: SearchState, now: datetime) -> float | None:
    """Returns the seconds to the search's end, with as many trainings side by side as it may have, or has now."""
    spec, base = state.plan.spec, state.plan.base
    measured = [entry for entry in state.entries if entry.seconds is not None and entry.epochs]
    epoch, beside = state.epoch_seconds, _BESIDE_SECONDS
    if measured:
        # Without those of the shorter trial that one of hyperband continues.
        own_epochs = (max(1, entry.epochs - int(entry.values.get(INITIAL_EPOCH, 0))) for entry in measured)
        epoch = sum(entry.seconds for entry in measured) / sum(own_epochs)
        beside = fmean(map(_seconds_beside, measured))
    if epoch is None:
        return None
    trials_are_over = state.exhausted or len(state.trials) < len(state.entries)
    wanted = len(state.trials) if trials_are_over else spec.max_trials
    done = sum(entry.status != "RUNNING" for entry in state.trials)
    epochs = _expected_epochs(state.plan, wanted) - _expected_epochs(state.plan, done)
    workers = spec.parallelism or max(1, sum(entry.status == "RUNNING" for entry in state.entries))
    trials = (epochs * epoch + (wanted - done) * beside) / workers
    if spec.max_hours is not None:
        trials = min(trials, max(0.0, 3600 * spec.max_hours - _seconds_between(state.started_utc, now)))
    confirmed = sum(entry.kind == "confirm" and entry.status != "RUNNING" for entry in state.entries)
    confirmations = CONFIRMATION_SEEDS * min(spec.confirm_top, wanted) - confirmed
    return trials + confirmations * (base.epochs * epoch + beside) / workers


def _expected_epochs(plan: Plan, trials: int) -> float:
    """Returns the epochs of the first so many trials: at a rung the first ones continue, then one of FACTOR."""
    if plan.spec.oracle == "hyperband":
        return trials * plan.base.epochs / plan.spec.factor
    epochs, alive, before = 0.0, float(trials), 0
    for rung in rungs_up_to(plan.base.epochs, plan.base) if plan.spec.stops_early else ():
        epochs += alive * (rung - before)
        alive, before = min(alive, FACTOR) + max(0.0, alive - FACTOR) / FACTOR, rung
    return epochs + alive * (plan.base.epochs - before)


def _seconds_beside(entry: Entry) -> float:
    if entry.asked_utc is None or entry.told_utc is None:
        return _BESIDE_SECONDS
    ended = datetime.fromisoformat(entry.told_utc)
    return max(0.0, _seconds_between(entry.asked_utc, ended) - entry.seconds)


def _seconds_between(earlier_utc: str, later: datetime) -> float:
    return (later - datetime.fromisoformat(earlier_utc)).total_seconds()
