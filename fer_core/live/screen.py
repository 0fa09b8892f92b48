"""The live view in a window: what is drawn over a frame, when it is shown, and what the keys do."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import FerError
from fer_core.live.canvas import Heat
from fer_core.live.capturing import Recorder
from fer_core.live.frame import Frame, Shown, Source
from fer_core.live.loop import Clock
from fer_core.live.overlay import Overlay, Status
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import LivePredictor

if TYPE_CHECKING:
    from fer_core.live.occlusion import HeatMaps
    from fer_core.live.window import Window

NOTICE_SECONDS = 4.0
"""How long a sentence about a key, a snapshot or a new model stays on the screen."""

_NO_PICTURE = "There is no picture yet."


@dataclass
class View:
    """What the person at the screen has chosen, and what is being told to them."""

    is_paused: bool = False
    shows_help: bool = False
    shows_heat: bool = False
    notice: str = ""
    notice_until: float = 0.0

    def tell(self, text: str, now: float) -> None:
        """Shows a sentence for a while."""
        self.notice, self.notice_until = text, now + NOTICE_SECONDS


class Annotator:
    """Draws readings over a frame: to be kept, or with all that only the person at the screen wants to know."""

    def __init__(
        self,
        overlay: Overlay,
        view: View,
        source: Source,
        predictor: LivePredictor,
        *,
        recorder: Recorder | None,
        heat_maps: "HeatMaps | None" = None,
        clock: Clock = time.monotonic,
    ):
        self._overlay, self._view, self._source, self._predictor = overlay, view, source, predictor
        self._recorder, self._heat_maps, self._clock = recorder, heat_maps, clock

    def kept(self, frame: Frame, predictions: Sequence[Prediction], rate: float) -> np.ndarray:
        """Returns the annotated picture for a file, BGR, of the frame's size."""
        live = self._source.is_live  # how fast a file was read says nothing to whoever sees the result
        status = Status(
            model=self._predictor.classifier.name,
            detector=self._predictor.detector.name,
            frames_per_second=rate if live else 0.0,
            delay_seconds=self._clock() - frame.read_at if live else 0.0,
            heat=self._view.shows_heat,
        )
        return self._overlay.draw(frame.picture_bgr, predictions, status, self._heat(predictions))

    def on_screen(self, shown: Shown) -> np.ndarray:
        """Returns the picture for the window: with messages, help and whether it is recording or paused."""
        frame, now = shown.frame, self._clock()
        status = Status(
            model=self._predictor.classifier.name,
            detector=self._predictor.detector.name,
            frames_per_second=shown.rate,
            delay_seconds=0.0 if self._view.is_paused else now - frame.read_at,
            message=self._message(now),
            recording=self._recorder is not None and self._recorder.is_recording,
            paused=self._view.is_paused,
            help=self._view.shows_help,
            heat=self._view.shows_heat,
        )
        return self._overlay.draw(frame.picture_bgr, shown.predictions, status, self._heat(shown.predictions))

    def _message(self, now: float) -> str:
        notice = self._view.notice if now < self._view.notice_until else ""
        problem = self._heat_maps.problem if self._heat_maps and self._view.shows_heat else ""
        return self._source.message or notice or problem

    def _heat(self, predictions: Sequence[Prediction]) -> Mapping[int, Heat] | None:
        if self._heat_maps is None or not self._view.shows_heat:
            return None
        return self._heat_maps.latest(self._predictor, predictions)


class WindowScreen:
    """Shows frames in a window, files at their own pace, and obeys the keys."""

    def __init__(
        self,
        window: "Window",
        annotator: Annotator,
        view: View,
        source: Source,
        *,
        recorder: Recorder,
        next_detector: Callable[[], str],
        clock: Clock = time.monotonic,
    ):
        """`next_detector` changes the detector and returns a sentence about it."""
        self._window, self._annotator, self._view, self._source = window, annotator, view, source
        self._recorder, self._next_detector, self._clock = recorder, next_detector, clock
        self._last: Shown | None = None
        self._began: float | None = None
        self._quits = False

    @property
    def is_paused(self) -> bool:
        """Whether no frames are wanted for now."""
        return self._view.is_paused

    @property
    def wants_to_end(self) -> bool:
        """Whether q was pressed or the window closed."""
        return self._quits or self._window.is_closed

    def show(self, shown: Shown) -> None:
        """Shows a frame; one of a file not before its time."""
        self._last = shown
        if self._recorder.problem:
            self._tell(self._recorder.problem)
            self._recorder.problem = ""
        self._window.show(self._annotator.on_screen(shown))
        self._obey(self._window.key())
        while self._is_early(shown.frame) and not (self.wants_to_end or self.is_paused):
            self._obey(self._window.key())

    def idle(self) -> None:
        """Shows the last frame with the present message, and obeys the keys."""
        if self._last is not None:
            self._window.show(self._annotator.on_screen(self._last))
        self._obey(self._window.key())

    def _is_early(self, frame: Frame) -> bool:
        if self._source.is_live:
            return False
        now = self._clock()
        if self._began is None or now - self._began > frame.seconds + 1.0:  # first frame, or after a pause
            self._began = now - frame.seconds
        return now - self._began < frame.seconds

    def _obey(self, key: str | None) -> None:
        actions = {
            "q": self._quit,
            "p": self._pause,
            "h": self._help,
            "e": self._heat,
            "s": self._snapshot,
            "r": self._record,
            "d": self._detector,
        }
        if key in actions:
            try:
                actions[key]()
            except FerError as error:  # what cannot be saved or found does not end the view
                self._tell(f"{error} {error.hint}")

    def _tell(self, text: str) -> None:
        self._view.tell(text, self._clock())

    def _quit(self) -> None:
        self._quits = True

    def _pause(self) -> None:
        self._view.is_paused = not self._view.is_paused

    def _help(self) -> None:
        self._view.shows_help = not self._view.shows_help

    def _heat(self) -> None:
        self._view.shows_heat = not self._view.shows_heat

    def _snapshot(self) -> None:
        if self._last is None:
            self._tell(_NO_PICTURE)
            return
        last = self._last
        annotated = self._annotator.kept(last.frame, last.predictions, last.rate)
        self._tell(f"Saved {self._recorder.snapshot(last, annotated).name}.")

    def _record(self) -> None:
        if self._recorder.is_recording:
            self._recorder.close()
            self._tell(f"Saved {self._recorder.paths[-1].name}.")
        elif self._last is None:
            self._tell(_NO_PICTURE)
        else:
            height, width = self._last.frame.picture_bgr.shape[:2]
            self._tell(f"Recording {self._recorder.start((width, height)).name}.")

    def _detector(self) -> None:
        self._tell(self._next_detector())
