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
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fer_core.config import TrainConfig
from fer_core.paths import Paths
from fer_core.store.artifacts import save_labels
from fer_core.store.run import Run
from fer_core.store.runs import create_run
from tests.conftest import PROJECT

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def in_a_child(function: Callable[[], object], *, killed_at: int) -> bool:
    """Calls a function in a forked child that SIGKILL takes at so many calls that put files in place.

    Returns whether it did: False where the function ended before. Fails where that was an error.
    """
    child = os.fork()
    if not child:
        calls = itertools.count(1)

        def watched(call: Callable) -> Callable:
            def watch(*arguments, **options):
                if next(calls) == killed_at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return watch

        for name in ("fsync", "replace", "rename", "link", "mkdir", "unlink"):
            setattr(os, name, watched(getattr(os, name)))
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def kill_at_every_call(
    function: Callable[[], object], check: Callable[[], None], *, prepare: Callable[[], None] = lambda: None
) -> int:
    """Calls a function in one child after the other, each killed one call later; returns how many kills.

    `check()` is called after each of them; `prepare()`, if given, before.
    """
    kills, was_killed = 0, True
    while was_killed:
        prepare()
        was_killed = in_a_child(function, killed_at=kills + 1)
        kills += was_killed
        check()
    return kills


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
    options = {"capture_output": True, "text": True, "timeout": 120}
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
