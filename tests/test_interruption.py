"""Signals that ask for the end: heard also where a library swallows the exception that they raise."""

import contextlib
import os
import signal

import pytest

from fer_core.errors import Interrupted, check_interrupted, signals_as_exceptions, signals_wait


def swallowed(number: int) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_whose_exception_was_swallowed_is_raised_again_when_asked(number):
    with signals_as_exceptions():
        check_interrupted()
        swallowed(number)
        with pytest.raises(Interrupted) as error:
            check_interrupted()
    assert error.value.signal_number == number


def test_the_first_signal_counts():
    with signals_as_exceptions():
        swallowed(signal.SIGTERM)
        swallowed(signal.SIGINT)
        with pytest.raises(Interrupted, match=f"signal {signal.SIGTERM}"):
            check_interrupted()


def test_outside_nothing_is_remembered_and_signals_do_what_they_did():
    before = signal.getsignal(signal.SIGTERM)
    with signals_as_exceptions():
        swallowed(signal.SIGTERM)
    check_interrupted()
    assert signal.getsignal(signal.SIGTERM) == before
    with signals_as_exceptions():
        check_interrupted()


def test_a_signal_waits_until_it_is_asked_for_and_only_a_second_ctrl_c_does_not():
    done = []
    with signals_as_exceptions(), pytest.raises(Interrupted) as error, signals_wait():
        for number in (signal.SIGTERM, signal.SIGTERM):
            os.kill(os.getpid(), number)
            done.append(number)
        os.kill(os.getpid(), signal.SIGINT)
        done.append(signal.SIGINT)
    assert done == [signal.SIGTERM, signal.SIGTERM]
    assert error.value.signal_number == signal.SIGINT


def test_a_signal_that_nobody_asked_for_is_raised_where_the_waiting_ends():
    with signals_as_exceptions(), pytest.raises(Interrupted):
        with signals_wait():
            os.kill(os.getpid(), signal.SIGTERM)
            done = True
        done = False
    assert done


def test_what_fails_while_a_signal_waits_keeps_its_own_error():
    with signals_as_exceptions(), pytest.raises(ZeroDivisionError), signals_wait():
        os.kill(os.getpid(), signal.SIGTERM)
        1 / 0  # noqa: B018


def test_without_a_door_nothing_waits():
    before = signal.getsignal(signal.SIGTERM)
    with signals_wait():
        assert signal.getsignal(signal.SIGTERM) == before
