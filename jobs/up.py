"""`python -m jobs up`: everything on this machine, as processes of its own: broker, workers, scheduler."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import filelock
from tyro.conf import arg

from fer_core.errors import FerError, JobError
from fer_core.job.broker import Broker, read_record, socket_url
from fer_core.job.broker_check import hidden_password
from fer_core.job.job import job_ids, open_ids, open_job
from fer_core.job.progress import open_jobs
from fer_core.paths import Paths
from fer_core.resources import child_environment, core_numbers, file_lock
from fer_core.store.files import utc_text, write_json
from jobs.console import Context
from jobs.machine import answers, find_server, gpus, planned_workers, socket_path, write_configuration
from jobs.process import in_words, last_lines, start

START_SECONDS = 120.0
"""An earlier server may still write its file, and a large append-only file takes a while to read."""
HAND_OVER_SECONDS = 75.0  # A training has 45 s for its checkpoint, and then its job is handed on
LONGEST_PAUSE_SECONDS = 60  # before a process is started again; at first it is one second
STEADY_SECONDS = 120.0  # a process that lived so long was well: its next end counts as the first
_LARGEST_LOG = 20_000_000
_END_SECONDS = 20.0
_LOOK_SECONDS = 2.0
_STOPPING = "Stopping: running jobs are handed on, from their last finished epoch. Ctrl-C again does not wait for that."


class KeptAlive:
    """One process that is kept alive: started again, after a pause that grows, when it ends unasked.

    To be started from the main thread: that is the one whose death counts. It runs in a session of its own, so that
    Ctrl-C in a terminal reaches only `up`.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        state: Path,
        *,
        cores: frozenset[int] | None = None,
        **options: Any,
    ):
        self.name = name
        # With the host's name, since a state folder may be shared.
        self.log = state.resolve() / "logs" / f"{name}@{socket.gethostname()}.txt"
        self._command, self._environ, self._options, self._cores = command, environ, options, cores
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
            return f"{self.name} runs again (process {self.pid})."
        code, self._process = self._process.returncode, None
        self._ends_in_a_row = 0 if now - self._started >= STEADY_SECONDS else self._ends_in_a_row
        pause = min(LONGEST_PAUSE_SECONDS, 2**self._ends_in_a_row)
        self._ends_in_a_row += 1
        self._next_start = now + pause
        said = [line for line in last_lines(self.log) if line.strip()][-1:] if code > 0 else []
        ending = f"{self.name} has ended ({in_words(code)}); it starts again in {pause} s."
        return " ".join([ending, *(f"It said: {line}" for line in said)])

    def send(self, number: signal.Signals) -> None:
        """Signals the process; does not wait."""
        if self.pid is not None:
            self._process.send_signal(number)


def _end(services: Sequence[KeptAlive], seconds: float, *, give_up: Callable[[], bool] = lambda: False) -> None:
    """Asks processes to end and waits; those that have not ended after `seconds`, or at `give_up()`, are killed."""
    for number, patience in ((signal.SIGTERM, seconds), (signal.SIGKILL, 5.0)):
        for service in services:
            service.send(number)
        deadline = time.monotonic() + patience
        while any(service.pid for service in services) and time.monotonic() < deadline and not give_up():
            time.sleep(0.1)


def up(
    context: Context,
    *,
    join: Annotated[str | None, arg(metavar="URL")] = None,
    workers: Annotated[int | None, arg(metavar="N")] = None,
) -> None:
    """Run everything on this machine: broker, one worker per GPU (or one), scheduler. Ctrl-C stops all of it.

    Args:
        join: Only workers, for the broker there. $FER_BROKER_URL does the same, and shows no password in `ps`.
        workers: So many. Default: one per GPU, or one.
    """
    paths, environ = context.paths, context.environ
    planned = planned_workers(gpus(environ), core_numbers(), wanted=workers)
    url = join or environ.get("FER_BROKER_URL")
    with _signals_noted() as signals, contextlib.ExitStack() as at_the_end:
        servers, mark = [], ""
        if url is None:
            servers = [at_the_end.enter_context(_own_server(context, signals))]
            url = socket_url(socket_path(paths.state, environ))
        else:
            at_the_end.enter_context(_only_one(paths.state, f".join-{socket.gethostname()}.lock"))
            with Broker(paths, {**environ, "FER_BROKER_URL": url}).connected():
                mark = f"-{os.getpid()}"  # tells them from another one's of this machine, at the same broker
        environment = _environment(context) | {"FER_BROKER_URL": url}
        celery = [sys.executable, "-m", "celery", "-A", "jobs"]
        services = []
        for name, flags, variables, cores in planned:
            command = [*celery, "worker", "-n", f"{name}{mark}@%h", "-l", "INFO", *flags]
            services.append(KeptAlive(name, command, environment | variables, paths.state, cores=cores))
        beats = [KeptAlive("beat", [*celery, "beat", "-l", "INFO"], environment, paths.state)] if servers else []
        if not signals:
            context.say(f"Broker: {hidden_password(url)}")
            _run(context, servers, services, beats, signals)


