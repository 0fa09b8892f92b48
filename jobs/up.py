"""`python -m jobs up`: everything on this machine, as processes of its own: broker, workers, scheduler.

Each is started again when it dies. At the end workers go first, since they hand their jobs on through the broker.
"""

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import filelock
from tyro.conf import arg

from fer_core.errors import JobError
from fer_core.resources import core_numbers
from jobs.children import Child, Plan, signals_noted, wait_until_ended
from jobs.commands.desk import Desk
from jobs.keeper import keeper_at_work, keeper_command
from jobs.machine import beat_plan, environment_of, gpus, log_of, planned_workers, worker_plan
from jobs.server import answers, find_server, read_broker, remove_broker, socket_path, write_broker
from jobs.settings import socket_url
from jobs.up_display import UpDisplay

START_SECONDS = 120.0
"""An earlier server may be in its grace, and a large append-only file takes a while to read."""
HAND_OVER_SECONDS = 75.0
"""A training has 45 s for its checkpoint, and then its job is handed on."""

_END_SECONDS = 20.0
_STOPPING = "Stopping: running jobs are handed on, from their last finished epoch. Ctrl-C again does not wait for that."


def up(
    desk: Desk,
    *,
    join: Annotated[str | None, arg(metavar="URL")] = None,
    workers: Annotated[int | None, arg(metavar="N")] = None,
) -> None:
    """Run everything on this machine: broker, one worker per GPU (or one), scheduler. Ctrl-C stops all of it.

    Args:
        join: Only workers, for the broker there. $FER_BROKER_URL does the same, and shows no password in `ps`.
        workers: So many. Default: one per GPU, or one.
    """
    planned = planned_workers(gpus(desk.environ), core_numbers(), wanted=workers)
    url = join or desk.environ.get("FER_BROKER_URL")
    with signals_noted() as signals, contextlib.ExitStack() as at_the_end:
        server = [at_the_end.enter_context(_own_server(desk, signals))] if url is None else []
        if url is not None:
            at_the_end.enter_context(_only_one(desk.paths.state, f".join-{socket.gethostname()}.lock"))
            _check_reachable(desk, url)
        url = url or socket_url(socket_path(desk.paths.state, desk.environ))
        environment = environment_of(desk.paths, desk.environ, url)
        mark = "" if server else f"-{os.getpid()}"
        plans = [worker_plan(worker, desk.paths, environment, mark=mark) for worker in planned]
        beats = [beat_plan(desk.paths, environment)] if server else []
        if not signals:
            _Everything(desk, server, list(map(Child, plans)), list(map(Child, beats)), signals).run(url)


class _Everything:
    """The processes, looked after until a signal asks to end."""

    def __init__(self, desk: Desk, server: list[Child], workers: list[Child], beats: list[Child], signals: list[int]):
        self._server, self._workers, self._beats, self._signals = server, workers, beats, signals
        self._display = UpDisplay(desk, [*server, *workers, *beats])

    def run(self, url: str) -> None:
        with self._display as display:
            try:
                display.begin(url)
                for child in (*self._workers, *self._beats):
                    child.start()
                    display.say(f"{child.plan.name} is process {child.pid}, its log {child.plan.log}")
                while not self._signals:
                    self._look_around()
                    time.sleep(0.2)
                display.say(_STOPPING)
            finally:
                self._stop(self._workers, HAND_OVER_SECONDS)
                self._stop(self._beats, _END_SECONDS)
            display.say("All of it has ended.")

    def _look_around(self) -> None:
        for child in (*self._server, *self._workers, *self._beats):
            sentence = child.look_after()
            if sentence:
                self._display.say(sentence)
        self._display.refresh()

    def _stop(self, children: list[Child], seconds: float) -> None:
        for child in children:
            child.ask_to_end()
        if not wait_until_ended(children, seconds, give_up=lambda: len(self._signals) > 1):
            for child in children:
                child.kill()
            wait_until_ended(children, _END_SECONDS)


@contextlib.contextmanager
def _own_server(desk: Desk, signals: list[int]) -> Iterator[Child]:
    """Yields the keeper of a server that takes commands, and ends both at last."""
    state = desk.paths.state
    binary, path = find_server(desk.environ), socket_path(state, desk.environ)
    with _only_one(state, ".up.lock"):
        environment = environment_of(desk.paths, desk.environ)
        command = keeper_command(state.resolve(), binary)
        keeper = Child(Plan("broker", command, log_of("broker", desk.paths), environment, is_told=False))
        keeper.start()
        try:
            with desk.console.status("Starting the broker …"):
                _wait_for_server(keeper, state, path, signals)
            write_broker(state, socket_url(path))
            yield keeper
        finally:
            keeper.ask_to_end()
            if not wait_until_ended([keeper], _END_SECONDS):
                keeper.kill()
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


def _wait_for_server(keeper: Child, state: Path, path: Path, signals: list[int]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not (keeper_at_work(state) == keeper.pid and answers(path)):
        if signals:
            return
        if not keeper.is_running or time.monotonic() > deadline:
            raise JobError(
                f"The broker does not start: {' | '.join(keeper.last_lines(3)) or 'it says nothing'}",
                hint=f"Its log is {keeper.plan.log}. What waits in {state / 'redis'} may be moved away: "
                "jobs that have not ended are sent again.",
            )
        time.sleep(0.1)


def _check_reachable(desk: Desk, url: str) -> None:
    """Raises JobError if there is no broker at this address."""
    from jobs.commands.broker import check_reachable

    check_reachable(desk, url)
