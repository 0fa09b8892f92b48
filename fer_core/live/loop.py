"""The live loop: takes frames from a source, has them read, and hands them to the window and to what saves them.

The source's own thread reads ahead; everything else happens here, in the thread that owns the window.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from fer_core.errors import FerError
from fer_core.faces import Box
from fer_core.live.frame import Frame, Shown, Sink, Source
from fer_core.live.layout import Status
from fer_core.live.overlay import Heat, Overlay
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import LivePredictor

if TYPE_CHECKING:
    from fer_core.live.capturing import Recorder
    from fer_core.live.occlusion import HeatMaps
    from fer_core.live.screen import Window

WAIT_SECONDS = 0.05
"""The longest wait for a frame: a key is obeyed and a message shown within this time, also when nothing arrives."""
RATE_SECONDS = 2.0
NOTICE_SECONDS = 4.0
"""How long a sentence about a key, a snapshot or a new model stays on the screen."""
Draw = Callable[[Frame, Sequence[Prediction], float], np.ndarray]
"""Returns the annotated picture of a frame, at so many frames a second."""
Anonymize = Literal["none", "blur", "pixelate", "mask"]
"""How faces are covered in what is shown or saved. What the detector does not find stays visible."""
WIDER = 1.5
"""The detectors' boxes end at brows and chin; so much larger they cover hair and ears."""
CELLS = 6
"""Of what is left of a face across its width: too few to tell a person."""
_MASK_BGR = (110, 110, 110)


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
        anonymize: Anonymize = "none",
        wait: Callable[[float], None] = time.sleep,
    ):
        """`before_each` is called before every frame; it may change the predictor's model. `wait` is for pauses.

        `anonymize`: how faces are covered, for everybody who gets a frame.
        """
        self._source, self._predictor, self._draw = source, predictor, draw
        self._screen, self._sinks = screen, sinks
        self._before_each, self._wait = before_each, wait
        self._anonymize, self._taken_at = anonymize, deque[float]()

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
        if self._anonymize != "none":
            frame = frame._replace(picture_bgr=anonymized(frame.picture_bgr, self._predictor.boxes, self._anonymize))
        rate, stages, picture_bgr = self._rate(), self._predictor.stage_seconds, None
        if any(sink.needs_picture for sink in sinks):
            began = time.perf_counter()
            picture_bgr = self._draw(frame, predictions, rate)
            stages = {**stages, "draw": time.perf_counter() - began}
        shown = Shown(frame, predictions, picture_bgr, rate, stages)
        for sink in sinks:
            sink.write(shown)
        if self._screen:
            self._screen.show(shown)

    def _rate(self) -> float:
        """Counts a frame, and returns frames a second over the last two; 0.0 before the second frame."""
        taken_at = self._taken_at
        taken_at.append(time.monotonic())
        while taken_at[-1] - taken_at[0] > RATE_SECONDS:
            taken_at.popleft()
        span = taken_at[-1] - taken_at[0]
        return (len(taken_at) - 1) / span if span > 0 else 0.0


