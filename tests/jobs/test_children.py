"""Processes that are kept alive: when they are started again, and what is kept of what they said."""

import os
import signal
import sys

import pytest

from jobs.children import PAUSES, STEADY_SECONDS, Child, Plan, in_words, signals_noted, wait_until_ended
from tests.conftest import PROJECT
from tests.jobs.conftest import wait_until


class Time:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def make_child(tmp_path, clock):
    """Returns make_child(code), a child that runs Python code; it is killed at last."""
    children = []

    def make(code: str) -> Child:
        plan = Plan("it", [sys.executable, "-c", code], tmp_path / "logs" / "it.txt", environment())
        children.append(Child(plan, clock=clock))
        return children[-1]

    yield make
    for child in children:
        child.kill()
    assert wait_until_ended(children, 10)


def environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(PROJECT)}


def test_a_child_that_keeps_ending_is_started_again_after_longer_and_longer_pauses(make_child, clock):
    child = make_child("print('so be it'); raise SystemExit(3)")
    child.start()
    for pause in (*PAUSES, PAUSES[-1]):
        sentence = wait_until(child.look_after, 20)
        assert sentence == f"it has ended (exit code 3); it starts again in {pause:.0f} s. It said: so be it"
        clock.now += pause - 0.1
        assert child.look_after() is None and child.pid is None
        clock.now += 0.2
        assert child.look_after().startswith("it runs again (process ")
    assert child.restarts == len(PAUSES) + 1


def test_a_child_that_was_well_for_a_while_begins_anew_with_the_shortest_pause(make_child, clock):
    child = make_child("import time; time.sleep(100)")
    child.start()
    for _ in range(2):
        clock.now += STEADY_SECONDS
        child.kill()
        assert f"it starts again in {PAUSES[0]:.0f} s" in wait_until(child.look_after, 20)
        clock.now += PAUSES[0]
        assert "runs again" in child.look_after()


def test_a_child_is_asked_to_end_and_is_not_reached_by_ctrl_c(make_child):
    child = make_child("import time; time.sleep(100)")
    child.start()
    assert os.getsid(child.pid) == child.pid
    child.ask_to_end()
    assert wait_until_ended([child], 10)
    assert child.pid is None


def test_waiting_is_given_up_when_somebody_is_in_a_hurry(make_child):
    child = make_child("import time; time.sleep(100)")
    child.start()
    assert not wait_until_ended([child], 60, give_up=lambda: True)


def test_a_large_log_is_put_aside(make_child):
    child = make_child("print('new')")
    child.plan.log.parent.mkdir()
    with child.plan.log.open("wb") as file:
        file.truncate(30_000_000)
    child.start()
    assert wait_until_ended([child], 10)
    assert child.last_lines() == ["new"]
    assert child.plan.log.with_name("it.old.txt").stat().st_size == 30_000_000


def test_signals_are_noted_and_the_handlers_of_before_come_back():
    before = signal.getsignal(signal.SIGTERM)
    with signals_noted() as noted:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert noted == [signal.SIGTERM, signal.SIGINT]
    assert signal.getsignal(signal.SIGTERM) == before


def test_ends_are_told_in_words():
    assert [in_words(code) for code in (0, 2, -9, -250)] == [
        "exit code 0",
        "exit code 2",
        "killed by SIGKILL",
        "killed by signal 250",
    ]
