"""Slots: the places in which the trials of a search are trained side by side, and the names of their trainings.

The n-th training of slot s is always called the same. Who works in a slot holds its lock.
"""

import re
from typing import TYPE_CHECKING, NamedTuple

from fer_core.tuning.entries import SearchState

if TYPE_CHECKING:
    from pathlib import Path

    from fer_core.tuning.folder import Search

MOST_SLOTS = 1024
_JOB = re.compile(r"(?P<search>.+)\.s(?P<slot>\d{1,6})\.(?P<n>\d{1,9})")


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
