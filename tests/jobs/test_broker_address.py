"""The broker's address is checked before anything else, and nothing of its password is ever repeated."""

import subprocess
import sys

import pytest

from fer_core.errors import ConfigError
from fer_core.job.broker_check import check_address, hidden_password
from tests.conftest import PROJECT
from tests.jobs.parts import asking
from tests.script import clean_environment

PLACE = "127.0.0.1:6399/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis:///1",
        "redis://host",
        "redis://host:6379/0",
        "redis://:p@ss:zqrd@host/0",
        "redis://user:pass word%23@host/0",
        "redis://:pässword@host",
        "rediss://user:p@[::1]:6379/0?ssl_cert_reqs=none&ssl_ca_certs=/etc/ca.pem",
        "redis+socket:///home/a@b/redis.sock?virtual_host=0",
        "redis+socket://:secret@/run/redis.sock",
        "redis+socket:///run/redis.sock?password=secret",
        "unix:///run/redis.sock?virtual_host=1",
    ],
)
def test_an_address_that_is_understood_passes(url):
    check_address(url)


@pytest.mark.parametrize(
    ("login", "named"),
    [
        (":zq#rd1x", ["%23 for '#'"]),
        (":zq/rd1x", ["%2F for '/'"]),
        (":zq[rd1x", ["%5B for '['"]),
        (":zq?rd1x", ["%3F for '?'"]),
        (":zq;rd1x", ["%3B for ';'"]),
        ("#zqrd1x", ["%23 for '#'"]),
        (":12/34", ["%2F for '/'"]),
        (":w@ss#w/rd%[1]:x", ["%23 for '#'", "%2F for '/'", "%5B for '['", "%5D for ']'"]),
    ],
)
def test_a_character_that_ends_a_password_is_named_with_how_to_write_it(login, named):
    with pytest.raises(ConfigError) as error:
        check_address(f"redis://{login}@{PLACE}")
    assert all(name in error.value.hint for name in named)
    said = f"{error.value} {error.value.hint}"
    assert not any(piece in said for piece in ("zq#", "zqrd", "rd1x", "12/", "34", "w@ss", "w/rd", PLACE))


@pytest.mark.parametrize(
    "url",
    [
        "redis://:zqrd1x",
        "redis://:zq\tr\nd1x@host",
        "redis://:zq／rd1x@host",  # Python takes it for a '/'
        "redis://:zqrd1x@:6379/0",
        "redis://host/zqrd1x",
        "redis://host:99999/0",
        "redis+socket://zqrd1x/redis.sock",
        "redis+socket://:zq/rd1x@/run/redis.sock",
        "redis+socket:///run/redis.sock?password=zq#rd1x",
        ":zqrd1x@host",
        "zqrd1x",
        "amqp://guest:zqrd1x@host//",
    ],
)
def test_what_cannot_be_understood_is_refused_without_being_repeated(url):
    with pytest.raises(ConfigError, match="broker's address") as error:
        check_address(url)
    assert error.value.hint and error.value.__cause__ is None
    assert not any(piece in f"{error.value} {error.value.hint}" for piece in ("zqrd1x", "rd1x", "guest", "zq"))


def test_what_stands_alone_before_the_host_may_be_a_password():
    assert hidden_password("redis://secret@host/0") == "redis://***@host/0"


@pytest.mark.parametrize("line", ["list", "submit train --recipe smoke --data sample", "cancel x", "up --workers 1"])
def test_every_command_checks_it_before_it_does_anything(paths, monkeypatch, capsys, line):
    ask = asking(paths, monkeypatch, capsys)
    monkeypatch.setenv("FER_BROKER_URL", f"redis://:zq#rd1x@{PLACE}")
    answer = ask(*line.split())
    assert answer.code == 2
    assert answer.err.splitlines()[1].startswith("Write %23 for '#' there")
    assert "zq" not in answer.err and not paths.models.exists()


@pytest.mark.parametrize(
    "command",
    [
        ("celery", "-A", "jobs", "call", "gc"),
        ("celery", "-A", "jobs", "worker"),
        ("celery", "-A", "jobs", "--broker", f"redis://:zq#rd1x@{PLACE}", "status"),
        ("fer_core.web", "--port", "0"),
        ("jobs", "doctor"),
    ],
    ids=" ".join,
)
def test_so_do_celery_the_doctor_and_the_web_page(paths, command):
    url = "redis://127.0.0.1:1/0" if "--broker" in command else f"redis://:zq#rd1x@{PLACE}"
    answer = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=PROJECT,
        env=clean_environment(paths, {"FER_BROKER_URL": url}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = answer.stdout + answer.stderr
    assert answer.returncode == (1 if "doctor" in command else 2)
    assert "%23 for '#'" in said and "rd1x" not in said and "Traceback" not in said
