"""`python -m jobs up`: everything on this machine, as processes of its own: broker, workers, scheduler.

Each is started again when it dies. If this process dies itself, all of them are told so and end.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import filelock
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from tyro.conf import arg

from fer_core.errors import JobError
from fer_core.job.broker import Broker, socket_url
from fer_core.job.broker_address import hidden_password
from fer_core.job.job import job_ids, open_ids
from fer_core.job.progress import Look
from fer_core.resources import core_numbers
from jobs.children import Child, Plan, ended, signals_noted
from jobs.commands.context import Context, new_table
from jobs.machine import beat_plan, environment_of, gpus, log_of, planned_workers, worker_plan
from jobs.server import answers, find_server, read_broker, remove_broker, socket_path, write_broker, write_configuration

START_SECONDS = 120.0
"""An earlier server may still write its file, and a large append-only file takes a while to read."""
HAND_OVER_SECONDS = 75.0
"""A training has 45 s for its checkpoint, and then its job is handed on."""

_END_SECONDS = 20.0
_REFRESH_SECONDS = 2.0
_MOST_JOBS = 12
_COLOURS = {"running": "green", "starts again": "yellow"}
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
    with signals_noted() as signals, contextlib.ExitStack() as at_the_end:
        if url is None:
            server = [at_the_end.enter_context(_own_server(context, signals))]
            url = socket_url(socket_path(paths.state, environ))
        else:
            server = []
            at_the_end.enter_context(_only_one(paths.state, f".join-{socket.gethostname()}.lock"))
            with Broker(paths, {**environ, "FER_BROKER_URL": url}).connected():
                pass
        environment = environment_of(paths, environ, url)
        mark = "" if server else f"-{os.getpid()}"
        plans = [worker_plan(worker, paths, environment, mark=mark) for worker in planned]
        beats = [Child(beat_plan(paths, environment))] if server else []
        if not signals:
            _Everything(context, server, list(map(Child, plans)), beats, signals).run(url)


class _Everything:
    """The processes, looked after until a signal asks to end."""

    def __init__(
        self, context: Context, server: list[Child], workers: list[Child], beats: list[Child], signals: list[int]
    ):
        self._context, self._workers, self._beats, self._signals = context, workers, beats, signals
        self._all = [*server, *workers, *beats]
        self._statuses: dict[str, str] | None = None
        self._known: set[str] = set()
        self._next_check = 0.0
        is_screen = context.console.is_terminal
        self._live = Live(console=context.console, auto_refresh=False, transient=True) if is_screen else None

    def run(self, url: str) -> None:
        say = self._context.say
        with self._live or contextlib.nullcontext():
            say(f"Broker: {hidden_password(url)}")
            say("In another terminal: `python -m jobs submit tune`, `python -m jobs list`. Ctrl-C ends all of it.")
            try:
                for child in (*self._workers, *self._beats):
                    child.start()
                    say(f"{child.plan.name} is process {child.pid}, its log {child.plan.log}")
                while not self._signals:
                    self._look_around()
                    time.sleep(0.2)
                say(_STOPPING)
            finally:
                ended(self._workers, HAND_OVER_SECONDS, give_up=lambda: len(self._signals) > 1)
                ended(self._beats, _END_SECONDS)
        say("All of it has ended.")

    def _look_around(self) -> None:
        for sentence in filter(None, (child.look_after() for child in self._all)):
            self._context.say(sentence)
        if time.monotonic() >= self._next_check:
            self._next_check = time.monotonic() + _REFRESH_SECONDS
            look = Look(self._context.paths)
            if self._live is not None:
                self._live.update(self._picture(look), refresh=True)
            else:
                self._tell_changes(look)

    def _tell_changes(self, look: Look) -> None:
        """One line for each job that has another status than the last time; none for those found at the start."""
        every = set(job_ids(self._context.paths))
        # A short one may have begun and ended since the last time.
        new = sorted(every - self._known) if self._statuses is not None else []
        names = dict.fromkeys((*(self._statuses or ()), *open_ids(self._context.paths), *new))
        self._known = every
        before, self._statuses = self._statuses, {name: line for name in names if (line := look.line(name))}
        if before is None:
            self._context.say(f"Jobs that have not ended: {len(self._statuses)}.")
        for name, line in self._statuses.items():
            if before is not None and before.get(name) != line:
                self._context.say(f"{name}: {line}")

    def _picture(self, look: Look) -> Group:
        jobs = look.open_jobs()
        running = [job for job in jobs if job.status == "RUNNING"]
        counts = Text(f"{len(running)} running, {len(jobs) - len(running)} waiting", style="bold")
        table = new_table("job", "worker", "so far")
        for job in running[:_MOST_JOBS]:
            table.add_row(job.id, job.notes.worker or "–", look.doing(job))
        return Group(self._processes(), Text(), counts, *([table] if running else []))

    def _processes(self) -> Table:
        table = new_table("", "", "process", "restarts", right=("process", "restarts"))
        for child in self._all:
            state = "running" if child.is_running else "starts again"
            number = "–" if child.pid is None else str(child.pid)
            table.add_row(child.plan.name, Text(state, style=_COLOURS[state]), number, str(child.restarts))
        return table


@contextlib.contextmanager
def _own_server(context: Context, signals: list[int]) -> Iterator[Child]:
    """Yields a server that takes commands, and ends it at last."""
    state = context.paths.state
    binary, path = find_server(context.environ), socket_path(state, context.environ)
    with _only_one(state, ".up.lock"):
        _wait_until_gone(path)
        plan = Plan(
            "broker",
            [str(binary), str(write_configuration(state))],
            log_of("broker", context.paths),
            environment_of(context.paths, context.environ),
            umask=0o077,  # what waits in the queues is nobody else's business
        )
        server = Child(plan)
        server.start()
        try:
            with context.console.status("Starting the broker …"):
                _wait_for_server(server, state, path, signals)
            write_broker(state, socket_url(path))
            yield server
        finally:
            ended([server], _END_SECONDS)
            remove_broker(state, pid=os.getpid())


@contextlib.contextmanager
def _only_one(state: Path, name: str) -> Iterator[None]:
    """Keeps a second `up` from the same state folder; freed by the system when this process ends in any way."""
    lock = filelock.FileLock(state / name)
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except filelock.Timeout:
        broker = read_broker(state)
        where = f" (process {broker.pid} on {broker.host})" if broker else ""
        raise JobError(
            f"`python -m jobs up` runs already{where}, with its state in {state}.",
            hint="Stop that one with Ctrl-C, or take another $FER_STATE_DIR; `python -m jobs doctor` looks at it.",
        ) from None
    except OSError as error:
        raise JobError(
            f"The folder {state} cannot be used: {error.strerror or error}.", hint="Set $FER_STATE_DIR to another one."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _wait_until_gone(path: Path) -> None:
    """The server of an `up` that was killed ends by itself: two on one folder would spoil its data."""
    deadline = time.monotonic() + _END_SECONDS
    while answers(path):
        if time.monotonic() > deadline:
            raise JobError(f"Another server listens on {path}.", hint="End it first.")
        time.sleep(0.1)


def _wait_for_server(server: Child, state: Path, path: Path, signals: list[int]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not answers(path):
        if signals:
            return
        if not server.is_running or time.monotonic() > deadline:
            said = server.look_after()
            raise JobError(
                f"The broker does not start: {said or 'it says nothing'}",
                hint=f"Its log is {server.plan.log}. What waits in {state / 'redis'} may be moved away: "
                "jobs that have not ended are sent again.",
            )
        time.sleep(0.1)
