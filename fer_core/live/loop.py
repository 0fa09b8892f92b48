"""The live loop: takes frames from a source, has them read, and hands them to the screen and to what keeps them.

The source's own thread reads ahead; everything else happens here, in the thread that owns the window.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from fer_core.live.frame import Frame, Shown, Sink, Source
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import LivePredictor

WAIT_SECONDS = 0.05
"""The longest wait for a frame: a key is obeyed and a message shown within this time, also when nothing arrives."""

Clock = Callable[[], float]


class Screen(Protocol):
    """Shows frames and obeys keys."""

    is_paused: bool
    wants_to_end: bool

    def show(self, shown: Shown) -> None:
        """Shows a new frame when it is due."""

    def idle(self) -> None:
        """Is called while there is no new frame: keys and messages still work."""


class NoScreen:
    """Shows nothing and never ends the loop."""

    is_paused = False
    wants_to_end = False

    def show(self, shown: Shown) -> None:
        """Does nothing."""

    def idle(self) -> None:
        """Does nothing."""


class Rate:
    """How many frames a second there were in the last two seconds."""

    SPAN_SECONDS = 2.0

    def __init__(self, clock: Clock = time.monotonic):
        self._clock = clock
        self._ticks: deque[float] = deque()

    def tick(self) -> None:
        """Counts a frame."""
        self._ticks.append(self._clock())
        while self._ticks[-1] - self._ticks[0] > self.SPAN_SECONDS:
            self._ticks.popleft()

    @property
    def per_second(self) -> float:
        """Frames a second; 0.0 before the second frame."""
        span = self._ticks[-1] - self._ticks[0] if self._ticks else 0.0
        return (len(self._ticks) - 1) / span if span > 0 else 0.0


Draw = Callable[[Frame, Sequence[Prediction], float], np.ndarray]
"""Returns the annotated picture of a frame, at so many frames a second."""


class LiveLoop:
    """Reads until the source ends, the screen or `stop` says so, or a sink has all that it wanted."""

    def __init__(
        self,
        source: Source,
        predictor: LivePredictor,
        *,
        draw: Draw,
        screen: Screen | None = None,
        sinks: Sequence[Sink] = (),
        before_each: Callable[[], None] = lambda: None,
        clock: Clock = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ):
        """`before_each` is called before every frame; it may change the reader's model. `wait` is for pauses."""
        self._source, self._predictor, self._draw = source, predictor, draw
        self._screen = screen or NoScreen()
        self._sinks, self._before_each = sinks, before_each
        self._clock, self._wait = clock, wait
        self._rate = Rate(clock)

    def run(self, stop: Callable[[], bool] = lambda: False, *, capture: Sink | None = None) -> None:
        """Goes on until the end; `capture` is a sink for this time only.

        Raises SourceError or DiskFullError of source and sinks; closes nothing.
        """
        sinks = [*self._sinks, capture] if capture else self._sinks
        while not (stop() or self._screen.wants_to_end or any(sink.is_done for sink in sinks)):
            self._before_each()
            if self._screen.is_paused:
                self._screen.idle()
                self._wait(WAIT_SECONDS)
                continue
            frame = self._source.read(WAIT_SECONDS)
            if frame is not None:
                self._take(frame, sinks)
            elif self._source.ended:
                return
            else:
                self._screen.idle()

    def _take(self, frame: Frame, sinks: Sequence[Sink]) -> None:
        predictions = tuple(self._predictor.read(frame))
        self._rate.tick()
        rate, stages, picture = self._rate.per_second, self._predictor.stage_seconds, None
        if any(sink.needs_picture for sink in sinks):
            began = self._clock()
            picture = self._draw(frame, predictions, rate)
            stages = {**stages, "draw": self._clock() - began}
        shown = Shown(frame, predictions, picture, rate, stages)
        for sink in sinks:
            sink.write(shown)
        self._screen.show(shown)
