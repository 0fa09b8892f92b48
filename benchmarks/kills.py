"""Kills a training, or any Python process, at a chosen moment: just before a system call, or by the clock."""

import os
import re
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[1]

DECIDING_CALLS = "?fsync,?fdatasync,?rename,?renameat,?renameat2,?link,?linkat,?mkdir,?mkdirat,?unlink,?unlinkat,?rmdir"
"""In strace's words; ?: not every processor has them all."""

_KILL_IN_PYTHON = """
import collections, os, signal
counts, wanted, log = collections.Counter(), os.environ.get("KILL_AT"), os.environ["KILL_LOG"]
def watched(name, function):
    def call(*arguments, **options):
        counts[name] += 1
        if wanted == f"{name}:{counts[name]}":
            os.kill(os.getpid(), signal.SIGKILL)
        if wanted is None:
            with open(log, "a") as file:
                file.write(f"{name}()\\n")
        return function(*arguments, **options)
    return call
for name in ("fsync", "replace", "rename", "link", "mkdir", "unlink"):
    setattr(os, name, watched(name, getattr(os, name)))
"""


class KilledAtCall:
    """Runs a Python command so that SIGKILL takes it just before a chosen system call.

    Python's own calls are counted (the command's sitecustomize does it), which is where all of ours are made. With
    strace it is the kernel's, whoever makes them: the check of the first way, at twice its time.
    """

    def __init__(self, folder: Path, *, with_strace: bool):
        self._folder = folder
        self._with_strace = with_strace
        (folder / "sitecustomize.py").write_text(_KILL_IN_PYTHON)

    def calls_of(self, command: list[str]) -> list[str]:
        """Runs the command to its end and returns its calls as fsync:1, replace:1, fsync:2, …

        Raises CalledProcessError if it fails without being killed.
        """
        status = self.run(command, None)
        if status:
            raise subprocess.CalledProcessError(status, command)
        return self.logged_calls()

    def run(self, command: list[str], kill_at: str | None) -> int:
        """Returns the exit status."""
        if not self._with_strace:
            return subprocess.run(command, env=self.environment(os.environ, kill_at), timeout=120).returncode
        environment = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(self._traced(command, kill_at), env=environment, timeout=120).returncode

    def environment(self, environ: Mapping[str, str], kill_at: str | None) -> dict[str, str]:
        """Returns the environment in which Python kills itself before the call; without one, it logs its calls."""
        path = os.pathsep.join([str(self._folder), str(PROJECT)])
        own = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "KILL_LOG": str(self._log)}
        return {**environ, **own, **({"KILL_AT": kill_at} if kill_at else {})}

    def logged_calls(self) -> list[str]:
        """Returns the calls of the last run that was not killed, in their order."""
        counts: Counter[str] = Counter()
        calls = []
        for name in re.findall(r"^(?:\d+ +)?(\w+)\(", self._log.read_text(), re.MULTILINE):
            counts[name] += 1
            calls.append(f"{name}:{counts[name]}")
        return calls

    @property
    def _log(self) -> Path:
        return self._folder / "calls"

    def _traced(self, command: list[str], kill_at: str | None) -> list[str]:
        trace = ["strace", "-f", "-qq", "-o", str(self._log), "-e", "signal=none", "-e", f"trace={DECIDING_CALLS}"]
        inject = ["-e", "inject={}:signal=KILL:when={}".format(*kill_at.split(":"))] if kill_at else []
        return [*trace, *inject, *command]


def strace_works() -> bool:
    """Returns whether strace is installed and may be used here."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


@dataclass(frozen=True)
class Ended:
    """How a process ended: its exit status (minus the signal that took it) and all that it said."""

    status: int
    output: str


def run_until(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    line: str = "",
    seconds: float | None = None,
    signal_number: int = signal.SIGKILL,
    limit_seconds: float = 300,
) -> Ended:
    """Runs a command; sends it a signal so many seconds after it has printed a line that starts with `line`.

    Without `seconds` it runs to its end. Past the limit it is killed, and the output says so.
    """
    process = subprocess.Popen(
        command, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    )
    timers = [_Timer(limit_seconds, process, signal.SIGKILL)]
    output = []
    with process:
        for text in process.stdout:
            output.append(text)
            if seconds is not None and len(timers) == 1 and text.startswith(line):
                timers.append(_Timer(seconds, process, signal_number))
    for timer in timers:
        timer.cancel()
    if timers[0].rang:
        output.append(f"Killed: it took longer than {limit_seconds:g} s.\n")
    return Ended(process.returncode, "".join(output))


class _Timer(threading.Timer):
    """Sends a signal after some time."""

    def __init__(self, seconds: float, process: subprocess.Popen, signal_number: int):
        super().__init__(seconds, self._ring)
        self.daemon = True
        self.rang = False
        self._process, self._signal_number = process, signal_number
        self.start()

    def _ring(self) -> None:
        self.rang = True
        self._process.send_signal(self._signal_number)
