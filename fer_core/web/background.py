"""Work that takes seconds, each in a thread of its own: pages ask how far it is, and what came of it is kept."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fer_core.errors import FerError

MOST_AT_ONCE = 2
RETRY_SECONDS = 5.0
MOST_KEPT = 6
"""Results that are kept; the one that was asked for least recently is forgotten."""

log = logging.getLogger(__name__)


@dataclass
class Work:
    """How far something is. `result` where it is done, a sentence in `problem` where it could not be."""

    stamp: object
    """What it is made from: work with another one is done anew."""
    is_done: bool = False
    progress: str = "waiting for what was asked for before"
    result: Any = None
    problem: str = ""
    hint: str = ""
    ended: float = 0.0
    """By the monotonic clock."""


class Background:
    """Does each piece of work once."""

    def __init__(self) -> None:
        self._works: OrderedDict[str, Work] = OrderedDict()
        self._changing = threading.Lock()
        self._may_begin = threading.Semaphore(MOST_AT_ONCE)

    def get(self, key: str, do: Callable[[Callable[[str], None]], Any], *, stamp: object = None) -> Work:
        """Returns the work of that key, which begins if it has not, or if it was made from something else.

        Args:
            do: called with a function that takes progress messages; returns the result, or raises FerError.
        """
        with self._changing:
            work = self._works.get(key)
            # What hindered it may be mended by now.
            is_old = work is not None and bool(work.problem) and time.monotonic() - work.ended > RETRY_SECONDS
            if work is None or (work.is_done and (is_old or work.stamp != stamp)):
                work = self._works[key] = Work(stamp)
                threading.Thread(target=self._run, args=(work, do), name=f"data {key}", daemon=True).start()
            self._works.move_to_end(key)
            done = [name for name, one in self._works.items() if one.is_done]
            for old in done[: max(0, len(self._works) - MOST_KEPT)]:
                del self._works[old]
        return work

    def forget(self, key: str) -> None:
        """Has work be done anew when it is asked for next, unless it is still being done."""
        with self._changing:
            if key in self._works and self._works[key].is_done:
                del self._works[key]

    def look(self, key: str) -> Work | None:
        """Returns the work of that key, None if nobody has asked for it yet; begins nothing."""
        return self._works.get(key)

    def _run(self, work: Work, do: Callable[[Callable[[str], None]], Any]) -> None:
        with self._may_begin:
            work.progress = "beginning"
            try:
                work.result = do(lambda text: setattr(work, "progress", text))
            except FerError as error:
                work.problem, work.hint = str(error), error.hint
            except Exception:
                log.exception("%s failed.", threading.current_thread().name)
                work.problem, work.hint = "This could not be read.", "The server's output has the reason."
        work.ended = time.monotonic()
        work.is_done = True
