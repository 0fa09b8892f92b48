"""What the keys do, when a frame or a picture is shown, and what is said."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fer_core.live.capturing import Recorder
from fer_core.live.frame import Shown
from fer_core.live.screen import NOTICE_SECONDS, LiveView, show_still
from fer_core.store.files import DiskFullError
from tests.live.fakes import LABELS, FakeCamera, FakeClock, frames, happy_face


class FakeWindow:
    """A window in memory: gives the keys that it was handed, and its clock moves on with every look at the keyboard."""

    def __init__(self, clock: FakeClock, keys: Sequence[str | None] = ()):
        self._clock, self._keys = clock, list(keys)
        self.is_closed = False
        self.pictures: list[np.ndarray] = []

    def show(self, picture_bgr: np.ndarray) -> None:
        self.pictures.append(picture_bgr)

    def key(self) -> str | None:
        self._clock.now += 0.001
        return self._keys.pop(0) if self._keys else None


class Named:
    name = "haar"
    labels = LABELS


class FakePredictor:
    classifier = detector = Named()
    faces = {}


class Room:
    """A view with everything that belongs to it."""

    def __init__(self, folder, keys: Sequence[str | None] = (), *, is_live: bool = True):
        self.clock, self.camera = FakeClock(), FakeCamera(frames(50), is_live=is_live)
        self.window, self.recorder = FakeWindow(self.clock, keys), Recorder(folder, rate=25.0)
        self.view = LiveView(
            self.camera,
            FakePredictor(),
            window=self.window,
            recorder=self.recorder,
            next_detector=lambda: "Faces are found by yunet now.",
            clock=self.clock,
        )

    def show(self, frame) -> Shown:
        predictions = (happy_face(person=1),)
        shown = Shown(frame, predictions, self.view.for_file(frame, predictions, 25.0), 25.0)
        self.recorder.write(shown)
        self.view.show(shown)
        return shown


@pytest.fixture
def room(tmp_path):
    """Returns a function that makes a screen with these keys pressed one after the other."""
    return lambda *keys, **options: Room(tmp_path, keys, **options)


def test_q_and_closing_the_window_end_it(room):
    here = room("q")
    here.view.idle()  # also before the first frame
    assert here.view.wants_to_end and here.window.pictures == []
    here = room()
    here.window.is_closed = True
    assert here.view.wants_to_end


def test_p_stops_and_goes_on(room):
    here = room("p", "p")
    here.show(frames(1)[0])
    assert here.view.is_paused
    here.view.idle()
    assert not here.view.is_paused


@pytest.mark.parametrize(("key", "attribute"), [("h", "shows_help"), ("e", "shows_heat")])
def test_help_and_heat_are_switched_on_and_off(room, key, attribute):
    here = room(key, key)
    here.show(frames(1)[0])
    assert getattr(here.view, attribute)
    here.view.idle()
    assert not getattr(here.view, attribute)


def test_s_saves_the_frame_and_says_so_for_a_while(room, tmp_path):
    here = room("s")
    here.show(frames(1)[0])
    assert (tmp_path / "snapshot_001.png").is_file()
    assert here.view.notice == "Saved snapshot_001.png."
    assert here.view._notice_until - here.clock.now == pytest.approx(NOTICE_SECONDS, abs=0.01)


def test_r_records_until_it_is_pressed_again(room, tmp_path):
    here = room("r", *[None] * 5, "r")
    for frame in frames(8):
        here.show(frame)
    assert not here.recorder.needs_picture
    assert (tmp_path / "recording.mp4").stat().st_size > 0


def test_a_recording_that_ended_by_itself_is_told_once(room):
    here = room()
    here.recorder.problem = "The disk is full."
    here.show(frames(1)[0])
    assert here.view.notice == "The disk is full."
    assert here.recorder.problem == ""


def test_what_is_kept_of_a_file_has_no_messages_and_no_frames_per_second(room):
    here = room("h", is_live=False)
    given = frames(1, size=(640, 480))[0]
    kept = here.show(given).picture_bgr
    here.view.idle()
    assert not np.array_equal(kept, here.window.pictures[-1])
    anew = room(is_live=False).view
    assert np.array_equal(kept, anew.for_file(given, (happy_face(person=1),), 99.0))


def test_d_takes_the_next_detector(room):
    here = room("d")
    here.show(frames(1)[0])
    assert here.view.notice == "Faces are found by yunet now."


def test_what_cannot_be_saved_is_told_on_the_screen_and_the_view_goes_on(room, tmp_path):
    here = room("s", "q")
    here.recorder.snapshot = lambda *_: (_ for _ in ()).throw(DiskFullError("The disk is full.", hint="Make room."))
    here.show(frames(1)[0])
    assert here.view.notice == "The disk is full. Make room."
    here.view.idle()
    assert here.view.wants_to_end


@pytest.mark.parametrize(("is_live", "seconds"), [(False, 0.1), (True, 0.001)])
def test_a_frame_of_a_file_is_shown_until_the_next_is_due_and_one_of_a_camera_at_once(room, is_live, seconds):
    here = room(is_live=is_live)
    shown_at = []
    for frame in frames(5, rate=10.0):
        shown_at.append(here.clock.now)
        here.show(frame)
    assert np.allclose(np.diff(shown_at)[1:], seconds, atol=0.005)


def test_a_lost_camera_is_told_over_the_last_picture(room):
    here = room()
    here.show(frames(1, size=(640, 480))[0])
    here.camera.message = "The stream is gone, trying again in 4 s."
    here.view.idle()
    assert not np.array_equal(here.window.pictures[-1], here.window.pictures[0])


GREY = np.full((48, 64, 3), 90, np.uint8)
KEYS = "Any key shows the next picture."


class StillWindow:
    """A window in memory: gives the keys that it was handed, and is closed after the last of them."""

    def __init__(self, *keys: str | None):
        self._keys = list(keys)
        self.pictures: list[np.ndarray] = []

    @property
    def is_closed(self) -> bool:
        return not self._keys

    def show(self, picture_bgr: np.ndarray) -> None:
        self.pictures.append(picture_bgr)

    def key(self) -> str | None:
        return self._keys.pop(0)


class StillRoom:
    """A screen of 200 by 100 pixels, what is said in its pictures, and how many were saved."""

    def __init__(self, keys: Sequence[str | None], *, problem: Exception | None = None):
        self.window, self.problem = StillWindow(*keys), problem
        self.said: list[str] = []
        self.saved: list[int] = []

    def draw(self, shown: Shown, message: str) -> np.ndarray:
        self.said.append(message)
        return shown.picture_bgr

    def save(self, shown: Shown) -> Path:
        if self.problem:
            raise self.problem
        self.saved.append(shown.frame.number)
        return Path("live") / "snapshot_001.png"

    def show(self, picture_bgr: np.ndarray = GREY) -> bool:
        shown = Shown(frames(1)[0], (happy_face(),), picture_bgr)
        return show_still(self.window, shown, (200, 100), keys=KEYS, draw=self.draw, save=self.save)


@pytest.mark.parametrize(
    ("keys", "goes_on"), [([None, None, "other"], True), (["r"], True), ([None, "q", "other"], False), ([None], False)]
)
def test_any_key_goes_to_the_next_picture_but_q_and_a_closed_window_end_it(keys, goes_on):
    assert StillRoom(keys).show() == goes_on


def test_h_shows_the_keys_and_s_saves_and_both_stay_with_the_picture():
    room = StillRoom(["h", None, "s", None, "other"])
    assert room.show()
    assert room.said == [KEYS, "Saved snapshot_001.png."]
    assert room.saved == [0]
    assert len(room.window.pictures) == 3
    room = StillRoom(["s", "other"], problem=DiskFullError("No room.", hint="Make some."))
    assert room.show() and room.said == ["No room. Make some."]


@pytest.mark.parametrize(("size", "shown"), [((40, 80), (50, 100)), ((800, 100), (200, 25)), ((30, 20), (150, 100))])
def test_every_picture_keeps_its_proportions(size, shown):
    room = StillRoom(["other"])
    room.show(np.full((size[1], size[0], 3), 255, np.uint8))
    (picture_bgr,) = room.window.pictures
    assert picture_bgr.shape == (100, 200, 3)
    rows, columns = np.nonzero(picture_bgr[:, :, 0] == 255)
    assert (columns.max() - columns.min() + 1, rows.max() - rows.min() + 1) == shown
