"""The broker: its address is checked first, its password never repeated; what is wrong with it is named in seconds."""

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

from fer_core.errors import ConfigError
from fer_core.job.broker import PROBE_KEY, BrokerAwayError, broker_url, check_broker, client
from fer_core.job.broker_address import check_address, hidden_password
from jobs.machine import find_server
from tests.conftest import PROJECT
from tests.jobs.conftest import wait_until
from tests.jobs.parts import asking
from tests.script import Answer, clean_environment

PLACE = "127.0.0.1:6399/0"


UNDERSTOOD = """
redis://
redis:///1
redis://host
redis://host:6379/0
redis://:p@ss:zqrd@host/0
redis://user:pass word%23@host/0
redis://:pässword@host
rediss://user:p@[::1]:6379/0?ssl_cert_reqs=none&ssl_ca_certs=/etc/ca.pem
redis+socket:///home/a@b/redis.sock?virtual_host=0
redis+socket://:secret@/run/redis.sock
redis+socket:///run/redis.sock?password=secret
unix:///run/redis.sock?virtual_host=1
"""
NOT_UNDERSTOOD = """
redis://:zqrd1x
redis://:zq／rd1x@host
redis://:zqrd1x@:6379/0
redis://host/zqrd1x
redis://host:99999/0
redis+socket://zqrd1x/redis.sock
redis+socket://:zq/rd1x@/run/redis.sock
redis+socket:///run/redis.sock?password=zq#rd1x
:zqrd1x@host
zqrd1x
amqp://guest:zqrd1x@host//
"""


@pytest.mark.parametrize("url", UNDERSTOOD.strip().splitlines())
def test_an_address_that_is_understood_passes(url):
    check_address(url)


@pytest.mark.parametrize(
    ("login", "named"),
    [
        (":zq#rd1x", "%23 for '#'"),
        (":zq/rd1x", "%2F for '/'"),
        (":zq[rd1x", "%5B for '['"),
        (":zq?rd1x", "%3F for '?'"),
        (":zq;rd1x", "%3B for ';'"),
        (":12/34", "%2F for '/'"),
        (":w@ss#w/rd%[1]:x", "%23 for '#' and %2F for '/' and %5B for '[' and %5D for ']'"),
    ],
)
def test_a_character_that_ends_a_password_is_named_with_how_to_write_it(login, named):
    with pytest.raises(ConfigError) as error:
        check_address(f"redis://{login}@{PLACE}")
    assert named in error.value.hint
    said = f"{error.value} {error.value.hint}"
    assert not any(piece in said for piece in ("zq", "rd1x", "12/", "34", "w@ss", "w/rd", PLACE))


@pytest.mark.parametrize("url", [*NOT_UNDERSTOOD.strip().splitlines(), "redis://:zq\tr\nd1x@host"])
def test_what_cannot_be_understood_is_refused_without_being_repeated(url):
    with pytest.raises(ConfigError, match="broker's address") as error:
        check_address(url)
    assert error.value.hint and error.value.__cause__ is None
    assert not any(piece in f"{error.value} {error.value.hint}" for piece in ("zqrd1x", "rd1x", "guest", "zq"))


def test_the_address_of_the_broker_is_as_celery_takes_it_and_is_shown_without_its_password(paths):
    assert broker_url({"FER_BROKER_URL": "redis://h:1/0"}, paths) == "redis://h:1/0"
    assert broker_url({"FER_BROKER_URL": "unix:///s"}, paths) == "redis+socket:///s"
    assert broker_url({"FER_BROKER_URL": "rediss://h/0"}, paths).endswith("?ssl_cert_reqs=required")
    assert broker_url({}, paths).startswith("redis+socket:///")
    assert hidden_password("redis://u:secret@h:1/0") == "redis://u:***@h:1/0"
    assert hidden_password("redis://secret@host/0") == "redis://***@host/0"
    url = "redis+socket:///s?password={}&virtual_host=0"
    assert hidden_password(url.format("secret")) == url.format("***")


@pytest.mark.parametrize("line", ["list", "submit train --recipe smoke --data sample", "cancel x", "up --workers 1"])
def test_every_command_checks_it_before_it_does_anything(paths, monkeypatch, capsys, line):
    ask = asking(paths, monkeypatch, capsys)
    monkeypatch.setenv("FER_BROKER_URL", f"redis://:zq#rd1x@{PLACE}")
    answer = ask(*line.split())
    assert answer.code == 2 and answer.hint.startswith("Write %23 for '#' there")
    assert "zq" not in answer.err and not paths.models.exists()


