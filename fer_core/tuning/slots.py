"""Slots: the places in which the trials of a search are trained side by side, and the names of their jobs.

The n-th job of slot s is always called the same, so that whoever sends it twice sends it once.
"""

import re
from typing import NamedTuple

from fer_core.tuning.entries import SearchState

_JOB = re.compile(r"(?P<search>.+)\.s(?P<slot>\d{1,6})\.(?P<n>\d{1,9})")


class JobName(NamedTuple):
    """What the id of a trial's job says."""

    search: str
    slot: int
    n: int
    """From 0."""

    @property
    def id(self) -> str:
        return f"{self.search}.s{self.slot}.{self.n}"

    @property
    def following(self) -> str:
        """The id of the next job of the slot."""
        return self._replace(n=self.n + 1).id


def parse_job_id(job_id: str) -> JobName | None:
    """Returns what the id of a trial's job says; None for another job's."""
    match = _JOB.fullmatch(job_id)
    return match and JobName(match["search"], int(match["slot"]), int(match["n"]))


def arrive(state: SearchState, job_id: str) -> None:
    """Notes that a job asks: its slot is neither idle nor refused any more."""
    name = _newest_of_slot(state, job_id)
    if name is not None:
        state.slots[name.slot] = job_id
        state.idle_slots.pop(name.slot, None)
        state.refused_slots.pop(name.slot, None)


def park(state: SearchState, job_id: str) -> None:
    """Notes that the job's slot waits until another one's trial has ended."""
    name = _newest_of_slot(state, job_id)
    if name is not None and name.slot not in state.refused_slots:
        state.idle_slots[name.slot] = job_id


def refuse(state: SearchState, job_id: str) -> None:
    """Notes that the job's slot cannot begin trials, until somebody reopens the search."""
    name = _newest_of_slot(state, job_id)
    if name is not None:
        state.idle_slots.pop(name.slot, None)
        state.refused_slots[name.slot] = job_id


def _newest_of_slot(state: SearchState, job_id: str) -> JobName | None:
    """An old job that comes again says nothing about its slot."""
    name = parse_job_id(job_id)
    if name is None:
        return None
    last = parse_job_id(state.slots.get(name.slot, ""))
    return name if last is None or last.n <= name.n else None
