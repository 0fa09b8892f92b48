"""The loop: what it takes, what it hands on, when it ends; and what the keys do, and what is said in the window."""

from collections.abc import Sequence

import numpy as np
import pytest

from fer_core.live.capturing import Recorder
from fer_core.live.frame import Shown
from fer_core.live.loop import NOTICE_SECONDS, WAIT_SECONDS, LiveLoop, LiveView
from fer_core.store.files import DiskFullError
from tests.live.fakes import LABELS, FakeCamera, FakeClock, face, frames


class Named:
    name = "haar"
    labels = LABELS


class FakePredictor:
    """A predictor that sees one happy face in every frame."""

    classifier = detector = Named()
    faces = {}
    stage_seconds = {"detect": 0.001, "classify": 0.001}

    def read(self, frame) -> list:
        return [face()]


class Keeping:
    """A sink that keeps what it gets, up to a number."""

    def __init__(self, *, needs_picture: bool = False, wanted: int = 10**9):
        self.needs_picture, self._wanted = needs_picture, wanted
        self.kept = []

    @property
    def is_done(self) -> bool:
        return len(self.kept) >= self._wanted

    def write(self, shown) -> None:
        self.kept.append(shown)


class CountingScreen:
    """A screen that counts, and wants to end after so many idle moments."""

    def __init__(self, *, ends_after: int = 10**9, is_paused: bool = False):
        self.idle_moments, self.shown, self.is_paused = 0, 0, is_paused
        self._ends_after = ends_after

    @property
    def wants_to_end(self) -> bool:
        return self.idle_moments >= self._ends_after

    def show(self, shown) -> None:
        self.shown += 1

    def idle(self) -> None:
        self.idle_moments += 1


def loop(camera, *sinks, **parts) -> LiveLoop:
    def draw(frame, predictions, rate):
        return frame.picture_bgr.copy()

    return LiveLoop(camera, FakePredictor(), draw=draw, sinks=sinks, **parts)


def test_every_frame_reaches_every_sink_and_is_drawn_where_one_wants_pictures():
    plain, one, other = Keeping(), Keeping(), Keeping(needs_picture=True)
    loop(FakeCamera(frames(3)), plain).run()
    assert [shown.picture_bgr for shown in plain.kept] == [None] * 3
    loop(FakeCamera(frames(5)), one, other).run()
    assert [shown.frame.number for shown in one.kept] == [0, 1, 2, 3, 4]
    assert [shown.predictions[0].label for shown in other.kept] == ["happy"] * 5
    assert all(shown.picture_bgr is not None for shown in other.kept)
    assert list(other.kept[0].stage_seconds) == ["detect", "classify", "draw"]


def test_a_capture_that_has_all_it_wanted_ends_its_own_run():
    camera, always = FakeCamera(frames(9)), Keeping()
    first, second = Keeping(wanted=2), Keeping(wanted=3)
    both = loop(camera, always)
    both.run(capture=first)
    both.run(capture=second)
    assert [shown.frame.number for shown in first.kept] == [0, 1]
    assert [shown.frame.number for shown in second.kept] == [2, 3, 4]
    assert len(always.kept) == 5
    assert not camera.ended


def test_while_paused_no_frame_is_taken_and_the_processor_rests():
    camera, waited = FakeCamera(frames(9)), []
    loop(camera, screen=CountingScreen(ends_after=3, is_paused=True), wait=waited.append).run()
    assert not camera.ended
    assert waited == [WAIT_SECONDS] * 3


def test_moments_without_a_frame_leave_the_screen_alive_which_can_end_it():
    screen = CountingScreen()
    loop(FakeCamera([None, *frames(2), None, None]), screen=screen).run()
    assert (screen.shown, screen.idle_moments) == (2, 2)  # the last one finds the source ended
    screen = CountingScreen(ends_after=3)
    loop(FakeCamera([None] * 50), screen=screen).run()
    assert screen.idle_moments == 3


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
        shown = Shown(frame, (face(),), self.view.for_file(frame, (face(),), 25.0), 25.0)
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


@pytest.mark.parametrize(("key", "attribute"), [("p", "is_paused"), ("h", "shows_help"), ("e", "shows_heat")])
def test_pause_help_and_heat_are_switched_on_and_off(room, key, attribute):
    here = room(key, key)
    here.show(frames(1)[0])
    assert getattr(here.view, attribute)
    here.view.idle()
    assert not getattr(here.view, attribute)


@pytest.mark.parametrize(("key", "says"), [("s", "Saved snapshot_001.png."), ("d", "Faces are found by yunet now.")])
def test_what_a_key_did_is_said_for_a_while(room, tmp_path, key, says):
    here = room(key)
    frame = frames(1, size=(640, 480))[0]
    here.show(frame)
    assert (tmp_path / "snapshot_001.png").is_file() == (key == "s")
    assert here.view.notice == says
    for _ in range(2):
        here.view.idle()
        here.clock.now += NOTICE_SECONDS
    assert not np.array_equal(here.window.pictures[-1], here.window.pictures[-2])


def test_r_records_until_it_is_pressed_again(room, tmp_path):
    here = room("r", *[None] * 5, "r")
    for frame in frames(8):
        here.show(frame)
    assert not here.recorder.needs_picture
    assert (tmp_path / "recording.mp4").stat().st_size > 0


def test_what_is_kept_of_a_file_has_no_messages_and_no_frames_per_second(room):
    here = room("h", is_live=False)
    given = frames(1, size=(640, 480))[0]
    kept = here.show(given).picture_bgr
    here.view.idle()
    assert not np.array_equal(kept, here.window.pictures[-1])
    anew = room(is_live=False).view
    assert np.array_equal(kept, anew.for_file(given, (face(),), 99.0))


def test_what_cannot_be_saved_is_said_on_the_screen_and_the_view_goes_on(room):
    here = room("s", None, "q")
    here.recorder.snapshot = lambda *_: (_ for _ in ()).throw(DiskFullError("The disk is full.", hint="Make room."))
    here.show(frames(1)[0])
    assert here.view.notice == "The disk is full. Make room."
    here.recorder.problem = "No room for the recording."  # it ended by itself
    here.show(frames(1)[0])
    assert (here.view.notice, here.recorder.problem) == ("No room for the recording.", "")
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


def test_a_lost_camera_is_said_over_the_last_picture(room):
    here = room()
    here.show(frames(1, size=(640, 480))[0])
    here.camera.message = "The stream is gone, trying again in 4 s."
    here.view.idle()
    assert not np.array_equal(here.window.pictures[-1], here.window.pictures[0])
