"""The process between `python -m jobs up` and its Redis server: it keeps the server alive for as long as it is needed.

    python -m jobs.keeper STATE BINARY PARENT_PID

It starts the server again when that dies. Where `up` itself was killed, it ends the server only when the workers have
handed their jobs on.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import filelock
import psutil

from fer_core.cli.exits import ended
from fer_core.errors import ArtifactError, JobError
from fer_core.store.files import read_json, write_atomically, write_json
from jobs.children import PAUSES, STEADY_SECONDS, in_words, signals_noted, told_of_death
from jobs.owner import seconds_started
from jobs.server import answers, client, remove_broker, socket_path

GRACE_SECONDS = 60.0
"""So long a server outlives an `up` that was killed, while somebody is connected."""

_EARLIER_SECONDS = GRACE_SECONDS + 15.0
_END_SECONDS = 15.0


def keeper_command(state: Path, binary: Path) -> list[str]:
    """Returns the command of a keeper, for a child of this process."""
    return [sys.executable, "-m", "jobs.keeper", str(state), str(binary), str(os.getpid())]


def keeper_at_work(state: Path) -> int | None:
    """Returns the process number of the keeper whose server was started last in this folder; None if there is none."""
    try:
        return int(read_json(_record(state), "server's process number")["keeper"])
    except (ArtifactError, KeyError, TypeError, ValueError):
        return None


def main(state: Path, binary: Path, parent: int) -> None:
    """Keeps the server until SIGTERM, or until it is of no more use. Raises JobError where another one runs there."""
    with signals_noted() as signals:
        os.umask(0o077)  # what waits in the queues is nobody else's business
        _record(state).parent.mkdir(parents=True, exist_ok=True)
        lock = _locked(state, signals)
        try:
            _end_left_over(_record(state))
            Keeper(state, binary, parent, signals).run()
        finally:
            lock.release()
    if os.getppid() != parent:
        remove_broker(state, pid=parent)


def _locked(state: Path, signals: list[int]) -> filelock.BaseFileLock:
    """Waits for an earlier keeper, which may still be in its grace."""
    lock = filelock.FileLock(state / ".server.lock")
    deadline = time.monotonic() + _EARLIER_SECONDS
    while True:
        try:
            lock.acquire(timeout=0.5)
            return lock
        except filelock.Timeout:
            if signals or time.monotonic() > deadline:
                raise JobError(f"Another server runs on {_record(state).parent}.", hint="End it first.") from None


class Keeper:
    """Keeps one server alive."""

    def __init__(self, state: Path, binary: Path, parent: int, signals: list[int]):
        self._state, self._binary, self._parent, self._signals = state, binary, parent, signals
        self._socket = socket_path(state)
        self._orphaned: float | None = None
        self._ends_in_a_row = 0
        self._was_well = False

    def run(self) -> None:
        """Returns when the server is of no more use and has ended. Raises JobError if it cannot even be started."""
        while not self._is_over(has_server=False):
            began = time.monotonic()
            server = self._start()
            self._watch(server)
            if not self._is_over(has_server=False):
                self._check_was_well(server.returncode)
                self._pause(server.returncode, lived=time.monotonic() - began)
        _record(self._state).unlink(missing_ok=True)

    def _watch(self, server: subprocess.Popen) -> None:
        """Returns when the server has ended, which happens here where it is of no more use."""
        while server.poll() is None:
            if self._is_over(has_server=True):
                _end(server)
                return
            self._was_well = self._was_well or answers(self._socket)
            time.sleep(0.2)

    def _start(self) -> subprocess.Popen:
        command = told_of_death([self._binary, self._configuration()])
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        about = {"pid": server.pid, "started": seconds_started(server.pid), "keeper": os.getpid()}
        write_json(_record(self._state), about)
        return server

    def _check_was_well(self, code: int) -> None:
        if not self._was_well:
            raise JobError(
                f"{self._binary} ends as soon as it is started ({in_words(code)}).", hint="Its own words are above."
            )

    def _pause(self, code: int, *, lived: float) -> None:
        self._ends_in_a_row = 1 if lived > STEADY_SECONDS else self._ends_in_a_row + 1
        seconds = PAUSES[min(self._ends_in_a_row, len(PAUSES)) - 1]
        print(f"The server has ended ({in_words(code)}); it starts again in {seconds:.0f} s.", flush=True)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._is_over(has_server=False):
            time.sleep(0.1)

    def _is_over(self, *, has_server: bool) -> bool:
        """Whether it was told to end; or `up` is dead, and nobody is connected any more or the grace is over."""
        if self._signals:
            return True
        if os.getppid() == self._parent:
            return False
        self._orphaned = self._orphaned or time.monotonic()
        return not has_server or time.monotonic() - self._orphaned > GRACE_SECONDS or self._has_no_clients()

    def _has_no_clients(self) -> bool:
        from redis import RedisError

        try:
            with client(self._socket) as server:
                return server.info("clients")["connected_clients"] <= 1
        except RedisError:
            return False

    def _configuration(self) -> Path:
        """Writes the server's settings into a file: on a command line, an empty `save` means other things."""
        settings = {
            "port": 0,
            "unixsocket": _quoted(self._socket),
            "unixsocketperm": 700,
            "dir": _quoted(_record(self._state).parent),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "save": '""',
            "daemonize": "no",
            "logfile": '""',
        }
        path = _record(self._state).with_name("server.conf")
        write_atomically(path, "".join(f"{name} {value}\n" for name, value in settings.items()))
        return path


def _record(state: Path) -> Path:
    return state.resolve() / "redis" / "server.json"


def _quoted(path: Path) -> str:
    """Returns a path as the server's configuration takes it: as JSON does, with what is not ASCII as it is."""
    return json.dumps(str(path), ensure_ascii=False)


def _end(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _end_left_over(record: Path) -> None:
    """Ends the server of a keeper that was killed: two servers on one folder would spoil its data."""
    try:
        about = read_json(record, "server's process number")
        if seconds_started(about["pid"]) != about["started"]:
            return
        process = psutil.Process(about["pid"])
        process.terminate()
        _, alive = psutil.wait_procs([process], timeout=_END_SECONDS)
        for left in alive:
            left.kill()
            left.wait(_END_SECONDS)
    except (ArtifactError, KeyError, TypeError, psutil.Error):
        return


if __name__ == "__main__":
    sys.exit(ended(lambda: main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
