"""Live sources: a real HTTP camera made of a clip, and doubles of what is hardware."""

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from fer_core.errors import SourceError
from fer_core.live.frame import Frame, NewestFrame, Source
from fer_core.live.sources import open_camera, open_source
from fer_core.live.video import open_stream, without_password
from tests.live.camera_stream import CameraStream

WAIT_SECONDS = 10.0


@pytest.fixture(scope="module")
def clip(test_data) -> Path:
    return test_data / "faces" / "single_face.mp4"


@pytest.fixture(scope="module")
def server(clip) -> Iterator[CameraStream]:
    with CameraStream(clip, rate=50.0) as server:
        yield server


@pytest.fixture
def camera(server) -> Iterator[CameraStream]:
    yield server
    server.accept()


def ten_times_faster(stop: threading.Event, seconds: float) -> bool:
    return stop.wait(seconds / 10)


def eventually(condition: Callable[[], bool]) -> bool:
    """Returns whether a condition comes true within `WAIT_SECONDS`."""
    never, end = threading.Event(), time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            return False
        never.wait(0.002)
    return True


def some_frames(source: Source, count: int) -> list[Frame]:
    frames = []
    while len(frames) < count:
        frame = source.read(WAIT_SECONDS)
        assert frame is not None, source.message
        frames.append(frame)
    return frames


def refusal(address: str, **options: float) -> SourceError:
    """Returns the error of a stream that does not open; it comes within some five seconds, in two lines."""
    began = time.monotonic()
    with pytest.raises(SourceError) as caught:
        open_stream(address, **options).close()
    assert time.monotonic() - began < 6.5
    assert caught.value.hint and "\n" not in f"{caught.value}{caught.value.hint}"
    return caught.value


def test_of_a_live_source_who_is_slow_gets_the_newest_frame_and_the_others_are_counted(camera):
    source = open_source(camera.url)
    frames = some_frames(source, 20)
    assert (source.is_live, source.is_still, source.rate, source.size) == (True, False, None, (640, 360))
    assert source.title == camera.url and source.skipped == []
    assert [frame.seconds for frame in frames] == sorted(frame.seconds for frame in frames)
    assert frames[0].picture_bgr.shape == (360, 640, 3) and frames[0].utc.tzinfo is not None
    for _ in range(3):
        before = source.dropped
        assert eventually(lambda before=before: source.dropped >= before + 10)
        frame = source.read(WAIT_SECONDS)
        assert time.monotonic() - frame.read_at < 0.2
    assert frame.number >= 30
    source.close()


def test_a_stream_that_drops_again_and_again_is_read_on_and_says_so_meanwhile(camera):
    source = open_stream(camera.url, wait=ten_times_faster)
    before = some_frames(source, 5)[-1]
    camera.refuse()
    assert eventually(lambda: source.message.startswith("The stream is gone, trying again "))
    source.read(0)
    assert source.read(0.01) is None and not source.ended
    camera.accept()
    after = some_frames(source, 3)[-1]
    assert source.message == ""
    assert after.number > before.number and after.seconds > before.seconds
    for _ in range(5):
        camera.drop(0.05)
        some_frames(source, 3)
    assert [thread.name for thread in threading.enumerate()].count("read stream") == 1
    source.close()
    assert "read stream" not in [thread.name for thread in threading.enumerate()]


def test_bad_pictures_in_a_stream_are_skipped_and_named(camera):
    source = open_source(camera.address("/damaged.mjpg"))
    assert eventually(lambda: len(source.skipped) >= 2)
    source.close()
    assert [text.partition(" (")[0] for text in source.skipped[:2]] == ["1 before frame 6", "1 before frame 16"]
    assert source.skipped[0].endswith("damaged")


def test_close_returns_at_once_also_while_the_stream_hangs(camera):
    source = open_stream(camera.address("/stalls.mjpg"), answer_seconds=2.0)
    while some_frames(source, 1)[0].number < 9:
        pass
    began = time.monotonic()
    source.close()
    source.close()
    assert time.monotonic() - began < 1.5
    assert source.ended and source.read(WAIT_SECONDS) is None


def test_a_video_on_a_web_server_is_read_like_a_file(camera):
    source = open_source(camera.address("/clip.mp4"))
    assert (source.is_live, source.rate) == (False, pytest.approx(30.0))
    frames = 0
    while not source.ended:
        frames += source.read(WAIT_SECONDS) is not None
    source.close()
    assert frames == 72


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("/page.html", "sends no video that can be read."),
        ("/secret", "asks for a password."),
        ("/other.mjpg", "answers: Server returned 404 Not Found."),
        ("/still.mjpg", "does not answer, or sends no video."),
        ("/hangs", "does not answer, or sends no video."),
    ],
)
def test_a_stream_that_is_none_is_refused_and_says_why(camera, address, problem):
    error = refusal(camera.address(address), answer_seconds=0.5)
    assert str(error) == f"{camera.address(address)} {problem}"


def test_what_is_wrong_with_an_address_is_named_without_the_password(camera):
    camera.refuse()
    refused = refusal(camera.url.replace("//", "//me:secret@"))
    assert str(refused) == f"{camera.url}: 127.0.0.1 refuses connections on port {camera.port}."
    assert "there is no host named no-such-host.invalid" in str(refusal("http://no-such-host.invalid/stream"))
    for address in ("http://", "http://host:port/x", "rtsp://[::1/x"):
        assert address in str(refusal(address))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:p@ss@host/x", "rtsp://host/x"),
        ("http://host:80/a?user=me&pwd=secret", "http://host:80/a?user=…&pwd=…"),
        ("http://host/a@b.mjpg", "http://host/a@b.mjpg"),
    ],
)
def test_nothing_secret_of_an_address_is_shown(url, shown):
    assert without_password(url) == shown


