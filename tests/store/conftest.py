"""Places to work in, runs of plain bytes, and the means to kill a process at each of its calls in turn."""

import contextlib
import itertools
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kills import PROJECT, KilledAtCall

from fer_core.config import TrainConfig
from fer_core.paths import Paths
from fer_core.store.label_files import save_labels
from fer_core.store.run import Run
from fer_core.store.runs import create_run

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def kill_at_every_call(tmp_path: Path) -> Callable[..., int]:
    """A function that runs a Python command again and again, each time killed one call later; returns how many kills.

    `check()` is called after each kill; `prepare()`, if given, before each start.
    """

    def kill_in_turn(
        command: list[str], check: Callable[[], None], *, prepare: Callable[[], None] = lambda: None
    ) -> int:
        (tmp_path / "killer").mkdir()
        killer, kills = KilledAtCall(tmp_path / "killer"), 0
        prepare()
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
        killer = KilledAtCall(tmp_path_factory.mktemp("kill"))
        assert killer.run([sys.executable, "-c", code, *map(str, arguments)], call) == -signal.SIGKILL

    return run_and_kill


@pytest.fixture
def make_finished_run(paths: Paths) -> Callable[..., Run]:
    """A function that makes a finished run whose model is plain bytes."""
    numbers = itertools.count()

    def make(*, data: str = "photographs.zip", model: bytes = b"") -> Run:
        run = create_run(paths, TrainConfig(data=data), recipe="smoke", clock=lambda: NOON)
        run.model_h5.write_bytes(model or b"model %d" % next(numbers) * 1000)
        save_labels(run.labels_json, ("angry", "happy"))
        run.update_state(status="SUCCEEDED")
        return run

    return make


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """A function that runs code in a child process that can import the project."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT)}
    options = {"env": environment, "capture_output": True, "text": True, "timeout": 120}
    return lambda code, *arguments: subprocess.run([sys.executable, "-c", code, *map(str, arguments)], **options)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 1 MB; where none may be mounted, a folder in which no file may be larger."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode:
        yield folder
        subprocess.run(["umount", folder], check=True)
        return
    with largest_file(2**20):
        yield folder


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="session")
def at_once() -> Callable[..., None]:
    """A function that calls others at the same time, each in a thread of its own."""

    def call(*functions: Callable[[], None], times: int = 1) -> None:
        threads = [threading.Thread(target=function) for function in functions * times]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return call


@pytest.fixture
def project() -> Path:
    return PROJECT


@pytest.fixture
def noon() -> datetime:
    return NOON
