"""`Service`: a process that is kept alive: started again, after a pause that grows, when it ends unasked.

It runs in a session of its own, so that Ctrl-C in a terminal reaches only who keeps it alive, and gets SIGTERM when
that dies in whatever way.
"""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs.process import in_words, last_lines, start

PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds before a process is started again: after its first end, its second in a row, and so on."""
STEADY_SECONDS = 120.0  # A process that lived so long was well: its next end counts as the first

_LARGEST_LOG = 20_000_000


class Service:
    """One process. To be started from the main thread: that is the one whose death counts."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], state: Path, **options: Any):
        self.name, self.restarts = name, 0
        # With the host's name, since a state folder may be shared.
        self.log = state.resolve() / "logs" / f"{name}@{socket.gethostname()}.txt"
        self._command, self._environ, self._options = command, environ, options
        self._cores: frozenset[int] | None = options.pop("cores", None)
        self._process: subprocess.Popen | None = None
        self._started = self._next_start = 0.0
        self._ends_in_a_row = 0

    @property
    def pid(self) -> int | None:
        """The number of the process that runs now; None between an end and the next start."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Starts the process. Its output goes to the end of its log."""
        with contextlib.suppress(FileNotFoundError):
            if self.log.stat().st_size > _LARGEST_LOG:
                self.log.replace(self.log.with_suffix(".old.txt"))
        self._process = start(self._command, self.log, self._environ, **self._options)
        if self._cores:
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(self._process.pid, self._cores)
        self._started = time.monotonic()

    def look_after(self) -> str | None:
        """Starts the process again if it has ended and its pause is over; returns a sentence where something happened.

        Never waits.
        """
        now = time.monotonic()
        if self.pid is not None or (self._process is None and now < self._next_start):
            return None
        if self._process is None:
            self.start()
            self.restarts += 1
            return f"{self.name} runs again (process {self.pid})."
        code, self._process = self._process.returncode, None
        self._ends_in_a_row = 1 if now - self._started >= STEADY_SECONDS else self._ends_in_a_row + 1
        pause = PAUSES[min(self._ends_in_a_row, len(PAUSES)) - 1]
        self._next_start = now + pause
        said = [line for line in last_lines(self.log) if line.strip()][-1:] if code > 0 else []
        ending = f"{self.name} has ended ({in_words(code)}); it starts again in {pause:.0f} s."
        return " ".join([ending, *(f"It said: {line}" for line in said)])

    def send(self, number: signal.Signals) -> None:
        """Signals the process; does not wait."""
        if self.pid is not None:
            self._process.send_signal(number)


def end_all(services: Sequence[Service], seconds: float, *, give_up: Callable[[], bool] = lambda: False) -> None:
    """Asks processes to end and waits; those that have not ended after `seconds`, or at `give_up()`, are killed."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        for service in services:
            service.send(number)
        deadline = time.monotonic() + patience
        while any(service.pid for service in services) and time.monotonic() < deadline and not give_up():
            time.sleep(0.1)
