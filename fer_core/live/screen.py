"""The window, and its keys.

OpenCV's windows end the process (SIGABRT) where none can be opened, so that is found out first. All calls belong in the
main thread.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import FerError, SourceError
from fer_core.live.frame import Shown
from fer_core.live.layout import KEYS
from fer_core.live.video_output import fitted

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
