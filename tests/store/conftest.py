"""Places to work in, runs of plain bytes, and the means to kill a process at each of its calls in turn."""

import contextlib
import itertools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fer_core.config import TrainConfig
from fer_core.places import Places
from fer_core.store.artifacts import save_labels
from fer_core.store.run import Run
from fer_core.store.runs import create_run

PROJECT = Path(__file__).parents[2]
NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)

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
        """Runs the command to its end and returns its calls as fsync:1, fsync:2, …"""
        assert self.run(command, None) == 0, "the command fails without being killed"
        names = re.findall(r"^(?:\d+ +)?(\w+)\(", self._log.read_text(), re.MULTILINE)
        return [f"{name}:{number + 1}" for name, count in Counter(names).items() for number in range(count)]

    def run(self, command: list[str], kill_at: str | None) -> int:
        """Returns the exit status."""
        path = [str(PROJECT)] if self._with_strace else [str(self._folder), str(PROJECT)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path), "PYTHONDONTWRITEBYTECODE": "1"}
        if self._with_strace:
            command = self._traced(command, kill_at)
        else:
            environment |= {"KILL_LOG": str(self._log)} | ({"KILL_AT": kill_at} if kill_at else {})
        return subprocess.run(command, env=environment, timeout=120).returncode

    @property
    def _log(self) -> Path:
        return self._folder / "calls"

    def _traced(self, command: list[str], kill_at: str | None) -> list[str]:
        trace = ["strace", "-f", "-qq", "-o", str(self._log), "-e", "signal=none", "-e", f"trace={DECIDING_CALLS}"]
        inject = ["-e", "inject={}:signal=KILL:when={}".format(*kill_at.split(":"))] if kill_at else []
        return [*trace, *inject, *command]


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True).returncode == 0


@pytest.fixture
def kill_at_every_call(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., int]:
    """A function that runs a Python command again and again, each time killed one call later; returns how many kills.

    `check()` is called after each kill; `prepare()`, if given, before each start. Without a strace that works,
    `with_strace` counts Python's calls instead.
    """

    def kill_in_turn(
        command: list[str],
        check: Callable[[], None],
        *,
        prepare: Callable[[], None] = lambda: None,
        with_strace: bool = False,
    ) -> int:
        killer = KilledAtCall(tmp_path_factory.mktemp("kills"), with_strace=with_strace and strace_works())
        prepare()
        kills = 0
        for call in killer.calls_of(command):
            prepare()
            kills += killer.run(command, call) == -signal.SIGKILL
            check()
        return kills

    return kill_in_turn


@pytest.fixture
def killed_at(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """A function that runs Python code in a child process which is killed just before a call, e.g. 'fsync:1'."""

    def run_and_kill(call: str, code: str, *arguments: object) -> None:
        killer = KilledAtCall(tmp_path_factory.mktemp("kill"), with_strace=False)
        assert killer.run([sys.executable, "-c", code, *map(str, arguments)], call) == -signal.SIGKILL

    return run_and_kill


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places.from_environment({}, models=tmp_path / "models", history=tmp_path / "history")


@pytest.fixture
def make_finished_run(places: Places) -> Callable[..., Run]:
    """A function that makes a finished run whose model is plain bytes."""
    numbers = itertools.count()

    def make(*, data: str = "photographs.zip", model: bytes = b"") -> Run:
        run = create_run(places, TrainConfig(data=data), recipe="smoke", clock=lambda: NOON)
        run.model_h5.write_bytes(model or b"model %d" % next(numbers) * 1000)
        save_labels(run.labels_json, ("angry", "happy"))
        run.update_state(status="SUCCEEDED")
        return run

    return make


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs code in a child process that can import the project."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    return run_python


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 1 MB; where none may be mounted, a folder in which no file may be larger."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        with largest_file(2**20):
            yield folder
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def project() -> Path:
    return PROJECT


@pytest.fixture
def noon() -> datetime:
    return NOON
