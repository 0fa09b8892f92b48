"""Carries a search out as the tasks and their processes do, without training: jobs in a queue, asked, scored, told."""

import math
from collections.abc import Callable
from typing import Any

from fer_core.errors import ConfigError
from fer_core.tuning.asking import Asked, ask
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.fingerprints import Fingerprints
from fer_core.tuning.folder import Search
from fer_core.tuning.progress import Next, cancel_search, first_jobs, next_jobs, reopen_search, trial_failed
from fer_core.tuning.stage import is_over
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.telling import Outcome, tell
from tests.tuning.conftest import FINGERPRINTS, NOON


def timestamp():
    return NOON


def hill(values: dict[str, Any]) -> float:
    """Returns a score, 0..1, that is best at a learning rate of 1e-3 and grows with the epochs of a trial."""
    distance = abs(math.log10(values.get("learning_rate", 1e-3)) + 3) / 2
    return max(0.0, 1 - distance) * (1 - 0.5 / values.get("tuner/epochs", 100))


class Tasks:
    """The jobs of one search. Sending a job twice sends it once, as the real ones do."""

    def __init__(self, search: Search, *, score: Callable[[dict], float] = hill):
        self.search, self.score = search, score
        self.known: set[str] = set()
        self.waiting: list[str] = []
        self.training: dict[str, Entry] = {}
        self.send(first_jobs(search))

    def send(self, jobs: tuple[str, ...]) -> None:
        """Puts the jobs that there are not yet into the queue."""
        self.waiting += [job for job in jobs if job not in self.known]
        self.known |= set(jobs)

    def begin(self, place: int = 0, *, metadata: Fingerprints = FINGERPRINTS) -> None:
        """A process takes a job and asks."""
        job = self.waiting.pop(place % len(self.waiting))
        try:
            asked = ask(self.search, job, metadata=metadata, clock=timestamp)
        except ConfigError as error:
            self._follow(trial_failed(self.search, job, str(error), clock=timestamp))
            return
        if isinstance(asked, Asked) and asked.entry.status == "RUNNING":
            self.training[job] = asked.entry
        else:
            self._leave(job)

    def end(self, place: int = 0, *, fails: bool = False) -> None:
        """A training ends, and its process tells and leaves."""
        job = sorted(self.training)[place % len(self.training)]
        entry = self.training.pop(job)
        score = None if fails else self.score(entry.values)
        tell(self.search, entry.number, Outcome("FAILED" if fails else "COMPLETED", score), clock=timestamp)
        self._leave(job)

    def die(self, place: int = 0, *, told: bool = False) -> None:
        """A training process is killed, before or after it has told; its job comes again."""
        job = sorted(self.training)[place % len(self.training)]
        entry = self.training.pop(job)
        if told:
            tell(self.search, entry.number, Outcome("COMPLETED", self.score(entry.values)), clock=timestamp)
        self.waiting.append(job)

    def give_up(self, place: int = 0) -> None:
        """A job has crashed too often."""
        job = sorted(self.training)[place % len(self.training)]
        del self.training[job]
        self._follow(trial_failed(self.search, job, "It crashed.", clock=timestamp))

    def stop(self) -> None:
        """The search is cancelled: its processes are killed, and its jobs are taken from the queue."""
        cancel_search(self.search)
        self.training.clear()
        self.waiting.clear()

    def reopen(self) -> None:
        """The search goes on where it was."""
        jobs = [job for job in reopen_search(self.search) if job not in self.training]
        self.waiting += [job for job in jobs if job not in self.waiting]
        self.known |= set(jobs)

    def run_to_the_end(self) -> SearchState:
        """Lets every job end well, one after the other; a search that has failed is reopened."""
        while self.waiting or self.training:
            if self.waiting:
                self.begin()
            else:
                self.end()
            if load_state(self.search).status == "FAILED":
                self.reopen()
        return load_state(self.search)

    def _leave(self, job: str) -> None:
        with changing(self.search) as state:
            if state.status == "RUNNING" and is_over(self.search.spec, state, timestamp()):
                state.status = "SUCCEEDED"
        self._follow(next_jobs(self.search, job, clock=timestamp))

    def _follow(self, following: Next) -> None:
        self.send(following.send)
