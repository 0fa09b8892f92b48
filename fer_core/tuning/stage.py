"""Where a search stands: what is left to train, how long that takes, and in which slots it is done. No files.

Slots are the places in which trials are trained side by side. The n-th training of slot s is always called the same,
and who works in a slot holds its lock.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from statistics import fmean
from typing import TYPE_CHECKING, Literal, NamedTuple

from fer_core.config import TrainConfig
from fer_core.store.files import utc_text
from fer_core.tuning.entries import INITIAL_EPOCH, Entry, Plan, SearchState, ranked

if TYPE_CHECKING:
    from pathlib import Path

    from fer_core.tuning.state import Search

Stage = Literal["trials", "waiting", "confirmations", "done", "ended"]

CONFIRMATION_SEEDS = 3
FACTOR = 3
"""Of successive halving: one trial of so many continues, for so many times the epochs."""
_MOST_SLOTS = 1024
_BESIDE_SECONDS = 20.0
"""Of a training beside its epochs (start, images, Keras, scoring, export), until the first one has ended."""
_JOB = re.compile(r"(?P<search>.+)\.s(?P<slot>\d{1,6})\.(?P<n>\d{1,9})")


def stage(state: SearchState, now: datetime) -> Stage:
    """Returns what comes next.

    'trials': one may be begun, unless the oracle has no more; 'waiting': others must end first; 'confirmations': the
    best are trained again; 'done': all have ended, and the winner is to be named; 'ended': the search has ended.
    """
    if state.status != "RUNNING":
        return "ended"
    if _trials_left(state, now):
        return "trials"
    if any(entry.status == "RUNNING" for entry in state.trials):
        return "waiting"
    if confirmations_left(state):
        return "confirmations"
    return "waiting" if any(entry.status == "RUNNING" for entry in state.entries) else "done"


def is_out_of_time(state: SearchState, now: datetime) -> bool:
    """Returns whether the `max_hours` of the search are over. They begin with its first trial."""
    hours = state.plan.spec.max_hours
    if hours is None or state.started_utc is None:
        return False
    return now - datetime.fromisoformat(state.started_utc) >= timedelta(hours=hours)


def work_left(state: SearchState, now: datetime) -> int:
    """Returns how many trainings could be begun now, at most; 1 also where only the winner is to be named."""
    next_stage = stage(state, now)
    if next_stage == "trials":
        has_to_wait = state.waits_after == state.ended and any(entry.status == "RUNNING" for entry in state.entries)
        return 0 if has_to_wait else _trials_left(state, now)
    if next_stage == "confirmations":
        return len(confirmations_left(state))
    return 1 if next_stage == "done" else 0


def confirmations_left(state: SearchState) -> list[tuple[Entry, int]]:
    """Returns what is still to be trained again: trials, best first, each with a seed."""
    spec = state.plan.spec
    different: dict[str, Entry] = {}  # hyperband trains the same settings several times, each time longer
    for trial in ranked(state.entries, spec.objective):
        different.setdefault(json.dumps(trial.settings, sort_keys=True), trial)
    begun = {(entry.of, entry.seed) for entry in state.entries if entry.kind == "confirm"}
    return [
        (trial, seed)
        for trial in list(different.values())[: spec.confirm_top]
        for seed in ((trial.seed + step) % 2**31 for step in range(1, CONFIRMATION_SEEDS + 1))
        if (trial.number, seed) not in begun
    ]


def rungs_up_to(epochs: int, base: TrainConfig) -> Iterator[int]:
    """Yields the epochs at which trials are compared, among the first `epochs` of a search around `base`.

    While the learning rate still rises, the order of trials is noise: the first rung is an epoch after that, and each
    later one at FACTOR times that.
    """
    rung = math.ceil(base.warmup_epochs) + 1
    while rung <= epochs:
        yield rung
        rung *= FACTOR


def update_estimate(state: SearchState, now: datetime) -> None:
    """Writes into the state when the search will have ended."""
    if state.status != "RUNNING" or state.started_utc is None:
        return
    left = seconds_left(state, now)
    if left is None:
        return
    state.ends_utc = utc_text(now + timedelta(seconds=left))
    if state.first_estimate_seconds is None:
        state.first_estimate_seconds = round(left + _seconds_between(state.started_utc, now), 1)


def seconds_left(state: SearchState, now: datetime) -> float | None:
    """Returns the seconds to the search's end, with as many trainings side by side as it may have, or has now.

    Early stopping and hyperband count as they are expected; a grid that is smaller than `max_trials` ends earlier. None
    as long as no epoch was measured.
    """
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


class TrialName(NamedTuple):
    """What the name of a search's training says; `n` counts those of the slot from 0."""

    search: str
    slot: int
    n: int

    @property
    def id(self) -> str:
        return f"{self.search}.s{self.slot}.{self.n}"


def parse_trial_name(text: str) -> TrialName | None:
    """Returns what the name of a training says; None for another name."""
    match = _JOB.fullmatch(text)
    return match and TrialName(match["search"], int(match["slot"]), int(match["n"]))


def slot_lock(search: "Search", slot: int) -> "Path":
    """Returns the lock file of a slot."""
    return search.folder / f".slot{slot}.lock"


def slot_count(search: "Search") -> int:
    """Returns how many slots a search has at most."""
    return search.spec.parallelism or _MOST_SLOTS


def running_slots(state: SearchState) -> set[int]:
    """Returns the slots whose last training was begun and has not ended; nobody may be at work on it any more."""
    names = (parse_trial_name(entry.job or "") for entry in state.entries if entry.status == "RUNNING")
    return {name.slot for name in names if name is not None}


def trial_of(state: SearchState, search_id: str, slot: int) -> TrialName:
    """Returns the training that a slot is at, or the one that it would begin next."""
    count = 0
    for entry in state.entries:
        name = parse_trial_name(entry.job or "")
        if name is not None and name.slot == slot:
            if entry.status == "RUNNING":
                return name
            count = max(count, name.n + 1)
    return TrialName(search_id, slot, count)


def _trials_left(state: SearchState, now: datetime) -> int:
    is_confirming = bool(state.entries) and state.entries[-1].kind == "confirm"  # no trial can follow: numbers go on
    if state.exhausted or is_out_of_time(state, now) or is_confirming:
        return 0
    return state.plan.spec.max_trials - len(state.trials)


def _expected_epochs(plan: Plan, trials: int) -> float:
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
    return max(0.0, _seconds_between(entry.asked_utc, datetime.fromisoformat(entry.told_utc)) - entry.seconds)


def _seconds_between(earlier_utc: str, later: datetime) -> float:
    return (later - datetime.fromisoformat(earlier_utc)).total_seconds()
