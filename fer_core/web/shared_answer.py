"""`SharedAnswer`: an answer that takes its time is asked for once, and all who want it get it."""

import threading
import time
from collections.abc import Callable
from typing import Any


class SharedAnswer:
    """So whoever asks often occupies no threads, which others need."""

    def __init__(self, ask: Callable[[], Any], *, fresh_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._ask, self._fresh_seconds, self._clock = ask, fresh_seconds, clock
        self._asking = threading.Lock()
        self._answer: Any = None
        self._until = 0.0

    def get(self) -> Any:
        """Returns the answer; an older one only while a newer one is asked for."""
        if not self._asking.acquire(blocking=self._answer is None):
            return self._answer
        try:
            if self._answer is None or self._clock() >= self._until:
                self._answer = self._ask()
                self._until = self._clock() + self._fresh_seconds
            return self._answer
        finally:
            self._asking.release()
