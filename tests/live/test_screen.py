"""What the keys do, when a frame is shown, and what is told."""

from collections.abc import Sequence

import numpy as np
import pytest

from fer_core.live.capturing import Recorder
from fer_core.live.frame import Shown
from fer_core.live.screen import NOTICE_SECONDS, LiveView
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
