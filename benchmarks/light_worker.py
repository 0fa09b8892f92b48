"""A worker for benchmarks that does all that a worker does but training.

Real: the messages (Celery's app, its broker connection, prefetch of one, acknowledged at the end), the slots and their
locks, the search's `ask` and `tell` with Keras Tuner's oracles, the run's folder, state and lock, trials.csv, the
sending of what follows, the results in Redis, the sweep. Not real: the process of a trial (its
Keras takes seconds to load), images and training. A trial sleeps instead and tells a score that depends on its number.
"""

import contextlib
import ctypes
import hashlib
import json
import logging
import signal
import time
from pathlib import Path
from typing import Any

import filelock
import keras_tuner  # noqa: F401 (loaded once, before the workers are forked)
from kombu import Consumer, Message

from fer_core.errors import FerError, RunHeldError
from fer_core.job.job import Job, open_job
from fer_core.paths import Paths
from fer_core.store.runs import open_run
from fer_core.tuning.asking import Asked, ask
from fer_core.tuning.ending import end_if_over
from fer_core.tuning.fingerprints import Fingerprints, code_fingerprint
from fer_core.tuning.folder import Search
from fer_core.tuning.keeping import drop_weights
from fer_core.tuning.state import load_state
from fer_core.tuning.tables import write_trials
from fer_core.tuning.telling import Outcome, tell
from jobs.celery import app, broker
from jobs.sweep import PERIOD_SECONDS, free_slot, has_work, look_through

_PR_SET_PDEATHSIG = 1

LAST = 0.9
"""Trials from here on are long enough for the processors to be idle now and then, as with real trainings."""
CHECKPOINT_BYTES = 100_000
"""What a stub leaves for Hyperband's longer trials to go on with."""


class Stopwatch:
    """How long the lock of a search's state was held by this process, since it was last asked."""

    seconds = 0.0

    def install(self) -> None:
        """Times every lock of that name from now on."""
        watch = self

        class TimedLock(filelock.FileLock):
            _held_since = 0.0

            def acquire(self, *arguments: Any, **options: Any) -> Any:
                answer = super().acquire(*arguments, **options)
                self._held_since = time.perf_counter()
                return answer

            def release(self, force: bool = False) -> None:
                held = time.perf_counter() - self._held_since
                super().release(force)
                if Path(self.lock_file).name == ".state.lock":
                    watch.seconds += held

        filelock.FileLock = TimedLock

    def taken(self) -> float:
        """Returns the seconds, and begins anew."""
        seconds, self.seconds = self.seconds, 0.0
        return seconds


def run(name: str, notes: Path, *, seconds: tuple[float, float]) -> None:
    """Works until it is killed.

    Args:
        notes: a path. With `.times` it gets a line of JSON for each trial, with `.problems` a sentence for each run
            that another worker trained at the same time.
        seconds: how long a stub sleeps in place of a training, and how long it does so in the last tenth of a search.
    """
    logging.getLogger("jobs.sweep").setLevel(logging.ERROR)  # each lost message would be told on the terminal
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that has started it
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    LightWorker(name, notes, seconds=seconds).work()


class LightWorker:
    """One worker, with one job at a time."""

    def __init__(self, name: str, notes: Path, *, seconds: tuple[float, float]):
        self._paths = Paths.from_environment()
        self._name = name
        self._notes = notes
        self._seconds = seconds
        self._metadata = Fingerprints("stub", code_fingerprint())
        self._next_check = time.monotonic()
        self._watch = Stopwatch()
        self._watch.install()

    def work(self) -> None:
        """Takes one message after another."""
        with app.connection_for_read() as connection:
            channel = connection.channel()
            queues = list(app.amqp.queues.values())
            consumer = Consumer(channel, queues, on_message=self._take, accept=["json"], prefetch_count=1)
            with consumer:
                while True:
                    self._sweep(connection)
                    with contextlib.suppress(TimeoutError):
                        connection.drain_events(timeout=1.0)

    def _sweep(self, connection: Any) -> None:
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + PERIOD_SECONDS
            look_through("gpu", connection)

    def _take(self, message: Message) -> None:
        _, arguments, _ = message.decode()
        with contextlib.suppress(FerError):
            job = open_job(self._paths, arguments.get("search") or message.headers["id"])
            job.note_message("")
            if message.headers["task"] == "trial":
                self._carry_out(job)
            elif job.end is not None:
                app.backend.store_result(job.order.message_id, job.end.result, "SUCCESS")
                job.forget_marker()
            self._send_next(job)
        message.ack()

    def _carry_out(self, job: Job) -> None:
        with free_slot(job) as slot:
            if slot is None:
                return
            name, held = slot
            held.note(worker=self._name)
            if has_work(job, beside=name):
                self._send(job)
            result = self._trial(job.search, name.id)
            held.note(worker="")
        began = time.perf_counter()
        self._send_next(job)
        result["times"]["next"] = (time.perf_counter() - began, self._watch.taken())
        self._write(".times", json.dumps(result | result.pop("times")))

    def _send_next(self, job: Job) -> None:
        if job.marker.exists() and (job.end is not None or has_work(job)):
            self._send(job)

    def _send(self, job: Job) -> None:
        if not job.has_message:
            broker.send(job)

    def _write(self, suffix: str, *lines: str) -> None:
        with self._notes.with_suffix(suffix).open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def _trial(self, search: Search, name: str) -> dict[str, Any]:
        """Does what `fer_core.tuning.trial.run_trial` does, and returns what is told of it, with its times."""
        times: dict[str, tuple[float, float]] = {}
        result: dict[str, Any] = {"search": search.id, "times": times}
        self._watch.taken()
        began = time.perf_counter()
        asked = ask(search, name, metadata=self._metadata)
        times["ask"] = (time.perf_counter() - began, self._watch.taken())
        if isinstance(asked, Asked):
            result["trial"] = asked.entry.number
            if asked.entry.status == "RUNNING":
                self._train(search, asked)
                began = time.perf_counter()
                tell(search, asked.entry.number, outcome_of(asked))
                times["tell"] = (time.perf_counter() - began, self._watch.taken())
            write_trials(search)
        end_if_over(search)
        drop_weights(search, load_state(search))
        self._watch.taken()
        return result

    def _train(self, search: Search, asked: Asked) -> None:
        """Holds the run as a training does, so that two at once would be noticed, and leaves what one leaves."""
        stub = open_run(search.paths, asked.entry.run)
        try:
            with stub.hold():
                attempt = stub.state.attempt + 1
                stub.update_state(status="RUNNING", attempt=attempt)
                time.sleep(self._seconds[asked.entry.number >= LAST * search.spec.max_trials])
                stub.checkpoint.mkdir(exist_ok=True)
                (stub.checkpoint / "checkpoint.npz").write_bytes(bytes(CHECKPOINT_BYTES))
                stub.update_state(status="SUCCEEDED", epoch=asked.config.epochs)
        except RunHeldError as error:
            self._write(".problems", f"trial {asked.entry.number} twice at once: {error}")


def outcome_of(asked: Asked) -> Outcome:
    """Returns what a stub tells: a score between 0 and 1 that depends on the number of its trial alone."""
    digest = hashlib.sha256(str(asked.entry.number).encode()).digest()
    return Outcome("COMPLETED", score=int.from_bytes(digest[:4]) / 2**32, epochs=asked.config.epochs, seconds=0.0)
