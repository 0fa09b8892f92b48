"""What people see: a window, what is drawn over the frames in it and in files, and what the keys do.

OpenCV's windows end the process (SIGABRT) where none can be opened, so that is found out first. All calls belong in the
main thread.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_core.errors import FerError, SourceError
from fer_core.live.canvas import Heat
from fer_core.live.capturing import Recorder
from fer_core.live.frame import Frame, Shown, Source
from fer_core.live.overlay import Overlay
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import LivePredictor
from fer_core.live.status import KEYS, Status
from fer_core.live.video_output import fitted

if TYPE_CHECKING:
    from fer_core.live.occlusion import HeatMaps

NOTICE_SECONDS = 4.0
"""How long a sentence about a key, a snapshot or a new model stays on the screen."""
OTHER = "other"
"""Any other key: Space, Enter, arrows."""
_ESCAPE = 27
_X11_MODIFIERS = range(0xFFE1, 0xFFEF)
_QT_MODIFIERS = (*range(0x01000020, 0x01000026), 0x01000053, 0x01000054)
"""Shift, Ctrl, Alt and locks are pressed for something else: Alt-Tab must not turn a page."""
_LARGEST, _SMALLEST = (1280, 720), (480, 360)
"""Width and height of the first window; people may resize it."""
_TITLE_LETTERS = 80
_TRIAL = "import cv2; cv2.namedWindow('faces'); cv2.destroyAllWindows()"
_TRIAL_SECONDS = 10.0
_HINT = "Add --no-display, or keep what is read with --output, --log or --json: they need no window."


def check_display() -> None:
    """Returns if a window can be opened. Raises SourceError, with --no-display as the hint, if not.

    On Linux one is opened in a process of its own.
    """
    if not cv2.currentUIFramework():
        raise SourceError(
            "This OpenCV was built without windows (opencv-python-headless).",
            hint=f"`pip uninstall opencv-python-headless`, then `pip install opencv-python`. {_HINT}",
        )
    if sys.platform in ("darwin", "win32"):
        return
    display, platform = os.environ.get("DISPLAY"), os.environ.get("QT_QPA_PLATFORM")
    if not display:
        raise SourceError("There is no screen to open a window on: DISPLAY is not set.", hint=_HINT)
    try:
        subprocess.run([sys.executable, "-P", "-c", _TRIAL], capture_output=True, timeout=_TRIAL_SECONDS, check=True)
    except subprocess.SubprocessError:
        given = f"DISPLAY is {display!r}" + (f", and QT_QPA_PLATFORM {platform!r}" if platform else "")
        hint = f"Set QT_QPA_PLATFORM=xcb, the only one that OpenCV's windows know. {_HINT}" if platform else _HINT
        raise SourceError(f"There is no screen to open a window on: {given}.", hint=hint) from None


class Window:
    """Shows pictures and says which key was pressed."""

    def __init__(self, title: str, size: tuple[int, int]):
        """`size`: width and height of the pictures; the window keeps their proportions and fits a small screen."""
        self._title = one_line_title(title)
        self._is_open = True
        cv2.namedWindow(self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        cv2.resizeWindow(self._title, *window_size(size))

    def show(self, picture_bgr: np.ndarray) -> None:
        """Shows a picture: uint8 (height, width, 3), BGR. Does nothing once the window is closed."""
        if not self.is_closed:
            cv2.imshow(self._title, picture_bgr)

    def key(self) -> str | None:
        """Returns the key pressed since the last call: one of q s r p d e h, `OTHER`, or None; Escape is q.

        Takes a few milliseconds, in which the window draws itself; call it after every `show`.
        """
        return meaning_of(cv2.waitKeyEx(1))

    @property
    def is_closed(self) -> bool:
        """Whether somebody closed the window, or `close` was called."""
        if self._is_open:
            try:
                self._is_open = cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1
            except cv2.error:  # Qt knows no window at all any more
                self._is_open = False
        return not self._is_open

    def close(self) -> None:
        """Closes the window. May be called again."""
        if not self.is_closed:
            cv2.destroyWindow(self._title)
            cv2.waitKey(1)
        self._is_open = False


def meaning_of(code: int) -> str | None:
    """Returns the letter of a key code of `cv2.waitKeyEx`, small, if it is one of ours, else `OTHER`; Escape is q.

    None where no key was pressed, or one that only changes others. `cv2.waitKey` cuts codes to 8 bits, and a cursor key
    would then be a capital Q. GTK keeps Num Lock in bits 16 to 23.
    """
    if code <= 0 or code in _QT_MODIFIERS or code & 0xFFFF in _X11_MODIFIERS:
        return None
    if code >= 1 << 24 or code & 0xFF00:
        return OTHER
    letter = "q" if code & 0xFF == _ESCAPE else chr(code & 0xFF).lower()
    return letter if letter in KEYS else OTHER


def one_line_title(title: str) -> str:
    """Returns a title in one line of at most 80 letters."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in title).split())
    if sys.platform == "win32":  # its window titles pass through the code page
        plain = plain.encode("ascii", "replace").decode()
    return plain[:_TITLE_LETTERS] or "Faces"


def window_size(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the first window's width and height: the picture's own, or as it fits, in its proportions."""
    width, height = (max(1, side) for side in size)
    shrink = min(1.0, _LARGEST[0] / width, _LARGEST[1] / height)
    scale = shrink if shrink < 1 else max(1.0, min(_SMALLEST[0] / width, _SMALLEST[1] / height))
    return max(1, round(width * scale)), max(1, round(height * scale))


class LiveView:
    """Draws predictions over frames, for files and for the window, where there is one, and obeys its keys.

    In the window, files run at their own pace.
    """

    def __init__(
        self,
        source: Source,
        predictor: LivePredictor,
        *,
        window: Window | None = None,
        recorder: Recorder | None = None,
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


def show_still(
    window: Window,
    shown: Shown,
    size: tuple[int, int],
    *,
    keys: str,
    draw: Callable[[Shown, str], np.ndarray],
    save: Callable[[Shown], Path],
) -> bool:
    """Shows a picture until a key is pressed, fitted into `size` (width, height) in its own proportions.

    Returns whether the next one is wanted: not after q, and not where the window was closed. `keys` is a sentence that
    says what they do. `draw` returns the annotated picture with a sentence in it, `save` saves it and returns its path.
    """
    picture_bgr = shown.picture_bgr
    while True:
        window.show(fitted(picture_bgr, size))
        key = None
        while key is None and not window.is_closed:
            key = window.key()
        if key not in ("h", "s"):
            return key not in ("q", None)
        message = keys
        if key == "s":
            try:
                message = f"Saved {save(shown).name}."
            except FerError as error:  # what cannot be saved does not end the view
                message = f"{error} {error.hint}"
        picture_bgr = draw(shown, message)
