"""A broker that takes no jobs is named within seconds: real servers, each with something wrong."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from fer_core.errors import JobError
from fer_core.job.broker_check import PROBE_KEY, BrokerAwayError, check_broker
from jobs.machine import answers, client, find_server
from tests.conftest import PROJECT
from tests.jobs.conftest import wait_until
from tests.script import clean_environment


@pytest.fixture
def server() -> Iterator[Callable[..., Path]]:
    """Returns server(*settings), which starts a server with a socket of its own, and returns the socket."""
    try:
        program = find_server(os.environ)
    except JobError as error:
        pytest.skip(f"NOT TESTED: {error} {error.hint}")
    with contextlib.ExitStack() as at_the_end:

        def start(*settings: str) -> Path:
            folder = Path(at_the_end.enter_context(tempfile.TemporaryDirectory(prefix="fer-redis-")))
            own = folder / "data"
            own.mkdir()
            path = folder / "r.sock"
            command = [str(program), "--port", "0", "--unixsocket", str(path), "--dir", str(own), *settings]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
            at_the_end.callback(process.wait)
            at_the_end.callback(process.kill)
            wait_until(lambda: answers(path) or path.exists())
            return path

        yield start


def url_of(path: Path, login: str = "") -> str:
    return f"redis+socket://{login}{path}?virtual_host=0"


def paused(server: Callable[..., Path]) -> str:
    path = server("--save", "")
    with client(path) as asked:
        asked.client_pause(60_000, all=False)
    return url_of(path)


def replica(server: Callable[..., Path]) -> str:
    path = server("--save", "")
    with client(path) as asked:
        asked.replicaof("127.0.0.1", 1)
        asked.config_set("replica-serve-stale-data", "yes")
    return url_of(path)


def unable_to_save(server: Callable[..., Path]) -> str:
    path = server("--save", "3600 1")
    (path.parent / "data").rmdir()
    with client(path) as asked:
        asked.bgsave()
        wait_until(lambda: asked.info("persistence")["rdb_last_bgsave_status"] == "err")
    return url_of(path)


SICK = {
    "is paused": paused,
    "is a replica": replica,
    "MISCONF": unable_to_save,
    "min-replicas-to-write": lambda server: url_of(server("--save", "", "--min-replicas-to-write", "1")),
    "its memory .* is full": lambda server: url_of(server("--save", "", "--maxmemory", "100kb")),
    "refuses this user name or password": lambda server: url_of(server("--requirepass", "right"), ":wrong@"),
    "asks for a password": lambda server: url_of(server("--requirepass", "right")),
    "has no password, but one is given": lambda server: url_of(server("--save", ""), ":given@"),
    "cannot be reached": lambda server: url_of(Path("/nowhere/r.sock")),
}


@pytest.mark.parametrize("says", SICK)
def test_what_is_wrong_with_a_broker_is_named_within_seconds(server, says):
    url = SICK[says](server)
    began = time.monotonic()
    with pytest.raises(BrokerAwayError, match=says) as error:
        check_broker(url)
    assert time.monotonic() - began < 4
    assert error.value.hint
    assert not any(secret in str(error.value) for secret in ("wrong@", "right", "given@"))


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


def test_a_broker_that_says_nothing_is_named_within_seconds(silent):
    began = time.monotonic()
    with pytest.raises(BrokerAwayError, match="accepts connections, but has not answered"):
        check_broker(silent)
    assert time.monotonic() - began < 4


def test_one_that_takes_jobs_passes_and_keeps_nothing(server):
    path = server("--save", "", "--requirepass", "right#word")
    check_broker(url_of(path, ":right%23word@"))
    with Redis(unix_socket_path=str(path), password="right#word") as asked:
        wait_until(lambda: not asked.exists(PROBE_KEY), 5)


@pytest.mark.parametrize("command", ["jobs submit gc", "jobs doctor", "jobs up --workers 1", "celery -A jobs call gc"])
def test_commands_say_it_in_two_lines_and_no_traceback(paths, silent, command):
    answer = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=PROJECT,
        env=clean_environment(paths, {"FER_BROKER_URL": silent}),
        capture_output=True,
        text=True,
        timeout=30,
    )
    said = answer.stdout + answer.stderr
    assert "accepts connections, but has not answered" in said and "Traceback" not in said
    assert answer.returncode == (1 if "doctor" in command else 2)
    assert "doctor" in command or len(said.splitlines()) == 2
