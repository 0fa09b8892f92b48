"""The live loop: takes frames from a source, has them read, and hands them to the screen and to what saves them.

The source's own thread reads ahead; everything else happens here, in the thread that owns the window.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fer_core.live.frame import Frame, Shown, Sink, Source
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import LivePredictor

if TYPE_CHECKING:
    from fer_core.live.screen import LiveView

WAIT_SECONDS = 0.05
"""The longest wait for a frame: a key is obeyed and a message shown within this time, also when nothing arrives."""
RATE_SECONDS = 2.0
Draw = Callable[[Frame, Sequence[Prediction], float], np.ndarray]
"""Returns the annotated picture of a frame, at so many frames a second."""


class Rate:
    """How many frames a second there were in the last two seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._ticks: deque[float] = deque()

    def tick(self) -> float:
        """Counts a frame, and returns frames a second; 0.0 before the second frame."""
        self._ticks.append(self._clock())
        while self._ticks[-1] - self._ticks[0] > RATE_SECONDS:
            self._ticks.popleft()
        span = self._ticks[-1] - self._ticks[0]
        return (len(self._ticks) - 1) / span if span > 0 else 0.0


class LiveLoop:
    """Reads until the source ends, the person at the screen wants to, or a sink has all that it wanted."""

    def __init__(
        self,
        source: Source,
        predictor: LivePredictor,
        *,
        draw: Draw,
        screen: "LiveView | None" = None,
        sinks: Sequence[Sink] = (),
        before_each: Callable[[], None] = lambda: None,
        wait: Callable[[float], None] = time.sleep,
    ):
        """`before_each` is called before every frame; it may change the predictor's model. `wait` is for pauses."""
        self._source, self._predictor, self._draw = source, predictor, draw
        self._screen, self._sinks = screen, sinks
        self._before_each, self._wait = before_each, wait
        self._rate = Rate()

    def run(self, *, capture: Sink | None = None) -> None:
        """Goes on until the end; `capture` is a sink for this time only.

        Raises SourceError or DiskFullError of source and sinks, and what `before_each` raises; closes nothing.
        """
        sinks = [*self._sinks, capture] if capture else self._sinks
        screen = self._screen
        while not ((screen and screen.wants_to_end) or any(sink.is_done for sink in sinks)):
            self._before_each()
            is_paused = screen is not None and screen.is_paused
            frame = None if is_paused else self._source.read(WAIT_SECONDS)
            if frame is not None:
                self._take(frame, sinks)
                continue
            if self._source.ended and not is_paused:
                return
            if screen:
                screen.idle()
            if is_paused:
                self._wait(WAIT_SECONDS)

    def _take(self, frame: Frame, sinks: Sequence[Sink]) -> None:
        predictions = tuple(self._predictor.read(frame))
        rate, stages, picture_bgr = self._rate.tick(), self._predictor.stage_seconds, None
        if any(sink.needs_picture for sink in sinks):
            began = time.perf_counter()
            picture_bgr = self._draw(frame, predictions, rate)
            stages = {**stages, "draw": time.perf_counter() - began}
        shown = Shown(frame, predictions, picture_bgr, rate, stages)
        for sink in sinks:
            sink.write(shown)
        if self._screen:
            self._screen.show(shown)