def _environment(context: Context) -> dict[str, str]:
    """Returns the environment of a process: folders that do not depend on the working directory."""
    paths, environ = context.paths, context.environ
    folders = {"MODELS_DIR": paths.models, "HISTORY_DIR": paths.history, "CACHE_DIR": paths.cache}
    folders |= {"STATE_DIR": paths.state, "INBOX": paths.inbox}
    named = {f"FER_{name}": str(folder.resolve()) for name, folder in folders.items()}
    return child_environment(environ, **named, PYTHONUNBUFFERED="1")


def _run(
    context: Context,
    servers: list[KeptAlive],
    workers: list[KeptAlive],
    beats: list[KeptAlive],
    signals: list[int],
) -> None:
    """Starts workers and scheduler, and looks after all processes until a signal asks to end."""
    changes, next_look = _changes(context.paths), 0.0
    context.say("In another terminal: `python -m jobs submit tune`, `python -m jobs list`. Ctrl-C ends all of it.")
    try:
        for service in (*workers, *beats):
            service.start()
            context.say(f"{service.name} is process {service.pid}, its log {service.log}")
        while not signals:
            sentences = [service.look_after() for service in (*servers, *workers, *beats)]
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_SECONDS
                sentences += next(changes)
            for sentence in filter(None, sentences):
                context.say(sentence)
            time.sleep(0.2)
        context.say(_STOPPING)
    finally:
        _end(workers, HAND_OVER_SECONDS, give_up=lambda: len(signals) > 1)
        _end(beats, _END_SECONDS)
    context.say("All of it has ended.")


def _changes(paths: Paths) -> Iterator[list[str]]:
    """Yields at each look a line for each job that has another status than at the last; at first, how many are open."""
    known = set(job_ids(paths))
    before = {job.id: job.status for job in open_jobs(paths)}
    yield [f"Jobs that have not ended: {len(before)}."]
    while True:
        every, now = set(job_ids(paths)), {}
        # A short one may have begun and ended since the last time.
        for name in dict.fromkeys((*before, *open_ids(paths), *sorted(every - known))):
            with contextlib.suppress(FerError):
                job = open_job(paths, name)
                message = job.end.message.partition("\n")[0] if job.end else ""
                now[name] = f"{job.status}, {message}" if message else job.status
        yield [f"{name}: {line}" for name, line in now.items() if before.get(name) != line]
        known, before = every, now


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Yields a list that gets the signals which ask to end, for a loop that looks at it."""
    noted: list[int] = []
    wanted = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda number, frame: noted.append(number)) for number in wanted}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _own_server(context: Context, signals: list[int]) -> Iterator[KeptAlive]:
    """Yields a server that takes commands, and ends it at last."""
    state, environ = context.paths.state, context.environ
    binary, path = find_server(environ), socket_path(state, environ)
    with _only_one(state, ".up.lock"):
        deadline = time.monotonic() + _END_SECONDS
        while answers(path):  # the server of an `up` that was killed ends by itself: two would spoil its data
            if time.monotonic() > deadline:
                raise JobError(f"Another server listens on {path}.", hint="End it first.")
            time.sleep(0.1)
        command = [str(binary), str(write_configuration(state))]
        # What waits in the queues is nobody else's business.
        server = KeptAlive("broker", command, _environment(context), state, umask=0o077)
        server.start()
        record = {"url": socket_url(path), "pid": os.getpid(), "host": socket.gethostname()}
        try:
            with context.console.status("Starting the broker …"):
                _wait_for_server(server, state, path, signals)
            write_json(state / "broker.json", record | {"started_utc": utc_text(context.clock())})
            yield server
        finally:
            _end([server], _END_SECONDS)
            found = read_record(state)
            if found is not None and found.model_dump(include=set(record)) == record:
                (state / "broker.json").unlink(missing_ok=True)


def _wait_for_server(server: KeptAlive, state: Path, path: Path, signals: list[int]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not signals and not answers(path):
        if not server.pid or time.monotonic() > deadline:
            said = server.look_after() or "it says nothing"
            kept = f"What waits in {state / 'redis'} may be moved away: jobs that have not ended are sent again."
            raise JobError(f"The broker does not start: {said}", hint=f"Its log is {server.log}. {kept}")
        time.sleep(0.1)


@contextlib.contextmanager
def _only_one(state: Path, name: str) -> Iterator[None]:
    """Keeps a second `up` from the same state folder; freed by the system when this process ends in any way."""
    lock = file_lock(state / name)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        record = read_record(state)
        where = f" (process {record.pid} on {record.host})" if record else ""
        raise JobError(
            f"`python -m jobs up` runs already{where}, with its state in {state}.",
            hint="Stop that one with Ctrl-C, or take another $FER_STATE_DIR; `python -m jobs doctor` looks at it.",
        ) from None
    except OSError as error:
        message = f"The folder {state} cannot be used: {error.strerror or error}."
        raise JobError(message, hint="Set $FER_STATE_DIR to another one.") from None
    try:
        yield
    finally:
        lock.release()
