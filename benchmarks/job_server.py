"""`python -m jobs up` for benchmarks, in folders of its own: broker, workers and scheduler, kept alive as users do.

Signals only processes that it has started itself, or that those have started.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from harness import ROOT

from fer_core.errors import FerError
from fer_core.job.broker import socket_url
from fer_core.job.job import Job, open_job
from fer_core.job.progress import open_jobs
from fer_core.paths import Paths
from fer_core.store.runs import list_runs
from fer_core.tuning.state import Search, load_state
from jobs.machine import answers, find_server, socket_path, write_configuration

BROKER, BEAT = "broker", "beat"

_MARK = "FER_BENCHMARK_MARK"
_END_SECONDS = 120


class JobServer:
    """Its parts by name: "broker", "beat", and the workers "cpu0" and on."""

    def __init__(self, folder: Path, **variables: str):
        self.folder = folder.resolve()
        folders = {f"FER_{place.upper()}_DIR": place for place in ("models", "history", "state", "cache")}
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
        self.environment |= {name: str(self.folder / place) for name, place in folders.items()}
        self.environment |= {
            "FER_INBOX": str(self.folder / "inbox"),
            "FER_REDIS_SERVER": str(find_server(os.environ)),
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONPATH": str(ROOT),
            _MARK: secrets.token_hex(8),
            **variables,
        }
        self.paths = Paths.from_environment(self.environment)
        self.broker_socket = socket_path(self.paths.state)

    @contextlib.contextmanager
    def broker(self) -> Iterator[None]:
        """Runs the broker alone, for workers of another kind."""
        self.environment["FER_BROKER_URL"] = socket_url(self.broker_socket)
        command = [self.environment["FER_REDIS_SERVER"], str(write_configuration(self.paths.state))]
        with subprocess.Popen(command, env=self.environment, stdout=subprocess.DEVNULL) as process:
            try:
                wait_until(lambda: answers(self.broker_socket), seconds=30, what="a broker that answers")
                yield
            finally:
                process.terminate()

    def start(self, workers: int) -> None:
        """Starts all of it, and waits until the workers take jobs."""
        command = [sys.executable, "-m", "jobs", "up", "--workers", str(workers)]
        with (self.folder / "up.txt").open("wb") as log:
            self._up = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        logs = self.paths.state / "logs"
        wait_until(
            lambda: sum(" ready." in log.read_text(errors="replace") for log in logs.glob("cpu*")) == workers,
            seconds=120,
            what="the workers",
        )

    def stop(self) -> int:
        """Stops it as Ctrl-C does, and returns the exit code; -9 where it had to be killed."""
        self._up.send_signal(signal.SIGINT)
        try:
            return self._up.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._up.kill()
            return self._up.wait()

    def parts(self) -> dict[str, psutil.Process]:
        """Returns the processes that run now by their names, which are those of the logs that they write."""
        found = {}
        for child in _children(self._up.pid):
            with contextlib.suppress(OSError):
                found[Path(f"/proc/{child.pid}/fd/1").readlink().name.partition("@")[0]] = child
        return found

    def pool_children(self) -> list[psutil.Process]:
        """Returns the processes of the workers that carry out tasks."""
        workers = [process for name, process in self.parts().items() if name not in (BROKER, BEAT)]
        return [child for worker in workers for child in _children(worker.pid)]

    def trainers(self) -> list[psutil.Process]:
        """Returns the processes that train."""
        return [child for parent in self.pool_children() for child in _children(parent.pid)]

    def left_over(self) -> list[psutil.Process]:
        """Returns all living processes that this server has ever started, or that those have; none after `stop`."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                is_ours = process.environ().get(_MARK) == self.environment[_MARK]
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def call(self, task: str, **arguments: object) -> str:
        """Sends a job with `celery call`, as a user does, and returns its id. Raises RuntimeError if that fails."""
        command = [sys.executable, "-m", "celery", "-A", "jobs", "call", task, "--kwargs", json.dumps(arguments)]
        answer = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=60)
        if answer.returncode:
            raise RuntimeError(f"celery call {task}: {answer.stderr.strip()[-500:]}")
        return answer.stdout.split()[-1]

    def open_jobs(self) -> list[Job]:
        """Returns the jobs that have not ended."""
        return open_jobs(self.paths)

    def ended(self, job_id: str) -> Job | None:
        """Returns a job that has ended and whose end Celery was told; None for one that has not."""
        with contextlib.suppress(FerError):
            job = open_job(self.paths, job_id)
            return job if job.end is not None and not job.marker.exists() else None
        return None


def search_problems(search: Search) -> list[str]:
    """Returns a sentence for each thing that is not as it must be after a search: lost, doubled or not completed."""
    state = load_state(search)
    completed = [entry for entry in state.entries if entry.status == "COMPLETED"]
    runs = sorted(run.id for run in list_runs(search.paths) if run.manifest.parent == search.id)
    rows = len(search.trials_csv.read_text(encoding="utf-8").splitlines()) - 1
    checks = {
        f"it is {state.status}: {state.message}": state.status == "SUCCEEDED",
        f"{len(completed)} of {len(state.entries)} are completed": len(completed) == len(state.entries),
        "its runs are not its entries": runs == sorted(entry.run for entry in state.entries),
        "two entries have one job": len({entry.job for entry in state.entries}) == len(state.entries),
        f"{rows} rows in trials.csv": rows == len(state.entries),
    }
    return [sentence for sentence, is_so in checks.items() if not is_so]


def wait_until(is_so: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Waits. Raises TimeoutError that says for what."""
    deadline = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s for {what}.")
        time.sleep(0.1)


def _children(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children()
    return []
