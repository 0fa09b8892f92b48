"""The window: a sentence and not a crash where there is no screen, and real keys and pixels on a real X server."""

import os
import select
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from fer_core.errors import SourceError
from fer_core.live import screen
from fer_core.live.layout import KEYS
from fer_core.live.screen import OTHER, check_display, meaning_of, show_still, window_size
from fer_core.store.files import DiskFullError
from tests.live.fakes import face, frames, shown

SHOWING = """
import sys, time
import cv2
import numpy as np
from fer_core.live.screen import Window, check_display
check_display()
picture = np.full((120, 160, 3), (30, 90, 200), np.uint8)
window = Window("Faces of\\na test", (160, 120))
for _ in range(20):
    window.show(picture)
    window.key()
print("shown", flush=True)
key, latest = None, time.monotonic() + 90
while key != "q" and time.monotonic() < latest:
    window.show(picture)
    key = window.key()
    if key:
        print(key, flush=True)
print(window.is_closed, flush=True)
cv2.destroyWindow("Faces of a test")  # what the close button does
print(window.is_closed, flush=True)
window.show(picture)
window.close()
window.close()
print(window.key(), flush=True)
"""
PAINTED = (30, 90, 200)
needs_x_server = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="Xvfb is not installed.")


@pytest.fixture
def refusal(monkeypatch) -> Callable[..., SourceError | None]:
    """A function that looks for a screen with these variables, and returns why there is none."""

    def look(**environment: str) -> SourceError | None:
        monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        try:
            return check_display()
        except SourceError as error:
            return error

    return look


@pytest.fixture
def x_server(tmp_path) -> Iterator[tuple[str, Path]]:
    """A display of 800 by 600 pixels, and the file that holds what is on it."""
    reading_end, writing_end = os.pipe()
    screen = ["-screen", "0", "800x600x24", "-fbdir", str(tmp_path)]
    # Else it begins anew when its last client goes, which looking for a display is, and loses the next one's window.
    command = ["Xvfb", "-displayfd", str(writing_end), "-nolisten", "tcp", "-noreset", *screen]
    with subprocess.Popen(command, pass_fds=[writing_end], stderr=subprocess.DEVNULL) as server:
        os.close(writing_end)
        with os.fdopen(reading_end) as answer:
            number = answer.readline().strip()
        yield f":{number}", tmp_path / "Xvfb_screen0"
        server.terminate()


def pixels_of(screen: Path) -> np.ndarray:
    """Returns what Xvfb shows, BGR; its file has the format of xwd."""
    data = screen.read_bytes()
    header = struct.unpack(">25I", data[:100])
    width, height, line, colours = header[4], header[5], header[12], header[19]
    start = header[0] + 12 * colours
    rows = np.frombuffer(data, np.uint8, count=line * height, offset=start).reshape(height, line)
    return rows[:, : 4 * width].reshape(height, width, 4)[:, :, :3]


def painted(screen: Path) -> int:
    """Returns how many pixels of the screen have the picture's colour."""
    return int((pixels_of(screen) == PAINTED).all(axis=2).sum())


@pytest.mark.parametrize("display", [":4093", "nonsense"])
def test_a_screen_that_does_not_answer_is_named(refusal, display):
    assert f"DISPLAY is {display!r}" in str(refusal(DISPLAY=display))


@needs_x_server
def test_a_screen_that_answers_is_enough_unless_qt_is_told_to_take_another(x_server, refusal):
    assert refusal(DISPLAY=x_server[0]) is None
    error = refusal(DISPLAY=x_server[0], QT_QPA_PLATFORM="wayland")
    assert "QT_QPA_PLATFORM 'wayland'" in str(error) and "QT_QPA_PLATFORM=xcb" in error.hint


def test_an_opencv_without_windows_is_named(monkeypatch):
    monkeypatch.setattr(screen.cv2, "currentUIFramework", lambda: "")
    with pytest.raises(SourceError, match="opencv-python-headless") as caught:
        check_display()
    assert "pip install opencv-python" in caught.value.hint


