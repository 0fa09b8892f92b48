"""Reads a study with several processes on this machine, each of which takes one part after the other.

A file that ends its process (a crash in a decoder, memory) is tried twice, and then named as failed.
"""

import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from fer_core.errors import FerError, check_interrupted
from fer_core.paths import Paths
from fer_core.resources import child_environment
from fer_core.study.study import Study, StudyProgress

POLL_SECONDS = 0.4
PROGRESS_SECONDS = 2.0
START_SECONDS = 2.0
"""Before others are started: so long it may take until a process has taken a part."""
STOP_SECONDS = 10.0
MOST_STARTS = 3
"""So often in a row a process may end without having begun to read anything."""


class ReaderFailedError(FerError):
    """A process that reads could not begin, or not go on."""


def read_study(
    study: Study,
    paths: Paths,
    *,
    processes: int,
    to_the_end: bool = True,
    progress: Callable[[StudyProgress], None] = lambda progress: None,
) -> None:
    """Reads what is planned and nobody else reads, in so many processes.

    `to_the_end`: waits for what others read, and reads that if they give up.

    Raises ReaderFailedError with what a process said, Interrupted.
    """
    started: list[subprocess.Popen] = []
    failures, start_at, said_at = 0, 0.0, -math.inf
    said_before = study.log.stat().st_size if study.log.is_file() else 0
    try:
        while True:
            check_interrupted()
            left = study.left()
            free = study.free_parts(left, most=processes)
            if not (started or free or (to_the_end and left)):
                return
            if left and time.monotonic() >= said_at + PROGRESS_SECONDS and (so_far := study.progress()):
                said_at = time.monotonic()
                progress(so_far)
            for process in [one for one in started if one.poll() is not None]:
                started.remove(process)
                if process.returncode == 0:
                    continue
                is_over_a_file = study.note_death(process.pid) is not None
                failures = 0 if is_over_a_file else failures + 1
                if process.returncode == 2 or failures >= MOST_STARTS:
                    raise ReaderFailedError(last_error(study.log, after=said_before))
            if free and time.monotonic() >= start_at:
                start_at = time.monotonic() + START_SECONDS
                wanted = min(processes, len(started) + len(free))
                started += [_started(study, paths) for _ in range(wanted - len(started))]
            time.sleep(POLL_SECONDS)
    finally:
        for process in started:
            process.terminate()
        for process in started:
            _wait(process)


def _started(study: Study, paths: Paths) -> subprocess.Popen:
    reader = ("-m", "fer_core.cli.study", str(study.folder), "--reads")
    command = [sys.executable, *reader, "--models-dir", str(paths.models)]
    with study.log.open("ab") as log:
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        return subprocess.Popen(command, env=child_environment(OMP_NUM_THREADS="1"), **streams)


def _wait(process: subprocess.Popen) -> None:
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_error(log: Path, *, after: int = 0) -> str:
    """Returns the error that a process ended with, from what it wrote into a file after so many bytes."""
    lines = log.read_bytes()[after:].decode(errors="replace").splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    return (
        errors[-1].removeprefix("Error: ") if errors else f"A process that reads has crashed; {log} has what it said."
    )
