"""Signals that ask the process to end: raised as an exception, and remembered.

An exception that a signal raises can come anywhere, also in a library that calls back from C or imports with a
fallback, where it is swallowed. TensorFlow does so in about one case of ten while it is imported or traces a step. So
whoever works for long asks now and then whether a signal has been.
"""

import contextlib
import signal
from collections.abc import Iterator

from fer_core.errors import Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Raised:
    """A handler that raises Interrupted and keeps the number of the first signal."""

    def __init__(self):
        self.number: int | None = None

    def __call__(self, number: int, frame: object) -> None:
        self.number = self.number or number
        raise Interrupted(number)


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Makes SIGTERM and SIGINT raise Interrupted inside, and puts back what they did before. Main thread only."""
    handler = _Raised()
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, other in before.items():
            signal.signal(number, other)


def check_interrupted() -> None:
    """Raises Interrupted if a signal has come within `signals_as_exceptions`, whether its exception arrived or not."""
    for handler in map(signal.getsignal, _SIGNALS):
        if isinstance(handler, _Raised) and handler.number is not None:
            raise Interrupted(handler.number)