ENDS_WHILE_IT_HANGS = """
import sys, threading
from fer_core.errors import SourceError
from fer_core.live.sources import open_source
from fer_core.live.video import open_stream
source = open_stream(sys.argv[1] + "/stalls.mjpg", answer_seconds=1.0)
while (frame := source.read(0.1)) is None or frame.number < 9:
    pass
for path in ("/damaged.mjpg", "/page.html"):
    try:
        other = open_source(sys.argv[1] + path)
        while len(other.skipped) < 2:
            other.read(0.1)
        other.close()
    except SourceError as error:
        print(error)
source.close()
"""


def test_a_process_ends_well_while_a_stream_hangs_and_its_libraries_say_nothing(camera):
    command = [sys.executable, "-c", ENDS_WHILE_IT_HANGS, camera.address("")]
    child = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (child.returncode, child.stderr) == (0, "")
    assert child.stdout == f"{camera.address('/page.html')} sends no video that can be read.\n"


class ScriptedPictures:
    """A device that gives the pictures it is handed, and is gone when it is handed None."""

    def __init__(self, *pictures: np.ndarray | None):
        self.passed_over = 0
        self.is_released = False
        self.handed: queue.Queue[np.ndarray | None] = queue.Queue()
        for picture in pictures:
            self.handed.put(picture)

    def read(self) -> np.ndarray | None:
        return self.handed.get(timeout=WAIT_SECONDS)

    def release(self) -> None:
        self.is_released = True


PICTURE = np.zeros((48, 64, 3), np.uint8)


def test_the_pauses_grow_from_half_a_second_to_ten_and_start_again_after_a_picture():
    pauses: list[float] = []
    device = ScriptedPictures(PICTURE, None)
    comes_back = iter([None] * 6 + [ScriptedPictures(PICTURE, None)] + [None] * 100)

    def wait(stop: threading.Event, seconds: float) -> bool:
        pauses.append(seconds)
        return stop.wait(WAIT_SECONDS) if len(pauses) == 9 else False

    source = NewestFrame("camera 0", device, lambda: next(comes_back), wait=wait)
    assert eventually(lambda: len(pauses) == 9)
    source.close()
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10, 0.5, 1]
    assert device.is_released


def test_the_message_counts_down_and_says_if_a_device_is_silent():
    now, is_waiting = [100.0], threading.Event()

    def wait(stop: threading.Event, seconds: float) -> bool:
        if seconds == 4:
            is_waiting.set()
            return stop.wait(WAIT_SECONDS)
        return False

    device = ScriptedPictures(PICTURE)
    source = NewestFrame("camera 0", device, lambda: None, noun="camera", clock=lambda: now[0], wait=wait)
    messages = [source.message]
    now[0] = 103.0
    messages.append(source.message)
    device.handed.put(None)
    assert is_waiting.wait(WAIT_SECONDS)
    for now[0] in (103.0, 105.5, 106.9, 107.2):
        messages.append(source.message)
    source.close()
    gone = [f"The camera is gone, trying again {when}." for when in ("in 4 s", "in 2 s", "in 1 s", "now")]
    assert messages == ["", "No picture from the camera for 3 s.", *gone]


def test_a_camera_is_opened_by_its_number_and_read_like_a_stream():
    opened = []

    def open_device(number):
        opened.append(number)
        return ScriptedPictures(PICTURE, PICTURE + 1, None)

    source = open_camera(2, open_device=open_device, wait=ten_times_faster)
    assert eventually(lambda: len(opened) >= 3)
    assert (source.title, source.size, source.is_live) == ("camera 2", (64, 48), True)
    source.close()
    assert set(opened) == {2}


def test_a_driver_that_hangs_does_not_hold_up_the_search_for_another_camera(tmp_path, monkeypatch):
    monkeypatch.setattr("fer_core.live.sources.ANSWER_SECONDS", 0.5)
    may_go_on, began = threading.Event(), time.monotonic()

    def open_device(number: int | str) -> ScriptedPictures | None:
        if number == 1:
            may_go_on.wait(WAIT_SECONDS)
        return ScriptedPictures(PICTURE) if number == 2 else None

    with pytest.raises(SourceError) as caught:
        open_camera(7, open_device=open_device, devices=tmp_path)
    assert time.monotonic() - began < WAIT_SECONDS / 2
    may_go_on.set()
    assert str(caught.value) == "camera 7 does not open (tried 7, 0, 1, 2, 3; there is no /dev/video*)."
    assert caught.value.hint == "Camera 2 does: --source 2"


def test_a_number_that_no_camera_can_have_is_no_camera_that_hangs(tmp_path):
    with pytest.raises(SourceError, match=r"^No camera opens \(tried 20261130123456, "):
        open_camera(20261130123456, devices=tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may use everything")
def test_a_camera_that_you_may_not_use_says_how_to_get_there(tmp_path):
    (tmp_path / "video0").touch(0o000)
    with pytest.raises(SourceError, match="You may not use camera 0") as caught:
        open_camera(0, open_device=lambda number: None, devices=tmp_path)
    assert "usermod" in caught.value.hint
