"""`python -m jobs up`: everything on this machine, as processes of its own: broker, workers, scheduler."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import filelock
from rich.console import Group
from rich.live import Live
from rich.text import Text
from tyro.conf import arg

from fer_core.errors import FerError, JobError
from fer_core.job.broker import Broker, read_record, socket_url
from fer_core.job.broker_check import hidden_password
from fer_core.job.job import job_ids, open_ids, open_job
from fer_core.job.progress import Look
from fer_core.paths import Paths
from fer_core.resources import core_numbers
from fer_core.store.clock import utc_text
from fer_core.store.files import write_json
from jobs.console import Context, new_table
from jobs.machine import answers, find_server, gpus, planned_workers, socket_path, write_configuration
from jobs.process import PROJECT
from jobs.service import Service, end_all

START_SECONDS = 120.0
"""An earlier server may still write its file, and a large append-only file takes a while to read."""
HAND_OVER_SECONDS = 75.0  # A training has 45 s for its checkpoint, and then its job is handed on
_END_SECONDS = 20.0
_REFRESH_SECONDS = 2.0
_MOST_JOBS = 12
_STOPPING = "Stopping: running jobs are handed on, from their last finished epoch. Ctrl-C again does not wait for that."


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
        if url is None:
            server = [at_the_end.enter_context(_own_server(context, signals))]
            url = socket_url(socket_path(paths.state, environ))
        else:
            server = []
            at_the_end.enter_context(_only_one(paths.state, f".join-{socket.gethostname()}.lock"))
            with Broker(paths, {**environ, "FER_BROKER_URL": url}).connected():
                pass
        environment = _environment(context) | {"FER_BROKER_URL": url}
        mark = "" if server else f"-{os.getpid()}"  # tells them from another one's of this machine, at the same broker
        celery = [sys.executable, "-m", "celery", "-A", "jobs"]
        services = []
        for name, flags, variables, cores in planned:
            command = [*celery, "worker", "-n", f"{name}{mark}@%h", "-l", "INFO", *flags]
            services.append(Service(name, command, environment | variables, paths.state, cores=cores))
        beat = [*celery, "beat", "-l", "INFO"]
        beats = [Service("beat", beat, environment, paths.state)] if server else []
        if not signals:
            _run(context, url, server, services, beats, signals)


def _environment(context: Context) -> dict[str, str]:
    """Returns the environment of a process: folders that do not depend on the working directory."""
    paths, environ = context.paths, context.environ
    folders = {"MODELS_DIR": paths.models, "HISTORY_DIR": paths.history, "CACHE_DIR": paths.cache}
    folders |= {"STATE_DIR": paths.state, "INBOX": paths.inbox}
    path = os.pathsep.join(filter(None, (str(PROJECT), environ.get("PYTHONPATH"))))
    named = {f"FER_{name}": str(folder.resolve()) for name, folder in folders.items()}
    return {**environ, **named, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def _run(
    context: Context, url: str, server: list[Service], workers: list[Service], beats: list[Service], signals: list[int]
) -> None:
    """Starts workers and scheduler, and looks after all processes until a signal asks to end."""
    is_screen = context.console.is_terminal
    live = Live(console=context.console, auto_refresh=False, transient=True) if is_screen else None
    services, changes, next_check = [*server, *workers, *beats], _changes(context.paths), 0.0
    with live or contextlib.nullcontext():
        context.say(f"Broker: {hidden_password(url)}")
        context.say("In another terminal: `python -m jobs submit tune`, `python -m jobs list`. Ctrl-C ends all of it.")
        try:
            for service in (*workers, *beats):
                service.start()
                context.say(f"{service.name} is process {service.pid}, its log {service.log}")
            while not signals:
                sentences = [sentence for service in services if (sentence := service.look_after())]
                if time.monotonic() >= next_check:
                    next_check = time.monotonic() + _REFRESH_SECONDS
                    if live is not None:
                        live.update(_picture(context, services), refresh=True)
                    else:
                        sentences += next(changes)
                for sentence in sentences:
                    context.say(sentence)
                time.sleep(0.2)
            context.say(_STOPPING)
        finally:
            end_all(workers, HAND_OVER_SECONDS, give_up=lambda: len(signals) > 1)
            end_all(beats, _END_SECONDS)
    context.say("All of it has ended.")


def _picture(context: Context, services: Sequence[Service]) -> Group:
    processes = new_table("", "", "process", "restarts", right=("process", "restarts"))
    for service in services:
        state = Text("running", style="green") if service.pid else Text("starts again", style="yellow")
        processes.add_row(service.name, state, str(service.pid or "–"), str(service.restarts))
    look = Look(context.paths)
    jobs = look.open_jobs()
    running = [job for job in jobs if job.status == "RUNNING"]
    counts = Text(f"{len(running)} running, {len(jobs) - len(running)} waiting", style="bold")
    table = new_table("job", "worker", "so far")
    for job in running[:_MOST_JOBS]:
        table.add_row(job.id, job.notes.worker or "–", look.doing(job))
    return Group(processes, Text(), counts, *([table] if running else []))


def _changes(paths: Paths) -> Iterator[list[str]]:
    """Yields at each look a line for each job that has another status than at the last; at first, how many are open."""
    known = set(job_ids(paths))
    before = {job.id: job.status for job in Look(paths).open_jobs()}
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
def _own_server(context: Context, signals: list[int]) -> Iterator[Service]:
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
        server = Service("broker", command, _environment(context), state, umask=0o077)
        server.start()
        record = {"url": socket_url(path), "pid": os.getpid(), "host": socket.gethostname()}
        try:
            with context.console.status("Starting the broker …"):
                _wait_for_server(server, state, path, signals)
            write_json(state / "broker.json", record | {"started_utc": utc_text(context.clock())})
            yield server
        finally:
            end_all([server], _END_SECONDS)
            found = read_record(state)
            if found is not None and found.model_dump(include=set(record)) == record:
                (state / "broker.json").unlink(missing_ok=True)


def _wait_for_server(server: Service, state: Path, path: Path, signals: list[int]) -> None:
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
    lock = filelock.FileLock(state / name)
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