@pytest.fixture
def run(paths, monkeypatch, capsys) -> Callable[..., Answer]:
    """Returns run(command, url), which runs a program of ours with this broker: Celery's as a process of its own."""

    def run(command: str, url: str) -> Answer:
        program, *arguments = command.split()
        if program == "jobs":
            ask = asking(paths, monkeypatch, capsys, without=())
            monkeypatch.setenv("FER_BROKER_URL", url)
            return ask(*arguments)
        environment = clean_environment(paths, {"FER_BROKER_URL": url})
        pipes = {"capture_output": True, "text": True, "timeout": 60}
        child = subprocess.run([sys.executable, "-m", program, *arguments], cwd=PROJECT, env=environment, **pipes)
        return Answer(child.returncode, child.stdout, child.stderr)

    return run


@pytest.mark.parametrize(
    "command",
    [
        "celery -A jobs worker",
        f"celery -A jobs --broker redis://:zq#rd1x@{PLACE} status",
        "fer_core.web --port 0",
        "jobs doctor",
    ],
)
def test_so_do_celery_the_doctor_and_the_web_page(run, command):
    answer = run(command, "redis://127.0.0.1:1/0" if "--broker" in command else f"redis://:zq#rd1x@{PLACE}")
    said = answer.out + answer.err
    assert answer.code == (1 if "doctor" in command else 2)
    assert "%23 for '#'" in said and "rd1x" not in said and "Traceback" not in said


def is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(path)) == 0


@pytest.fixture
def server(redis_server) -> Iterator[Callable[..., Path]]:
    """Returns server(*settings), which starts a server with a socket of its own, and returns the socket."""
    with contextlib.ExitStack() as at_the_end:

        def start(*settings: str) -> Path:
            folder = Path(at_the_end.enter_context(tempfile.TemporaryDirectory(prefix="fer-redis-")))
            path, own = folder / "r.sock", folder / "data"
            own.mkdir()
            command = [str(find_server(os.environ)), "--port", "0", "--unixsocket", str(path), "--dir", str(own)]
            process = subprocess.Popen([*command, "--save", "", *settings], stdout=subprocess.DEVNULL)
            at_the_end.callback(process.wait)
            at_the_end.callback(process.kill)
            wait_until(lambda: is_listening(path))
            return path

        yield start


def url_of(path: Path, login: str = "") -> str:
    return f"redis+socket://{login}{path}?virtual_host=0"


def paused(server: Callable[..., Path]) -> str:
    path = server()
    with client(url_of(path)) as asked:
        asked.client_pause(60_000, all=False)
    return url_of(path)


def replica(server: Callable[..., Path]) -> str:
    path = server()
    with client(url_of(path)) as asked:
        asked.replicaof("127.0.0.1", 1)
        asked.config_set("replica-serve-stale-data", "yes")
    return url_of(path)


def unable_to_save(server: Callable[..., Path]) -> str:
    path = server("--save", "3600 1")
    (path.parent / "data").rmdir()
    with client(url_of(path)) as asked:
        asked.bgsave()
        wait_until(lambda: asked.info("persistence")["rdb_last_bgsave_status"] == "err")
    return url_of(path)


SICK = {
    "is paused": paused,
    "is a replica": replica,
    "MISCONF": unable_to_save,
    "min-replicas-to-write": lambda server: url_of(server("--min-replicas-to-write", "1")),
    "its memory .* is full": lambda server: url_of(server("--maxmemory", "100kb")),
    "refuses this user name or password": lambda server: url_of(server("--requirepass", "right"), ":wrong@"),
    "asks for a password": lambda server: url_of(server("--requirepass", "right")),
    "has no password, but one is given": lambda server: url_of(server(), ":given@"),
    "cannot be reached": lambda server: url_of(Path("/nowhere/r.sock")),
    r"cannot be reached .*ROOM": lambda server: url_of(Path("/nowhere/ROOM/r.sock")),  # not OOM
    "Invalid value for 'db'": lambda server: url_of(server()).replace("=0", "=zero"),
    "unexpected keyword": lambda server: f"redis://{PLACE}?ssl_cert_reqs=required",
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


def test_one_that_takes_jobs_passes_and_keeps_nothing(server):
    path = server("--requirepass", "right#word")
    check_broker(url_of(path, ":right%23word@"))
    with Redis(unix_socket_path=str(path), password="right#word") as asked:
        wait_until(lambda: not asked.exists(PROBE_KEY), 5)


@pytest.mark.parametrize("command", ["jobs submit gc", "jobs doctor", "jobs up --workers 1", "celery -A jobs call gc"])
def test_commands_say_in_two_lines_within_seconds_that_a_broker_says_nothing(run, command):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answer = run(command, f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
    said = answer.out + answer.err
    assert "accepts connections, but has not answered for 1 s" in said and "Traceback" not in said
    assert answer.code == (1 if "doctor" in command else 2)
    assert "doctor" in command or len(said.splitlines()) == 2
