"""A real Redis server on a private socket, and real worker processes, for all tests of the jobs.

A server is shared by a session; every module has a database of its own, so that its workers get its jobs alone.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fer_core.errors import JobError
from fer_core.job.broker import Broker
from fer_core.job.job import Job, open_job
from fer_core.job.lifecycle import create_job
from fer_core.paths import Paths
from jobs.machine import answers, find_server
from tests.conftest import PROJECT, paths_in
from tests.jobs.parts import Ask, asking
from tests.script import clean_environment

TINY_TRAINING = {"recipe": "smoke", "data": "sample", "sample_per_class": 60, "threads": 1}
"""Some 8 s in a process of its own, nearly all of it the import of TensorFlow."""
_ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
_DATABASES = 64


@pytest.fixture
def ask(paths, monkeypatch, capsys) -> Ask:
    """Returns ask(arguments…), which runs `python -m jobs` here, without Celery, Redis and Keras."""
    return asking(paths, monkeypatch, capsys)


def wait_until(condition: Callable[[], Any], seconds: float = 30, *, every: float = 0.05) -> Any:
    """Returns what `condition` gives as soon as that is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(every)
    pytest.fail(f"not within {seconds} s: {condition.__name__}")


class Server:
    """A Redis or Valkey server, with databases that nobody uses yet."""

    def __init__(self, folder: Path):
        self.socket = folder / "redis.sock"
        self._databases = iter(range(_DATABASES))

    def new_database(self) -> str:
        """Returns the URL of a database that nobody uses."""
        return f"redis+socket://{self.socket}?virtual_host={next(self._databases)}"


class Worker:
    """A `celery worker` process; its output is in a file."""

    def __init__(self, process: subprocess.Popen, log: Path):
        self.process, self.pid, self.log_file = process, process.pid, log

    @property
    def log(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def pool_children(self) -> list[psutil.Process]:
        """Returns the processes that carry out tasks."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children()
        return []

    def trainers(self) -> list[psutil.Process]:
        """Returns the processes of jobs."""
        found = []
        for child in self.pool_children():
            with contextlib.suppress(psutil.NoSuchProcess):
                found += child.children()
        return found

    def send(self, number: signal.Signals) -> None:
        """Signals the main process alone."""
        self.process.send_signal(number)


@contextlib.contextmanager
def stopped(worker: Worker, broker: Broker) -> Iterator[None]:
    """Stops a worker; what is sent then waits, once the server does not hold a question of the worker any more."""
    worker.send(signal.SIGSTOP)
    try:
        with broker.connected() as connection:
            server = connection.default_channel.client
            wait_until(lambda: server.info("clients")["blocked_clients"] == 0)
        yield
    finally:
        worker.send(signal.SIGCONT)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """The session's server. Where there is no program for it, the tests are skipped, and say what to install."""
    try:
        program = find_server(os.environ)
    except JobError as error:
        pytest.skip(f"NOT TESTED: {error} {error.hint}")
    # Not in tmp_path: a socket's path has room for 107 characters.
    with tempfile.TemporaryDirectory(prefix="fer-redis-") as folder:
        server = Server(Path(folder))
        settings = ["--port", "0", "--unixsocket", str(server.socket), "--unixsocketperm", "700", "--save", ""]
        settings += ["--dir", folder, "--databases", str(_DATABASES)]
        with subprocess.Popen([str(program), *settings], stdout=subprocess.DEVNULL) as process:
            wait_until(lambda: answers(server.socket), 20)
            yield server
            process.kill()


@pytest.fixture(scope="module")
def redis_url(redis_server) -> str:
    """A database for the tests of one file."""
    return redis_server.new_database()


@pytest.fixture(scope="module")
def job_paths(tmp_path_factory) -> Paths:
    """The folders of the workers of one file."""
    return paths_in(tmp_path_factory.mktemp("jobs"))


@pytest.fixture(scope="module")
def job_environment(redis_url, job_paths) -> dict[str, str]:
    """The environment of workers and commands."""
    folders = {"FER_MODELS_DIR": job_paths.models, "FER_HISTORY_DIR": job_paths.history}
    named = {name: str(path) for name, path in folders.items()}
    return clean_environment(job_paths, named | {"FER_BROKER_URL": redis_url} | _ONE_THREAD)


@pytest.fixture(scope="module")
def worker(job_environment, tmp_path_factory) -> Iterator[Callable[..., Worker]]:
    """Returns worker(*arguments, name=…, **environment), which starts one and waits until it is ready."""
    started: list[Worker] = []
    logs = tmp_path_factory.mktemp("workers")

    def start(*arguments: str, name: str = "worker", **environment: str) -> Worker:
        fast = ["--without-mingle", "--without-gossip"]
        command = [sys.executable, "-m", "celery", "-A", "jobs", "worker", "-n", f"{name}@%h", "-l", "INFO", *fast]
        log = logs / f"{name}.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *arguments],
                cwd=PROJECT,
                env=job_environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(Worker(process, log))
        wait_until(lambda: " ready." in started[-1].log or process.poll() is not None, 120)
        assert process.poll() is None, started[-1].log
        return started[-1]

    yield start
    for one in started:
        one.process.terminate()
    for one in started:  # what lives on here after some seconds is killed
        family = [*one.trainers(), *one.pool_children(), one.process]
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(20)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        print(f"\n===== {one.log_file.name}\n{one.log[-6000:]}")


@pytest.fixture(scope="module")
def broker(redis_url, job_paths) -> Broker:
    """The broker, for this process."""
    return Broker(job_paths, {"FER_BROKER_URL": redis_url})


@pytest.fixture(scope="module")
def submit(broker, job_paths) -> Callable[..., Job]:
    """Returns submit(task, **arguments), which sends a job from this process."""

    def send(task: str, **arguments: Any) -> Job:
        job = create_job(job_paths, task, arguments, environ={})
        broker.send(job)
        return job

    return send


@pytest.fixture(scope="module")
def ended(job_paths) -> Callable[..., Job]:
    """Returns ended(job_id, seconds), which waits until a job has ended and Celery was told, and returns it."""

    def wait(job_id: str, seconds: float = 180) -> Job:
        return wait_until(lambda: _if_ended(job_paths, job_id), seconds)

    return wait


def _if_ended(paths: Paths, job_id: str) -> Job | None:
    with contextlib.suppress(JobError):
        job = open_job(paths, job_id)
        return job if job.end is not None and not job.marker.exists() else None
    return None


BESIDE = """
import contextlib, io, json, sys
for line in sys.stdin:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(json.loads(line), {})
    print(json.dumps(said.getvalue().strip()), flush=True)
"""


@pytest.fixture(scope="module")
def python(job_environment) -> Iterator[Callable[[str], str]]:
    """Returns python(code), which runs code as users of Celery write it, and returns its output: all in one process."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", BESIDE], cwd=PROJECT, env=job_environment, **pipes) as child:

        def run(code: str) -> str:
            print(json.dumps(code), file=child.stdin, flush=True)
            return json.loads(child.stdout.readline())

        yield run


@pytest.fixture(scope="module")
def celery(python) -> Callable[..., str]:
    """Returns celery(*arguments), which does there what `celery -A jobs …` does, and returns what that prints."""
    return lambda *arguments: python(f"from jobs.celery import app; app.start({list(arguments)!r})")
