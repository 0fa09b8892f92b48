"""Carries a search out as workers do, without training: slots are taken, trials asked for, scored and told."""

import math
from collections.abc import Callable
from typing import Any

from fer_core.errors import ConfigError
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.stage import running_slots, slot_count, stage, trial_of, work_left
from fer_core.tuning.state import Search, changing, load_state
from fer_core.tuning.trials import (
    Asked,
    Fingerprints,
    Outcome,
    ask,
    cancel_search,
    note_refusal,
    reopen_search,
    tell,
    trial_failed,
)
from tests.tuning.conftest import FINGERPRINTS, NOON

WORKERS = 3


def now():
    return NOON


def hill(values: dict[str, Any]) -> float:
    """Returns a score, 0..1, that is best at a learning rate of 1e-3 and grows with the epochs of a trial."""
    distance = abs(math.log10(values.get("learning_rate", 1e-3)) + 3) / 2
    return max(0.0, 1 - distance) * (1 - 0.5 / values.get("tuner/epochs", 100))


class Workers:
    """The workers of one search. Whoever comes takes a slot, if there is work: messages do not matter."""

    def __init__(self, search: Search, *, score: Callable[[dict], float] = hill):
        self.search, self.score = search, score
        self.training: dict[int, Entry] = {}

    def free_slot(self) -> int | None:
        """Returns the slot that a worker would take now."""
        state = load_state(self.search)
        if state.status != "RUNNING" or len(self.training) >= WORKERS:
            return None
        abandoned = sorted(running_slots(state) - set(self.training))
        if abandoned:
            return abandoned[0]
        free = (slot for slot in range(slot_count(self.search)) if slot not in self.training)
        return next(free, None) if work_left(state, now()) > 0 else None

    def begin(self, *, metadata: Fingerprints = FINGERPRINTS) -> None:
        """A worker takes a slot, and its process asks."""
        slot = self.free_slot()
        if slot is None:
            return
        name = trial_of(load_state(self.search), self.search.id, slot)
        try:
            asked = ask(self.search, name.id, metadata=metadata, clock=now)
        except ConfigError as error:
            note_refusal(self.search, "bad/1", str(error))
            return
        if isinstance(asked, Asked) and asked.entry.status == "RUNNING":
            self.training[slot] = asked.entry
        else:
            self._leave()

    def end(self, place: int = 0, *, fails: bool = False) -> None:
        """A training ends, and its process tells and leaves."""
        entry = self._left(place)
        score = None if fails else self.score(entry.values)
        tell(self.search, entry.number, Outcome("FAILED" if fails else "COMPLETED", score), clock=now)
        self._leave()

    def die(self, place: int = 0, *, told: bool = False) -> None:
        """A worker is killed, before or after its process has told."""
        entry = self._left(place)
        if told:
            tell(self.search, entry.number, Outcome("COMPLETED", self.score(entry.values)), clock=now)

    def give_up(self, place: int = 0) -> None:
        """A training has crashed too often."""
        trial_failed(self.search, self._left(place).job, "It crashed.", clock=now)

    def stop(self) -> None:
        """The search is cancelled, and its processes end."""
        cancel_search(self.search)
        self.training.clear()

    def run_to_the_end(self) -> SearchState:
        """Lets every training end well; a search that has failed is reopened."""
        while (state := load_state(self.search)).status != "SUCCEEDED":
            if state.status != "RUNNING":
                reopen_search(self.search)
            elif self.free_slot() is not None:
                self.begin()
            else:
                self.end()
        return state

    def _left(self, place: int) -> Entry:
        return self.training.pop(sorted(self.training)[place % len(self.training)])

    def _leave(self) -> None:
        with changing(self.search) as state:
            if stage(state, now()) == "done":
                state.status = "SUCCEEDED"
