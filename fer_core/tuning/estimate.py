"""How long a search takes: reckoned from what an epoch of the first trial takes, then from the trials that have ended.

Knows spec, settings and entries alone. Early ending is reckoned with as it is expected, hyperband as it goes; a grid
that is smaller than `max_trials` ends earlier.
"""

from datetime import datetime, timedelta
from statistics import fmean

from fer_core.config import TrainConfig
from fer_core.store.clock import utc_text
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.rungs import FACTOR, rungs_up_to
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.stage import confirmations_of

_BESIDE_SECONDS = 20.0
"""Of a training beside its epochs (start, images, Keras, scoring, export), until the first one has ended."""


def note_estimate(spec: SearchSpec, base: TrainConfig, state: SearchState, timestamp: datetime) -> None:
    """Writes into the state when the search will have ended; as long as no epoch was measured, nothing is known."""
    if state.status != "RUNNING" or state.started_utc is None:
        return
    left = seconds_left(spec, base, state, timestamp)
    if left is None:
        return
    state.ends_utc = utc_text(timestamp + timedelta(seconds=left))
    if state.first_estimate_seconds is None:
        state.first_estimate_seconds = round(left + _since_start(state, timestamp), 1)


def seconds_left(spec: SearchSpec, base: TrainConfig, state: SearchState, timestamp: datetime) -> float | None:
    """Returns the seconds to the search's end, with as many trainings side by side as it may have, or has now."""
    ended = [entry for entry in state.entries if entry.seconds is not None and entry.epochs]
    own_epochs = sum(_own_epochs(entry) for entry in ended)
    epoch = sum(entry.seconds for entry in ended) / own_epochs if own_epochs else state.epoch_seconds
    if epoch is None:
        return None
    beside = fmean([_seconds_beside(entry) for entry in ended]) if ended else _BESIDE_SECONDS
    done = sum(entry.status != "RUNNING" for entry in state.trials)
    wanted = spec.max_trials if not _trials_are_over(state) else len(state.trials)
    epochs = _expected_epochs(spec, base, wanted) - _expected_epochs(spec, base, done)
    workers = spec.parallelism or max(1, sum(entry.status == "RUNNING" for entry in state.entries))
    trials = (epochs * epoch + (wanted - done) * beside) / workers
    if spec.max_hours is not None:
        trials = min(trials, max(0.0, 3600 * spec.max_hours - _since_start(state, timestamp)))
    confirmations = confirmations_of(spec, wanted) - sum(
        entry.kind == "confirm" and entry.status != "RUNNING" for entry in state.entries
    )
    return trials + confirmations * (base.epochs * epoch + beside) / workers


def _expected_epochs(spec: SearchSpec, base: TrainConfig, trials: int) -> float:
    """Returns the epochs of the first so many trials: at a rung the first ones go on, then one of FACTOR."""
    if spec.oracle == "hyperband":
        return trials * base.epochs / spec.factor
    if not spec.stops_early:
        return trials * base.epochs
    epochs, alive, before = 0.0, float(trials), 0
    for rung in rungs_up_to(base.epochs, base):
        epochs += alive * (rung - before)
        alive, before = min(alive, FACTOR) + max(0.0, alive - FACTOR) / FACTOR, rung
    return epochs + alive * (base.epochs - before)


def _own_epochs(entry: Entry) -> int:
    """Without those of the shorter trial that one of hyperband goes on with."""
    return max(1, entry.epochs - int(entry.values.get("tuner/initial_epoch", 0)))


def _seconds_beside(entry: Entry) -> float:
    if entry.asked_utc is None or entry.told_utc is None:
        return _BESIDE_SECONDS
    took = datetime.fromisoformat(entry.told_utc) - datetime.fromisoformat(entry.asked_utc)
    return max(0.0, took.total_seconds() - entry.seconds)


def _since_start(state: SearchState, timestamp: datetime) -> float:
    return (timestamp - datetime.fromisoformat(state.started_utc)).total_seconds()


def _trials_are_over(state: SearchState) -> bool:
    return state.exhausted or any(entry.kind == "confirm" for entry in state.entries)
