"""A job server for benchmarks: broker, workers and scheduler in a folder of their own, as a service manager has them.

Signals only processes that it has started itself, or that those have started.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from harness import ROOT

from fer_core.errors import FerError
from fer_core.job.broker import socket_url
from fer_core.job.job import Job, open_job
from fer_core.job.progress import Look
from fer_core.paths import Paths
from fer_core.store.runs import list_runs
from fer_core.tuning.state import Search, load_state
from jobs.machine import answers, find_server
from jobs.process import start

BROKER, BEAT = "redis", "beat"

_MARK = "FER_BENCHMARK_MARK"
_CONFIGURATION = """port 0
unixsocket "{folder}/redis.sock"
unixsocketperm 700
dir "{folder}/redis"
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
logfile ""
"""


class JobServer:
    """Its parts by name: "redis", "beat", and workers under any other name."""

    def __init__(self, folder: Path, **variables: str):
        self.folder = folder.resolve()
        self.broker_socket = self.folder / "redis.sock"
        self._processes: dict[str, subprocess.Popen] = {}
        folders = {f"FER_{place.upper()}_DIR": place for place in ("models", "history", "state", "cache")}
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
        self.environment |= {name: str(self.folder / place) for name, place in folders.items()}
        self.environment |= {
            "FER_INBOX": str(self.folder / "inbox"),
            "FER_BROKER_URL": socket_url(self.broker_socket),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "PYTHONPATH": str(ROOT),
            _MARK: secrets.token_hex(8),
            **variables,
        }
        self.paths = Paths.from_environment(self.environment)

    def start(self, *names: str) -> None:
        """Starts parts of the server, the broker until it answers. Their output goes to the end of their logs."""
        for name in names:
            self._processes[name] = start(self._command(name), self.log(name), self.environment, cwd=ROOT)
            if name == BROKER:
                wait_until(lambda: answers(self.broker_socket), seconds=30, what="a broker that answers")

    def kill(self, name: str, *, with_its_data: bool = False) -> None:
        """Ends one part with SIGKILL, and waits until it is gone; the broker also with all that it has stored."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()
        if with_its_data:
            shutil.rmtree(self.folder / "redis")

    def stop(self, seconds: float = 90) -> dict[str, int | None]:
        """Asks workers and scheduler to end, then the broker; returns exit codes, None for what had to be killed."""
        codes: dict[str, int | None] = {}
        for names in ([name for name in self._processes if name != BROKER], [BROKER]):
            ending = {name: self._processes.pop(name) for name in names if name in self._processes}
            for process in ending.values():
                process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + seconds
            for name, process in ending.items():
                try:
                    codes[name] = process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    codes[name] = None
        return codes

    def workers(self) -> list[str]:
        """Returns the names of the workers that run."""
        return [name for name, it in self._processes.items() if it.poll() is None and name not in (BROKER, BEAT)]

    def pool_children(self) -> list[psutil.Process]:
        """Returns the processes of the workers that carry out tasks."""
        return [child for name in self.workers() for child in _children(self._processes[name].pid)]

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
        return Look(self.paths).open_jobs()

    def ended(self, job_id: str) -> Job | None:
        """Returns a job that has ended and whose end Celery was told; None for one that has not."""
        with contextlib.suppress(FerError):
            job = open_job(self.paths, job_id)
            return job if job.end is not None and not job.marker.exists() else None
        return None

    def log(self, name: str) -> Path:
        """Returns where a part's output goes."""
        return self.folder / f"{name}.txt"

    def _command(self, name: str) -> list[str]:
        if name == BROKER:
            (self.folder / "redis").mkdir(exist_ok=True)
            configuration = self.folder / "redis.conf"
            configuration.write_text(_CONFIGURATION.format(folder=self.folder))
            return [str(find_server(os.environ)), str(configuration)]
        celery = [sys.executable, "-m", "celery", "-A", "jobs"]
        if name == BEAT:
            return [*celery, "beat", "--loglevel", "INFO"]
        quiet = ("--without-gossip", "--without-mingle")
        return [*celery, "worker", "--loglevel", "INFO", *quiet, "--hostname", f"{name}@%h"]


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
