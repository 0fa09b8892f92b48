"""How frames come out of a thread of their own: every one of them, or always the newest.

Does not know what they are read from.
"""

import atexit
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np

from fer_core.errors import SourceError
from fer_core.live.frame import Frame
from fer_core.store.clock import Clock, utc_now

FRAMES_AHEAD = 1
"""The next frame is decoded while this one is read and drawn; more would only make the picture older."""

ANSWER_SECONDS = 4.0
"""After so long without an answer a camera or stream counts as gone."""

MOST_NOTED = 1000
"""So many damaged frames are named; a list that grows for days would fill the memory."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_SILENCE_SECONDS = 2.0
_CLOSE_SECONDS = 0.5

Wait = Callable[[threading.Event, float], bool]
"""Waits until the event is set or the seconds are over, and returns whether it is set."""


class Pictures(Protocol):
    """What is read by `NewestFrame`: a camera, a video, or a double of them."""

    passed_over: int

    def read(self) -> np.ndarray | None:
        """Returns the next picture, or None when it is over."""

    def release(self) -> None:
        """Gives the device or connection back."""


class EveryFrame:
    """A source of which every frame counts; a thread decodes at most `FRAMES_AHEAD` of them ahead."""

    is_live = False
    message = ""
    dropped = 0

    def __init__(
        self,
        title: str,
        first: Frame,
        rest: Generator[Frame, None, None],
        *,
        rate: float | None,
        skipped: list[str],
        is_still: bool = False,
    ):
        """`rest` may go on appending to `skipped` what it could not read."""
        self.title, self.rate, self.skipped, self.is_still = title, rate, skipped, is_still
        self.size = (first.picture_bgr.shape[1], first.picture_bgr.shape[0])
        self.ended = False
        self._rest = rest
        self._decoder = ThreadPoolExecutor(1, thread_name_prefix="decode")
        self._ahead: deque[Future[Frame | None]] = deque([_done(first)])
        self._decode_ahead()

    def read(self, timeout: float) -> Frame | None:
        """Returns the next frame; None if there is none within `timeout` seconds, or after the last."""
        if self.ended:
            return None
        try:
            frame = self._ahead[0].result(timeout)
        except TimeoutError:
            return None
        self._ahead.popleft()
        self.ended = frame is None
        self._decode_ahead()
        return frame

    def close(self) -> None:
        """Ends the thread and closes the file. May be called again."""
        self.ended = True
        self._decoder.shutdown(cancel_futures=True)
        self._rest.close()

    def _decode_ahead(self) -> None:
        while len(self._ahead) < FRAMES_AHEAD and not self.ended:
            self._ahead.append(self._decoder.submit(next, self._rest, None))


class NewestFrame:
    """A camera or stream: a thread reads without pause and keeps the newest frame; older ones are dropped.

    Where it breaks off it is opened again, after pauses that grow from 0.5 to 10 seconds; `message` says so meanwhile.
    """

    is_live = True
    is_still = False
    rate = None

    def __init__(
        self,
        title: str,
        connected: Pictures,
        connect: Callable[[], Pictures | None],
        *,
        noun: str = "stream",
        clock: Callable[[], float] = time.monotonic,
        now: Clock = utc_now,
        wait: Wait = threading.Event.wait,
        answer_seconds: float = ANSWER_SECONDS,
    ):
        """`connected` is read first; `connect` opens it again, if it can. Neither takes more than `answer_seconds`.

        Raises SourceError if no picture comes in that time.
        """
        self.title, self._noun, self._answer_seconds = title, noun, answer_seconds
        self.dropped = 0
        self.skipped: list[str] = []
        self._connected, self._connect = connected, connect
        self._clock, self._now, self._wait = clock, now, wait
        self._newest: Frame | None = None
        self._news = threading.Condition()
        self._stop = threading.Event()
        self._number = -1
        self._first_at = self._last_at = clock()
        self._retry_at: float | None = None
        # A daemon: a call into a driver or a network that hangs cannot be broken off, and must not keep the process.
        self._thread = threading.Thread(target=self._run, name=f"read {noun}", daemon=True)
        self._thread.start()
        self.size = self._first_size()

    @property
    def ended(self) -> bool:
        """Whether it was closed; a live source does not end by itself."""
        return self._stop.is_set() or not self._thread.is_alive()

    @property
    def message(self) -> str:
        """What to tell while no frames come: that it is gone, and when it is tried again."""
        now, retry_at = self._clock(), self._retry_at
        if retry_at is not None:
            left = math.ceil(retry_at - now)
            return f"The {self._noun} is gone, trying again {f'in {left} s' if left > 0 else 'now'}."
        silent = now - self._last_at
        return f"No picture from the {self._noun} for {silent:.0f} s." if silent > _SILENCE_SECONDS else ""

    def read(self, timeout: float) -> Frame | None:
        """Returns the newest frame that was not returned yet; None if none comes within `timeout` seconds."""
        with self._news:
            self._news.wait_for(lambda: self._newest or self.ended, timeout)
            frame, self._newest = self._newest, None
        return None if self.ended else frame

    def close(self) -> None:
        """Ends the reading at once. May be called again."""
        self._stop.set()
        with self._news:
            self._news.notify_all()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            # It hangs in a library until its time limit. Python aborts if that call returns while the process ends.
            atexit.register(self._thread.join, self._answer_seconds + 1)

    def _first_size(self) -> tuple[int, int]:
        with self._news:
            self._news.wait_for(lambda: self._newest or self.ended or self._retry_at is not None, self._answer_seconds)
            frame = self._newest
        if frame is None:
            self.close()
            raise SourceError(
                f"The {self._noun} {self.title} opens, but sends no picture.",
                hint="Another program may be using it: close that, or unplug and plug it in again.",
            )
        return frame.picture_bgr.shape[1], frame.picture_bgr.shape[0]

    def _run(self) -> None:
        pictures: Pictures | None = self._connected
        failures = 0
        while not self._stop.is_set():
            before = self._number
            if pictures is not None:
                self._read_until_gone(pictures)
            failures = 1 if self._number > before else failures + 1
            pictures = None if self._paused(failures) else self._connect_again()

    def _read_until_gone(self, pictures: Pictures) -> None:
        try:
            while not self._stop.is_set():
                picture_bgr = pictures.read()
                if picture_bgr is None:
                    return
                self._keep(picture_bgr, pictures.passed_over)
        finally:
            pictures.release()

    def _keep(self, picture_bgr: np.ndarray, passed_over: int) -> None:
        at = self._clock()
        if self._number < 0:
            self._first_at = at
        self._number += 1 + passed_over
        if passed_over and len(self.skipped) < MOST_NOTED:
            self.skipped.append(f"{passed_over} before frame {self._number} ({at - self._first_at:.2f} s): damaged")
        frame = Frame(picture_bgr, self._number, at - self._first_at, self._now(), at)
        with self._news:
            self.dropped += self._newest is not None
            self._newest, self._last_at, self._retry_at = frame, at, None
            self._news.notify_all()

    def _paused(self, failures: int) -> bool:
        """Waits longer after every failure, and returns whether it was closed meanwhile."""
        seconds = min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)
        with self._news:
            self._retry_at = self._clock() + seconds
            self._news.notify_all()
        return self._stop.is_set() or self._wait(self._stop, seconds)

    def _connect_again(self) -> Pictures | None:
        try:
            return self._connect()
        except SourceError:
            return None


def _done(frame: Frame) -> Future[Frame | None]:
    done: Future[Frame | None] = Future()
    done.set_result(frame)
    return done