class LiveView:
    """Draws predictions over frames, for files and for the window, where there is one, and obeys its keys.

    In the window, files run at their own pace.
    """

    def __init__(
        self,
        source: Source,
        predictor: LivePredictor,
        *,
        window: "Window | None" = None,
        recorder: "Recorder | None" = None,
        heat_maps: "HeatMaps | None" = None,
        next_detector: Callable[[], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ):
        """`recorder` belongs to a window. `next_detector` changes the detector and returns a sentence about it."""
        self._source, self._predictor, self._overlay = source, predictor, Overlay(predictor.classifier.labels)
        self._window, self._recorder, self._heat_maps = window, recorder, heat_maps
        self._next_detector, self._clock = next_detector, clock
        self.is_paused = self.shows_help = self.shows_heat = self._quits = False
        self.notice, self._notice_until = "", 0.0
        self._last: Shown | None = None
        self._began: float | None = None

    @property
    def wants_to_end(self) -> bool:
        """Whether q was pressed or the window closed."""
        return self._quits or (self._window is not None and self._window.is_closed)

    def tell(self, text: str) -> None:
        """Shows a sentence in the window for a while."""
        self.notice, self._notice_until = text, self._clock() + NOTICE_SECONDS

    def for_file(self, frame: Frame, predictions: Sequence[Prediction], rate: float) -> np.ndarray:
        """Returns the annotated picture for a file, BGR, of the frame's size."""
        if not self._source.is_live:  # how fast a file was read says nothing to whoever sees the result
            return self._drawn(frame, predictions)
        return self._drawn(frame, predictions, rate=rate, delay=self._clock() - frame.read_at)

    def show(self, shown: Shown) -> None:
        """Shows a frame; one of a file not before its time."""
        if self._window is None:
            return
        self._last = shown
        if self._recorder.problem:
            self.tell(self._recorder.problem)
            self._recorder.problem = ""
        self._show_last()
        while self._is_early(shown.frame) and not (self.wants_to_end or self.is_paused):
            self._obey(self._window.key())

    def idle(self) -> None:
        """Shows the last frame with the present message, and obeys the keys."""
        if self._window is not None:
            self._show_last()

    def _show_last(self) -> None:
        if self._last is not None:
            now = self._clock()
            frame, predictions, *_ = self._last
            notice = self.notice if now < self._notice_until else ""
            problem = self._heat_maps.problem if self._heat_maps and self.shows_heat else ""
            picture_bgr = self._drawn(
                frame,
                predictions,
                rate=self._last.rate,
                delay=0.0 if self.is_paused else now - frame.read_at,
                message=self._source.message or notice or problem,
                recording=self._recorder.needs_picture,
                paused=self.is_paused,
                help=self.shows_help,
            )
            self._window.show(picture_bgr)
        self._obey(self._window.key())

    def _drawn(
        self, frame: Frame, predictions: Sequence[Prediction], *, rate: float = 0.0, delay: float = 0.0, **more
    ) -> np.ndarray:
        heat: Mapping[int, Heat] | None = None
        if self._heat_maps is not None and self.shows_heat:
            heat = self._heat_maps.latest(self._predictor, predictions)
        model, detector = self._predictor.classifier.name, self._predictor.detector.name
        status = Status(model, detector, rate, delay, heat=self.shows_heat, **more)
        return self._overlay.draw(frame.picture_bgr, predictions, status, heat)

    def _is_early(self, frame: Frame) -> bool:
        if self._source.is_live:
            return False
        now = self._clock()
        if self._began is None or now - self._began > frame.seconds + 1.0:  # first frame, or after a pause
            self._began = now - frame.seconds
        return now - self._began < frame.seconds

    def _obey(self, key: str | None) -> None:
        try:
            match key:
                case "q":
                    self._quits = True
                case "p":
                    self.is_paused = not self.is_paused
                case "h":
                    self.shows_help = not self.shows_help
                case "e":
                    self.shows_heat = not self.shows_heat
                case "d":
                    self.tell(self._next_detector())
                case "s" | "r" if self._last is None:
                    self.tell("There is no picture yet.")
                case "s":
                    frame, predictions, _, rate, _ = self._last
                    path = self._recorder.snapshot(self._last, self.for_file(frame, predictions, rate))
                    self.tell(f"Saved {path.name}.")
                case "r" if self._recorder.needs_picture:
                    self._recorder.close()
                    self.tell(f"Saved {self._recorder.paths[-1].name}.")
                case "r":
                    height, width = self._last.frame.picture_bgr.shape[:2]
                    self.tell(f"Recording {self._recorder.start((width, height)).name}.")
        except FerError as error:  # what cannot be saved or found does not end the view
            self.tell(f"{error} {error.hint}")


def anonymized(picture_bgr: np.ndarray, boxes: Iterable[Box], how: Anonymize) -> np.ndarray:
    """Returns a copy of a picture, uint8 (height, width) or (height, width, 3), with the faces in the boxes covered."""
    covered = picture_bgr.copy()
    height, width = covered.shape[:2]
    for box in boxes:
        radius = round(WIDER * max(box.width, box.height) / 2)
        across, down = round(box.x + box.width / 2), round(box.y + box.height / 2)
        left, top = max(0, across - radius), max(0, down - radius)
        face = covered[top : min(height, down + radius), left : min(width, across + radius)]
        if not face.size:
            continue
        circle = np.zeros(face.shape[:2], np.uint8)
        cv2.circle(circle, (across - left, down - top), radius, 255, cv2.FILLED)
        np.copyto(face, _cover(face, how), where=(circle > 0).reshape(*circle.shape, *[1] * (face.ndim - 2)))
    return covered


def _cover(face: np.ndarray, how: Anonymize) -> np.ndarray:
    if how == "mask":
        return np.full_like(face, _MASK_BGR if face.ndim == 3 else _MASK_BGR[0])
    height, width = face.shape[:2]
    small = cv2.resize(face, (CELLS, max(1, round(CELLS * height / width))), interpolation=cv2.INTER_AREA)
    smoothly = cv2.INTER_CUBIC if how == "blur" else cv2.INTER_NEAREST
    return cv2.resize(small, (width, height), interpolation=smoothly)