@needs_x_server
@pytest.mark.skipif(shutil.which("xdotool") is None, reason="xdotool is not installed.")
def test_a_window_shows_the_picture_and_tells_the_keys(x_server):
    display, screen = x_server
    environment = os.environ | {"DISPLAY": display}
    environment.pop("QT_QPA_PLATFORM", None)
    command = [sys.executable, "-c", SHOWING]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "shown\n"
        search = ["xdotool", "search", "--name", "^Faces of a test$"]
        window = subprocess.check_output(search, env=environment, text=True).split()[0]
        # Without a window manager, Qt now and then misses that the window may be painted: so it appears once more.
        steps = ("windowunmap", "windowmap", "windowfocus")
        command = ["xdotool", *(word for step in steps for word in (step, "--sync", window))]
        subprocess.run(command, env=environment, check=True)
        # Keys that come before the window has noticed its focus are lost.
        while not select.select([child.stdout], [], [], 0.5)[0]:
            subprocess.run(["xdotool", "key", "x"], env=environment, check=True)
        while not painted(screen):  # it is painted some time after it takes keys
            assert child.poll() is None
            time.sleep(0.05)
        pixels = painted(screen)
        keys = ["key", "--delay", "150", "s", "x", "Left", "H", "Escape"]  # two at once are one to OpenCV
        subprocess.run(["xdotool", *keys], env=environment, check=True)
        answers = child.stdout.read().split()
    assert answers[answers.index("s") :] == ["s", "other", "other", "h", "q", "False", "True", "None"]
    assert 0.99 * 480 * 360 < pixels <= 480 * 360  # all but the mouse pointer


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (640, 480)),
        ((1920, 1080), (1280, 720)),
        ((1080, 1920), (405, 720)),
        ((48, 48), (360, 360)),
        ((160, 120), (480, 360)),
        ((12000, 10), (1280, 1)),
        ((0, 0), (360, 360)),
    ],
)
def test_the_first_window_fits_a_small_screen_and_is_large_enough_to_see(size, expected):
    assert window_size(size) == expected


def test_keys_are_told_from_each_other_from_those_that_only_change_others_and_from_none():
    assert all(meaning_of(ord(letter)) == meaning_of(ord(letter.upper())) == letter for letter in KEYS)
    escape, enter, num_lock = 27, 13, 1 << 20
    cursor_keys = (65361, 16777234, 0x250000, 0xF702)  # GTK, Qt, Windows, macOS: cut to 8 bits some would be Q
    assert meaning_of(escape) == "q"
    assert meaning_of(num_lock | ord("p")) == "p"
    assert {meaning_of(code) for code in (ord("x"), ord(" "), enter, *cursor_keys)} == {OTHER}
    assert meaning_of(-1) is meaning_of(0) is None
    shift, alt = (0xFFE1, 1 << 20 | 0xFFE1, 0x01000020), (0xFFE9, 0x01000023)  # X11, with Num Lock, Qt
    super_key_of_qt = 0x01000053  # cut to 8 bits it would be S
    assert {meaning_of(code) for code in (*shift, *alt, super_key_of_qt)} == {None}


GREY = np.full((48, 64, 3), 90, np.uint8)
SENTENCE = "Any key shows the next picture."


class StillWindow:
    """A window in memory: gives the keys that it was handed, and is closed after the last of them."""

    def __init__(self, keys: Sequence[str | None]):
        self._keys = list(keys)
        self.pictures: list[np.ndarray] = []
        self.show = self.pictures.append

    @property
    def is_closed(self) -> bool:
        return not self._keys

    def key(self) -> str | None:
        return self._keys.pop(0)


def still(*keys: str | None, picture_bgr: np.ndarray = GREY, problem: Exception | None = None) -> tuple:
    """Returns whether the next one is wanted, what was said in the picture, what the window of 200 by 100 showed."""
    window, said = StillWindow(keys), []

    def draw(one, message: str) -> np.ndarray:
        said.append(message)
        return one.picture_bgr

    def save(one) -> Path:
        if problem:
            raise problem
        return Path("live/snapshot_001.png")

    one = shown(frames(1)[0], face(person=None), picture_bgr=picture_bgr)
    goes_on = show_still(window, one, (200, 100), keys=SENTENCE, draw=draw, save=save)
    return goes_on, said, window.pictures


@pytest.mark.parametrize(
    ("keys", "goes_on"), [([None, None, "other"], True), (["r"], True), ([None, "q", "other"], False), ([None], False)]
)
def test_any_key_goes_to_the_next_picture_but_q_and_a_closed_window_end_it(keys, goes_on):
    assert still(*keys)[0] == goes_on


def test_h_shows_the_keys_and_s_saves_and_both_stay_with_the_picture():
    goes_on, said, pictures = still("h", None, "s", None, "other")
    assert (goes_on, said, len(pictures)) == (True, [SENTENCE, "Saved snapshot_001.png."], 3)
    goes_on, said, _ = still("s", "other", problem=DiskFullError("No room.", hint="Make some."))
    assert (goes_on, said) == (True, ["No room. Make some."])


@pytest.mark.parametrize(("size", "shown"), [((40, 80), (50, 100)), ((800, 100), (200, 25)), ((30, 20), (150, 100))])
def test_every_picture_keeps_its_proportions(size, shown):
    *_, (picture_bgr,) = still("other", picture_bgr=np.full((size[1], size[0], 3), 255, np.uint8))
    assert picture_bgr.shape == (100, 200, 3)
    rows, columns = np.nonzero(picture_bgr[:, :, 0] == 255)
    assert (columns.max() - columns.min() + 1, rows.max() - rows.min() + 1) == shown
