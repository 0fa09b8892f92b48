"""Processes that are kept alive: started again, after a pause that grows, when they end without being asked to.

Each runs in a session of its own, so that Ctrl-C in a terminal reaches only who keeps it, and gets SIGTERM when its
keeper dies in whatever way. Start and look after children from the main thread: that is the one whose death counts.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jobs.trainer import in_words, told_of_death

PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds before a child is started again: after its first end, its second in a row, and so on."""
STEADY_SECONDS = 120.0
"""A child that lived so long was well: its next end counts as the first."""

_LARGEST_LOG = 20_000_000


class Plan(NamedTuple):
    """What a child is: its name in logs and lists, its command, and what it runs with."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    cores: frozenset[int] | None = None
    """The cores that it may use; None: all that its keeper may use."""
    umask: int = -1
    """Of the files that it makes; -1: as its keeper's."""


class Child:
    """One process that is kept alive."""

    def __init__(self, plan: Plan, *, clock: Callable[[], float] = time.monotonic):
        self.plan = plan
        self.restarts = 0
        self._clock = clock
        self._process: subprocess.Popen | None = None
        self._started = self._next_start = 0.0
        self._ends_in_a_row = 0

    @property
    def pid(self) -> int | None:
        """The number of the process that runs now; None between an end and the next start."""
        return self._process.pid if self.is_running else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the process. Its output goes to the end of its log."""
        plan = self.plan
        plan.log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if plan.log.stat().st_size > _LARGEST_LOG:
                plan.log.replace(plan.log.with_suffix(".old.txt"))
        with plan.log.open("ab") as log:
            self._process = subprocess.Popen(
                told_of_death(plan.command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(plan.environment),
                start_new_session=True,
                umask=plan.umask,
            )
        if plan.cores:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(self._process.pid, plan.cores)
        self._started = self._clock()

    def look_after(self) -> str | None:
        """Starts the process again if it has ended and its pause is over; returns a sentence where something happened.

        Never waits.
        """
        if self.is_running:
            return None
        if self._process is None:
            return self._start_again() if self._clock() >= self._next_start else None
        code, self._process = self._process.returncode, None
        was_steady = self._clock() - self._started >= STEADY_SECONDS
        self._ends_in_a_row = 1 if was_steady else self._ends_in_a_row + 1
        pause = PAUSES[min(self._ends_in_a_row, len(PAUSES)) - 1]
        self._next_start = self._clock() + pause
        said = "".join(f" It said: {line}" for line in self.last_lines(1) if code > 0)
        return f"{self.plan.name} has ended ({in_words(code)}); it starts again in {pause:.0f} s.{said}"

    def _start_again(self) -> str:
        self.start()
        self.restarts += 1
        return f"{self.plan.name} runs again (process {self.pid})."

    def send(self, number: signal.Signals) -> None:
        """Signals the process; does not wait."""
        if self.is_running:
            self._process.send_signal(number)

    def last_lines(self, count: int = 20) -> list[str]:
        """Returns the end of the log, without empty lines."""
        with contextlib.suppress(FileNotFoundError):
            lines = self.plan.log.read_text(encoding="utf-8", errors="replace").splitlines()
            return [line for line in lines if line.strip()][-count:]
        return []


def ended(children: Sequence[Child], seconds: float, *, give_up: Callable[[], bool] = lambda: False) -> None:
    """Asks children to end and waits; those that have not ended after `seconds`, or at `give_up()`, are killed."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        for child in children:
            child.send(number)
        deadline = time.monotonic() + patience
        while any(child.is_running for child in children) and time.monotonic() < deadline and not give_up():
            time.sleep(0.1)


@contextlib.contextmanager
def signals_noted(*numbers: signal.Signals) -> Iterator[list[int]]:
    """Yields a list that gets the signals which ask to end (SIGTERM, SIGINT, SIGHUP), for a loop that looks at it."""
    noted: list[int] = []

    def note(number: int, frame: object) -> None:
        noted.append(number)

    wanted = numbers or (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, note) for number in wanted}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
