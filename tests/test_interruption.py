"""Signals that ask for the end: heard also where a library swallows the exception that they raise."""

import contextlib
import os
import signal

import pytest

from fer_core.errors import Interrupted
from fer_core.interruption import check_interrupted, signals_as_exceptions


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
