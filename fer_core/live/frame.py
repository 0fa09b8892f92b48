"""What goes through the live loop: frames of a source, what was read in them, and how they come out of a thread."""

import atexit
import contextlib
import math
import threading
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np

from fer_core.errors import SourceError
from fer_core.live.prediction import Prediction
from fer_core.store.files import utc_now, utc_text

ANSWER_SECONDS = 4.0
"""After so long without an answer a camera or stream counts as gone."""
MOST_NOTED = 1000
"""So many damaged frames are named; a list that grows for days would fill the memory."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_SILENCE_SECONDS = 2.0
_CLOSE_SECONDS = 0.5
Wait = Callable[[threading.Event, float], bool]
"""Waits until the event is set or the seconds are over, and returns whether it is set."""


class Frame(NamedTuple):
    """One picture of a source.

    `picture_bgr` is uint8 (height, width, 3). `number` is its place in the source, from 0; frames that were dropped or
    could not be read are counted. `seconds` run from the source's first frame: by the container's time stamps in a
    video, by the clock in a camera or stream, one a picture in a folder. `utc` is when it was read, `read_at` the same
    by the monotonic clock. `name` is that of the file, for pictures.
    """

    picture_bgr: np.ndarray
    number: int
    seconds: float
    utc: datetime
    read_at: float
    name: str = ""


def frame_now(picture_bgr: np.ndarray, number: int, seconds: float, name: str = "") -> Frame:
    """Returns a frame that is read just now."""
    return Frame(picture_bgr, number, seconds, utc_now(), time.monotonic(), name)


class Shown(NamedTuple):
    """A frame and what was read in it.

    `picture_bgr` is the annotated picture to be saved, None where no sink wants it; `rate` is frames a second of late;
    `stage_seconds` says how long each stage took.
    """

    frame: Frame
    predictions: tuple[Prediction, ...]
    picture_bgr: np.ndarray | None
    rate: float = 0.0
    stage_seconds: Mapping[str, float] = {}

    def to_json(self) -> dict[str, Any]:
        """Returns the frame's predictions as plain values."""
        frame = self.frame
        named = {"name": frame.name} if frame.name else {}
        return named | {
            "frame": frame.number,
            "seconds": round(frame.seconds, 3),
            "utc": utc_text(frame.utc),
            "faces": [prediction.to_json() for prediction in self.predictions],
        }


class Sink(Protocol):
    """Takes every frame that was read: a log, a video, the summary.

    `needs_picture`: whether `write` wants the annotated picture. `is_done`: whether it has all that it wanted, so that
    the loop may end.
    """

    needs_picture: bool = False
    is_done: bool = False

    def write(self, shown: Shown) -> None:
        """Takes one frame. Raises SourceError, DiskFullError."""

    def close(self) -> None:
        """Finishes its files. May be called again."""


class EveryFrame:
    """A source of which every frame counts; a thread decodes the next one while this one is read and drawn.

    `title` is for people and holds no password. `is_still` says that the frames are pictures which have nothing to do
    with each other. `rate` is frames a second, None where nothing tells; `size` is (width, height) of the first frame;
    `skipped` names what was damaged.
    """

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
        self._next: Future[Frame | None] = Future()
        self._next.set_result(first)

    def read(self, timeout: float) -> Frame | None:
        """Returns the next frame; None if there is none within `timeout` seconds, or after the last."""
        if self.ended:
            return None
        try:
            frame = self._next.result(timeout)
        except TimeoutError:
            return None
        self.ended = frame is None
        if frame is not None:
            self._next = self._decoder.submit(next, self._rest, None)
        return frame

    def close(self) -> None:
        """Ends the thread and closes the file. May be called again."""
        self.ended = True
        self._decoder.shutdown(cancel_futures=True)
        self._rest.close()


class Device(Protocol):
    """What `NewestFrame` reads: a camera or a stream. `read` returns None when it is gone.

    `passed_over` counts the pictures before the one read last that could not be decoded.
    """

    passed_over: int

    def read(self) -> np.ndarray | None: ...
    def release(self) -> None: ...


