"""Where a search stands: whether there is something to train, to wait for, or nothing more. Knows entries alone.

Only the oracle knows whether it has more to try; until it has said that it has not, there is taken to be more.
"""

import json
from datetime import datetime, timedelta
from typing import Literal

from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.ranking import ranked
from fer_core.tuning.spec import SearchSpec

Stage = Literal["trials", "waiting", "confirmations", "done", "ended"]

CONFIRMATION_SEEDS = 3


def stage(spec: SearchSpec, state: SearchState, timestamp: datetime) -> Stage:
    """Returns what comes next.

    'trials': one may be begun; 'waiting': others must end first; 'confirmations': the best are trained
    again; 'done': all is told, and the winner is to be named; 'ended': the search itself has ended.
    """
    if state.status != "RUNNING":
        return "ended"
    if _trials_left(spec, state, timestamp):
        return "trials"
    if any(entry.status == "RUNNING" for entry in state.trials):
        return "waiting"
    if confirmations_left(spec, state):
        return "confirmations"
    return "waiting" if any(entry.status == "RUNNING" for entry in state.entries) else "done"


def is_over(spec: SearchSpec, state: SearchState, timestamp: datetime) -> bool:
    """Returns whether nothing of the search is left to train."""
    return stage(spec, state, timestamp) in ("done", "ended")


def is_out_of_time(spec: SearchSpec, state: SearchState, timestamp: datetime) -> bool:
    """Returns whether the `max_hours` of the search are over. They begin with its first trial."""
    if spec.max_hours is None or state.started_utc is None:
        return False
    return timestamp - datetime.fromisoformat(state.started_utc) >= timedelta(hours=spec.max_hours)


def work_left(spec: SearchSpec, state: SearchState, timestamp: datetime) -> int:
    """Returns how many trainings could be begun now, at most; 1 also where only the winner is to be named."""
    now = stage(spec, state, timestamp)
    if now == "trials":
        has_to_wait = state.waits_after == state.ended and any(entry.status == "RUNNING" for entry in state.entries)
        return 0 if has_to_wait else _trials_left(spec, state, timestamp)
    if now == "confirmations":
        return len(confirmations_left(spec, state))
    return 1 if now == "done" else 0


def confirmations_left(spec: SearchSpec, state: SearchState) -> list[tuple[Entry, int]]:
    """Returns what is still to be trained again: trials, best first, each with a seed."""
    begun = {(entry.of, entry.seed) for entry in state.entries if entry.kind == "confirm"}
    best = _different(ranked(state.entries, spec.objective))[: spec.confirm_top]
    wanted = [(trial, seed) for trial in best for seed in _other_seeds(trial.seed)]
    return [(trial, seed) for trial, seed in wanted if (trial.number, seed) not in begun]


def confirmations_of(spec: SearchSpec, trials: int) -> int:
    """Returns how many confirmations a search of so many different trials has, at most."""
    return CONFIRMATION_SEEDS * min(spec.confirm_top, trials)


def _trials_left(spec: SearchSpec, state: SearchState, timestamp: datetime) -> int:
    if state.exhausted or is_out_of_time(spec, state, timestamp) or _confirming(state):
        return 0
    return spec.max_trials - len(state.trials)


def _confirming(state: SearchState) -> bool:
    """Numbers go on: once there is a confirmation, no trial can follow."""
    return bool(state.entries) and state.entries[-1].kind == "confirm"


def _different(trials: list[Entry]) -> list[Entry]:
    """Hyperband trains the same settings several times, each time longer."""
    found: dict[str, Entry] = {}
    for trial in trials:
        found.setdefault(json.dumps(trial.settings, sort_keys=True), trial)
    return list(found.values())


def _other_seeds(seed: int) -> list[int]:
    return [(seed + step) % 2**31 for step in range(1, CONFIRMATION_SEEDS + 1)]
