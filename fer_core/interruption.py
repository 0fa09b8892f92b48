"""Signals that ask the process to end: an exception where that is safe, and remembered until it has had its effect.

Python raises such an exception wherever it happens to be. In TensorFlow that is often a callback from C++, which
swallows it or aborts the process. So while Keras is at work, signals wait until somebody asks, between two steps.
"""

import contextlib
import signal
from collections.abc import Iterator

from fer_core.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Handler:
    """Raises Interrupted, or waits until it is asked for; keeps the number of the first signal."""

    def __init__(self):
        self.number: int | None = None
        self.waits = False

    def __call__(self, number: int, frame: object) -> None:
        is_first = self.number is None
        self.number = self.number or number
        # Whoever presses Ctrl-C twice does not want to wait.
        if not self.waits or (number == signal.SIGINT and not is_first):
            raise Interrupted(number)


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Makes SIGTERM and SIGINT raise Interrupted inside, and puts back what they did before. Main thread only."""
    handler = _Handler()
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, other in before.items():
            signal.signal(number, other)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Makes SIGTERM and SIGINT wait for `check_interrupted`, at the latest at the end; a second Ctrl-C does not.

    Raises Interrupted. Without `signals_as_exceptions` around it, it does nothing.
    """
    handlers = _installed()
    for handler in handlers:
        handler.waits = True
    try:
        yield
    finally:
        for handler in handlers:
            handler.waits = False
    check_interrupted()


def check_interrupted() -> None:
    """Raises Interrupted if a signal has come within `signals_as_exceptions`, whether its exception arrived or not."""
    for handler in _installed():
        if handler.number is not None:
            raise Interrupted(handler.number)


def _installed() -> list[_Handler]:
    return [handler for handler in map(signal.getsignal, _SIGNALS) if isinstance(handler, _Handler)]
