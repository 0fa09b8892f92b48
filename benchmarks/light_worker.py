"""A worker for benchmarks that does all that a worker does but training.

Real: Celery's worker with its messages, the slots and their locks, the search's `ask` and `tell` with Keras Tuner's
oracles, the run's folder, state and lock, trials.csv, what is sent next, the results in Redis, the sweep. Not real: the
process of a trial (its Keras takes seconds to load), images and training. A trial sleeps instead and tells a score that
depends on its number.
"""

import contextlib
import ctypes
import hashlib
import json
import logging
import platform
import shutil
import signal
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import filelock
import keras_tuner  # noqa: F401 (these three are loaded once, before the workers are forked)
from celery.concurrency import solo  # noqa: F401
from celery.worker.consumer import Consumer  # noqa: F401

from fer_core.errors import RunHeldError
from fer_core.store.runs import open_run
from fer_core.tuning.results import drop_weights, end_if_over, write_trials
from fer_core.tuning.state import Search, changing, load_state
from fer_core.tuning.trials import Asked, Fingerprints, Outcome, ask, code_fingerprint, tell
from jobs import runner, tasks
from jobs.celery import app

PARTS = ("ask", "tell")
METADATA = Fingerprints("stub", code_fingerprint())
ALONE = 5
LAST = 0.9
"""Trials from here on are long enough for the processors to be idle now and then, as with real trainings."""
CHECKPOINT_BYTES = 100_000
"""What a stub leaves for Hyperband's longer trials to go on with."""
_PR_SET_PDEATHSIG = 1


class TimedLock(filelock.FileLock):
    """A lock that adds up how long this process has held those of searches' states."""

    seconds = 0.0

    def release(self, force: bool = False) -> None:
        """Frees the lock, and notes how long it was held."""
        is_held = self.is_locked
        super().release(force)
        if is_held and not self.is_locked and Path(self.lock_file).name == ".state.lock":
            TimedLock.seconds += time.perf_counter() - self.since

    def acquire(self, *arguments: object, **options: object) -> object:
        """Waits for the lock."""
        answer = super().acquire(*arguments, **options)
        self.since = time.perf_counter()
        return answer


@contextlib.contextmanager
def timed(times: dict[str, float], name: str) -> Iterator[None]:
    """Notes for how many seconds something holds the lock of the search's state."""
    before = TimedLock.seconds
    yield
    times[name] = TimedLock.seconds - before


def run(name: str, notes: Path, seconds: tuple[float, float]) -> None:
    """Works until it is killed.

    Args:
        notes: a path. With `.times` it gets a line of JSON for each trial, with `.problems` a sentence for each run
            that another worker trained at the same time.
        seconds: how long a stub sleeps in place of a training, and how long it does so in the last tenth of a search.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that has started it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    filelock.FileLock = TimedLock
    tasks.runner_of_trial = lambda job, trial, *_: LightTrial(job.search, trial.id, notes, seconds)
    logging.disable()
    warnings.simplefilter("ignore")  # of Celery, about root
    quiet = {"quiet": True, "without_gossip": True, "without_mingle": True}
    app.Worker(hostname=f"{name}@{platform.node()}", pool="solo", **quiet).start()


class LightTrial:
    """Does what a trial's process does, but for images and training."""

    def __init__(self, search: Search, name: str, notes: Path, seconds: tuple[float, float]):
        self._search, self._name, self._notes, self._seconds = search, name, notes, seconds

    def outcome(self, *_: object) -> runner.RunnerOutcome:
        """Asks, sleeps, tells, and ends the search after its last trial."""
        times: dict[str, float] = {}
        with timed(times, "ask"):
            asked = ask(self._search, self._name, metadata=METADATA)
        if isinstance(asked, Asked):
            if asked.entry.status == "RUNNING":
                self._train(asked)
                with timed(times, "tell"):
                    tell(self._search, asked.entry.number, outcome_of(asked))
            write_trials(self._search)
            self._write(".times", json.dumps({"trial": asked.entry.number} | times))
        end_if_over(self._search)
        drop_weights(self._search, load_state(self._search))
        return runner.RunnerOutcome("done")

    def _train(self, asked: Asked) -> None:
        """Holds the run as a training does, so that two at once would be noticed, and leaves what one leaves."""
        stub = open_run(self._search.paths, asked.entry.run)
        try:
            with stub.hold():
                stub.update_state(status="RUNNING", attempt=stub.state.attempt + 1)
                time.sleep(self._seconds[asked.entry.number >= LAST * self._search.spec.max_trials])
                stub.checkpoint.mkdir(exist_ok=True)
                (stub.checkpoint / "checkpoint.npz").write_bytes(bytes(CHECKPOINT_BYTES))
                stub.update_state(status="SUCCEEDED", epoch=asked.config.epochs)
        except RunHeldError as error:
            self._write(".problems", f"trial {asked.entry.number} twice at once: {error}")

    def _write(self, suffix: str, line: str) -> None:
        with self._notes.with_suffix(suffix).open("a") as file:
            file.write(f"{line}\n")


def outcome_of(asked: Asked) -> Outcome:
    """Returns what a stub tells: a score between 0 and 1 that depends on the number of its trial alone."""
    digest = hashlib.sha256(str(asked.entry.number).encode()).digest()
    return Outcome("COMPLETED", score=int.from_bytes(digest[:4]) / 2**32, epochs=asked.config.epochs, seconds=0.0)


def alone(search: Search, folder: Path) -> dict[str, list[float]]:
    """Returns seconds under the lock for the last trial, asked for and told again and again with nobody else there."""
    filelock.FileLock = TimedLock
    held: dict[str, list[float]] = {part: [] for part in PARTS}
    for number in range(ALONE):
        again, times = _before_last(search, folder / str(number)), {}
        with timed(times, "ask"):
            asked = ask(again, f"{again.id}.s0.999999", metadata=METADATA)
        with timed(times, "tell"):
            tell(again, asked.entry.number, outcome_of(asked))
        for part in PARTS:
            held[part].append(times[part])
    return held


def _before_last(search: Search, folder: Path) -> Search:
    """Returns a copy of the search as it was before its last trial was asked for."""
    shutil.copytree(search.folder, folder / search.id)
    copy = Search(folder / search.id, search.paths)
    with changing(copy) as state:
        del state.entries[-1]
        state.status, state.winner, state.exhausted = "RUNNING", None, False
        state.waits_after = None
    return copy
