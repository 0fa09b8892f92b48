"""The window of the live view, and the question whether there is a screen to open it on.

OpenCV's windows end the process (SIGABRT) where no X server answers, so that is found out first. All calls belong in
the main thread.
"""

import os
import re
import socket
import struct
import subprocess
import sys

import cv2
import numpy as np

from fer_core.errors import SourceError
from fer_core.live.stream import without_password

KEYS = "qsrpdeh"
OTHER = "other"
"""Any other key: Space, Enter, arrows."""
ESCAPE = 27
_X11_MODIFIERS = range(0xFFE1, 0xFFEF)
_QT_MODIFIERS = (*range(0x01000020, 0x01000026), 0x01000053, 0x01000054)
"""Shift, Ctrl, Alt and locks are pressed for something else: Alt-Tab must not turn a page."""
LARGEST, SMALLEST = (1280, 720), (480, 360)
"""Width and height of the first window; people may resize it."""
TITLE_LETTERS = 80
ANSWER_SECONDS = 2.0
TRIAL_SECONDS = 10.0
HINT = "Add --no-display, or keep what is read with --output, --log or --json: they need no window."
TRIAL = "import cv2; cv2.namedWindow('faces'); cv2.destroyAllWindows()"


def check_display() -> None:
    """Returns if a window can be opened. Raises SourceError, with --no-display as the hint, if not.

    On Linux it asks the X server itself. One that wants a password is tried with a window, in a process of its own.
    """
    framework = cv2.currentUIFramework()
    if not framework:
        raise SourceError(
            "This OpenCV was built without windows (opencv-python-headless).",
            hint=f"`pip uninstall opencv-python-headless`, then `pip install opencv-python`. {HINT}",
        )
    if sys.platform not in ("darwin", "win32"):
        _check_qt_platform(framework)
        _check_x_server(os.environ.get("DISPLAY", ""))


class Window:
    """Shows pictures and tells which key was pressed."""

    def __init__(self, title: str, size: tuple[int, int]):
        """`size`: width and height of the pictures; the window keeps their proportions and fits a small screen."""
        self._title = clean_title(title)
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
    letter = "q" if code & 0xFF == ESCAPE else chr(code & 0xFF).lower()
    return letter if letter in KEYS else OTHER


def clean_title(title: str) -> str:
    """Returns a title in one line of at most 80 letters, without the password of an address."""
    shown = without_password(title)
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in shown).split())
    if sys.platform == "win32":  # its window titles pass through the code page
        plain = plain.encode("ascii", "replace").decode()
    return plain[:TITLE_LETTERS] or "Faces"


def window_size(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the first window's width and height: the picture's own, or as it fits, in its proportions."""
    width, height = (max(1, side) for side in size)
    shrink = min(1.0, LARGEST[0] / width, LARGEST[1] / height)
    enlarge = max(1.0, min(SMALLEST[0] / width, SMALLEST[1] / height))
    scale = shrink if shrink < 1 else enlarge
    return max(1, round(width * scale)), max(1, round(height * scale))


def _check_qt_platform(framework: str) -> None:
    """The Qt in opencv-python brings the X11 part only, and aborts where another one is asked for."""
    asked = os.environ.get("QT_QPA_PLATFORM", "")
    if asked and framework.startswith("QT") and "xcb" not in re.split("[;:]", asked):
        raise SourceError(
            f"QT_QPA_PLATFORM is {asked!r}, and OpenCV's windows know only 'xcb'.",
            hint=f"Set QT_QPA_PLATFORM=xcb for this command. {HINT}",
        )


def _check_x_server(display: str) -> None:
    if not display:
        raise SourceError("There is no screen to open a window on: DISPLAY is not set.", hint=HINT)
    answer = _x_answer(display)
    if answer is None:
        raise SourceError(f"There is no screen to open a window on: no X server answers at {display!r}.", hint=HINT)
    if not answer and not _window_opens():
        raise SourceError(f"The X server at {display!r} lets no window be opened.", hint=HINT)


def _x_answer(display: str) -> bool | None:
    """Returns whether an X server lets us in without a password; None if nobody answers."""
    hello = struct.pack("<BxHHHHxx", ord("l"), 11, 0, 0, 0)
    for address in _addresses(display):
        try:
            with _connected(address) as connection:
                connection.sendall(hello)
                answer = connection.recv(1)
        except OSError:
            continue
        if answer:
            return answer == b"\x01"
    return None


def _addresses(display: str) -> list[str | tuple[str, int]]:
    """Returns where a display (`:0`, `unix:0.0`, `host:10`) is reached: local sockets by name, or host and port."""
    match = re.fullmatch(r"(?P<host>.*?):(?P<number>\d+)(\.\d+)?", display)
    if match is None:
        return []
    host, number = match["host"], int(match["number"])
    if host in ("", "unix") or host.endswith("/unix"):
        path = f"/tmp/.X11-unix/X{number}"
        return [f"\0{path}", path]
    return [(host.strip("[]"), 6000 + number)]


def _connected(address: str | tuple[str, int]) -> socket.socket:
    if not isinstance(address, str):
        return socket.create_connection(address, timeout=ANSWER_SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(address)
    except OSError:
        connection.close()
        raise
    return connection


def _window_opens() -> bool:
    command = [sys.executable, "-c", TRIAL]
    try:
        trial = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=TRIAL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return trial.returncode == 0