class NewestFrame:
    """A camera or stream: a thread reads without pause and keeps the newest frame; older ones are dropped.

    Where it breaks off it is opened again, after pauses that grow from 0.5 to 10 seconds; `message` says so meanwhile.
    `dropped` counts the frames that nobody took; the rest is as in `EveryFrame`.
    """

    is_live = True
    is_still = False
    rate = None

    def __init__(
        self,
        title: str,
        connected: Device,
        connect: Callable[[], Device | None],
        *,
        noun: str = "stream",
        clock: Callable[[], float] = time.monotonic,
        wait: Wait = threading.Event.wait,
        answer_seconds: float = ANSWER_SECONDS,
    ):
        """`connected` is read first; `connect` opens it again, if it can. Neither takes more than `answer_seconds`.

        Raises SourceError if no picture comes in that time.
        """
        self.title, self._noun, self._answer_seconds = title, noun, answer_seconds
        self.dropped = 0
        self.skipped: list[str] = []
        self._connect, self._clock, self._wait = connect, clock, wait
        self._newest: Frame | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._number = -1
        self._first_at = self._last_at = clock()
        self._retry_at: float | None = None
        # A daemon: a call into a driver or a network that hangs cannot be broken off, and must not keep the process.
        self._thread = threading.Thread(target=self._run, args=(connected,), name=f"read {noun}", daemon=True)
        self._thread.start()
        self.size = self._first_size()

    @property
    def ended(self) -> bool:
        """Whether it was closed; a live source does not end by itself."""
        return self._stop.is_set() or not self._thread.is_alive()

    @property
    def message(self) -> str:
        """What to show while no frames come: that it is gone, and when it is tried again."""
        now, retry_at = self._clock(), self._retry_at
        if retry_at is not None:
            left = math.ceil(retry_at - now)
            return f"The {self._noun} is gone, trying again {f'in {left} s' if left > 0 else 'now'}."
        silent = now - self._last_at
        return f"No picture from the {self._noun} for {silent:.0f} s." if silent > _SILENCE_SECONDS else ""

    def read(self, timeout: float) -> Frame | None:
        """Returns the newest frame that was not returned yet; None if none comes within `timeout` seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._newest or self.ended, timeout)
            frame, self._newest = self._newest, None
        return None if self.ended else frame

    def close(self) -> None:
        """Ends the reading at once. May be called again."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(_CLOSE_SECONDS)
        if self._thread.is_alive():
            # It hangs in a library until its time limit. Python aborts if that call returns while the process ends.
            atexit.register(self._thread.join, self._answer_seconds + 1)

    def _first_size(self) -> tuple[int, int]:
        with self._changed:
            self._changed.wait_for(
                lambda: self._newest or self.ended or self._retry_at is not None, self._answer_seconds
            )
            frame = self._newest
        if frame is None:
            self.close()
            raise SourceError(
                f"The {self._noun} {self.title} opens, but sends no picture.",
                hint="Another program may be using it: close that, or unplug and plug it in again.",
            )
        return frame.picture_bgr.shape[1], frame.picture_bgr.shape[0]

    def _run(self, device: Device | None) -> None:
        failures = 0
        while not self._stop.is_set():
            before = self._number
            if device is not None:
                self._read_until_gone(device)
            failures = 1 if self._number > before else failures + 1
            seconds = min(_FIRST_PAUSE * 2 ** min(failures - 1, 10), _LONGEST_PAUSE)
            with self._changed:
                self._retry_at = self._clock() + seconds
                self._changed.notify_all()
            device = None
            if not (self._stop.is_set() or self._wait(self._stop, seconds)):
                with contextlib.suppress(SourceError):
                    device = self._connect()

    def _read_until_gone(self, device: Device) -> None:
        try:
            while not self._stop.is_set():
                picture_bgr = device.read()
                if picture_bgr is None:
                    return
                self._keep(picture_bgr, device.passed_over)
        finally:
            device.release()

    def _keep(self, picture_bgr: np.ndarray, passed_over: int) -> None:
        at = self._clock()
        if self._number < 0:
            self._first_at = at
        self._number += 1 + passed_over
        seconds = at - self._first_at
        if passed_over and len(self.skipped) < MOST_NOTED:
            self.skipped.append(f"{passed_over} before frame {self._number} ({seconds:.2f} s): damaged")
        frame = Frame(picture_bgr, self._number, seconds, utc_now(), at)
        with self._changed:
            self.dropped += self._newest is not None
            self._newest, self._last_at, self._retry_at = frame, at, None
            self._changed.notify_all()


Source = EveryFrame | NewestFrame
