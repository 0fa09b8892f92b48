"""`StopFlag`: how a worker that is asked to end tells those of its processes that carry out jobs.

Celery's warm shutdown waits until every task has ended, however long that takes. So the tasks have to hear of it.
"""

import mmap
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopFlag:
    """One byte of memory that a worker's main process sets and its pool children, forked later, see."""

    def __init__(self) -> None:
        self._byte = mmap.mmap(-1, 1)
        self._main = os.getpid()
        self._is_terminated = False

    def ask(self, **_: Any) -> None:
        """Asks all that are carried out by this worker to be handed on. Also a receiver of Celery's signals."""
        self._byte[0] = 1

    def is_asked(self) -> bool:
        """Returns whether what this process carries out is to be handed on."""
        return self._is_terminated or self._byte[0] == 1

    @contextmanager
    def heeding_sigterm(self) -> Iterator[None]:
        """While this lasts, a SIGTERM to this pool child alone asks for the same, where it would end it on the spot.

        It comes from a cold shutdown (SIGQUIT), or from a service manager that signals every process of a service.
        """
        is_child = os.getpid() != self._main and threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, self._terminate) if is_child else None
        try:
            yield
        finally:
            self._is_terminated = False
            if before is not None:
                signal.signal(signal.SIGTERM, before)

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        self._is_terminated = True
