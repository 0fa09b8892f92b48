"""Where a search stands: what is left to train, and in which slots. Knows entries alone, and no oracle.

Only the oracle knows whether it has more to try; until it has said that it has not, there is taken to be more.
Slots are the places in which trials are trained side by side. The n-th training of slot s is always called the same,
and who works in a slot holds its lock.
"""

import json
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.ranking import ranked

if TYPE_CHECKING:
    from pathlib import Path

    from fer_core.tuning.state import Search

Stage = Literal["trials", "waiting", "confirmations", "done", "ended"]

CONFIRMATION_SEEDS = 3
MOST_SLOTS = 1024
_JOB = re.compile(r"(?P<search>.+)\.s(?P<slot>\d{1,6})\.(?P<n>\d{1,9})")


def stage(state: SearchState, now: datetime) -> Stage:
    """Returns what comes next.

    'trials': one may be begun; 'waiting': others must end first; 'confirmations': the best are trained
    again; 'done': all have ended, and the winner is to be named; 'ended': the search itself has ended.
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


class TrialName(NamedTuple):
    """What the name of a search's training says."""

    search: str
    slot: int
    n: int
    """From 0."""

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
    return min(search.spec.parallelism or MOST_SLOTS, search.spec.max_trials + MOST_SLOTS)


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
