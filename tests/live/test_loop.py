"""The loop: what it takes, what it hands on, and when it ends."""

from fer_core.live.loop import WAIT_SECONDS, LiveLoop, Rate
from tests.live.fakes import FakeCamera, FakeClock, FakePredictor, frames


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

    def close(self) -> None:
        pass


class CountingScreen:
    """A screen that counts, and wants to end after so many idle moments."""

    is_paused = False

    def __init__(self, *, ends_after: int = 10**9):
        self.idle_moments, self.shown = 0, 0
        self._ends_after = ends_after

    @property
    def wants_to_end(self) -> bool:
        return self.idle_moments >= self._ends_after

    def show(self, shown) -> None:
        self.shown += 1

    def idle(self) -> None:
        self.idle_moments += 1


class PausedScreen(CountingScreen):
    """A paused screen that ends after three moments."""

    is_paused = True

    def __init__(self):
        super().__init__(ends_after=3)


def draw(frame, predictions, rate):
    return frame.picture_bgr.copy()


def test_every_frame_reaches_every_sink_in_order_until_the_source_ends():
    one, other = Keeping(), Keeping()
    LiveLoop(FakeCamera(frames(5)), FakePredictor(), draw=draw, sinks=[one, other]).run()
    assert [shown.frame.number for shown in one.kept] == [0, 1, 2, 3, 4]
    assert [shown.predictions[0].label for shown in other.kept] == ["happy"] * 5


def test_it_is_drawn_where_one_sink_wants_pictures_and_what_that_took_is_a_stage():
    plain, sink = Keeping(), Keeping(needs_picture=True)
    LiveLoop(FakeCamera(frames(3)), FakePredictor(), draw=draw, sinks=[plain]).run()
    assert [shown.picture_bgr for shown in plain.kept] == [None] * 3
    LiveLoop(FakeCamera(frames(3)), FakePredictor(), draw=draw, sinks=[Keeping(), sink]).run()
    assert all(shown.picture_bgr is not None for shown in sink.kept)
    assert list(sink.kept[0].stage_seconds) == ["detect", "classify", "draw"]


def test_a_sink_that_has_all_it_wanted_ends_the_loop():
    sink = Keeping(wanted=2)
    camera = FakeCamera(frames(9))
    LiveLoop(camera, FakePredictor(), draw=draw, sinks=[sink]).run()
    assert len(sink.kept) == 2
    assert not camera.ended


def test_a_capture_is_only_of_its_own_run():
    camera, always = FakeCamera(frames(9)), Keeping()
    first, second = Keeping(wanted=2), Keeping(wanted=3)
    loop = LiveLoop(camera, FakePredictor(), draw=draw, sinks=[always])
    loop.run(capture=first)
    loop.run(capture=second)
    assert [shown.frame.number for shown in first.kept] == [0, 1]
    assert [shown.frame.number for shown in second.kept] == [2, 3, 4]
    assert len(always.kept) == 5


def test_while_paused_no_frame_is_taken_and_the_processor_rests():
    screen, camera, waited = PausedScreen(), FakeCamera(frames(9)), []
    LiveLoop(camera, FakePredictor(), draw=draw, screen=screen, wait=waited.append).run()
    assert not camera.ended
    assert waited == [WAIT_SECONDS] * 3


def test_moments_without_a_frame_leave_the_screen_alive():
    screen = CountingScreen()
    LiveLoop(FakeCamera([None, *frames(2), None, None]), FakePredictor(), draw=draw, screen=screen).run()
    assert (screen.shown, screen.idle_moments) == (2, 2)  # the last one finds the source ended


def test_the_screen_can_end_it_while_the_camera_is_gone():
    screen = CountingScreen(ends_after=3)
    LiveLoop(FakeCamera([None] * 50), FakePredictor(), draw=draw, screen=screen).run()
    assert screen.idle_moments == 3


def test_frames_per_second_are_those_of_the_last_two_seconds():
    clock = FakeClock()
    rate = Rate(clock)
    assert rate.tick() == 0.0
    for step in (0.1,) * 50 + (0.05,) * 50:
        clock.now += step
        per_second = rate.tick()
    assert round(per_second, 6) == 20.0
