"""Annotated videos: they play, in the source's own time, whatever ends the program."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.errors import ConfigError, FerError
from fer_core.live.frame import Shown
from fer_core.live.video_output import USUAL_RATE, VIDEO_SUFFIXES, VideoOutput
from tests.live.fakes import frame_at, frames_in, played, shown
from tests.store.conftest import largest_file


def at(seconds: float, picture: np.ndarray | int = 10, size: tuple[int, int] = (64, 48)) -> Shown:
    """Returns a picture of one brightness, or the one given, to be written as that of this time."""
    picture_bgr = np.full((size[1], size[0], 3), picture, np.uint8) if isinstance(picture, int) else picture
    return shown(frame_at(seconds, picture_bgr), picture_bgr=picture_bgr)


def brightness(path: Path) -> list[int]:
    """Returns the mean of each frame, rounded to tens: encoders change it a little."""
    return [round(float(frame.mean()), -1) for frame in played(path)]


@pytest.mark.parametrize("suffix", VIDEO_SUFFIXES)
def test_a_video_plays_with_its_frames_and_its_rate(tmp_path, suffix):
    video = VideoOutput(tmp_path / f"out{suffix}", (64, 48), 12.5)
    for place in range(20):
        video.write(at(place / 12.5, 10 * place))
    video.close()
    video.close()
    assert brightness(video.path) == [10 * place for place in range(20)]
    assert cv2.VideoCapture(str(video.path)).get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    assert video.codec == "H.264"
    assert video.players.startswith("plays in ")


def test_colours_come_back_as_they_were(tmp_path):
    stripes = np.zeros((96, 192, 3), np.uint8)
    colours = [(200, 60, 40), (40, 180, 60), (50, 60, 210), (128, 128, 128), (20, 200, 220), (240, 240, 240)]
    for place, colour in enumerate(colours):
        stripes[:, 32 * place : 32 * place + 32] = colour
    video = VideoOutput(tmp_path / "out.mp4", (192, 96), 25)
    video.write(at(0.0, stripes))
    video.close()
    shown = next(played(video.path))[48, 16::32].astype(int)
    assert np.abs(shown - colours).max() <= 12


@pytest.mark.parametrize(
    ("size", "encoded"),
    [((63, 47), (64, 48)), ((1, 1), (16, 16)), ((641, 16), (642, 16)), ((16_000, 1600), (7680, 768))],
)
def test_odd_tiny_and_enormous_sizes_are_encoded(tmp_path, size, encoded):
    video = VideoOutput(tmp_path / "out.mp4", size, 25)
    video.write(at(0.0, 100, size))
    video.close()
    assert next(played(video.path)).shape == (*encoded[::-1], 3)


def frames_shown(tmp_path: Path, seconds: list[float], rate: float | None = 10.0) -> list[int]:
    """Returns which of the pictures written at these times each frame shows."""
    video = VideoOutput(tmp_path / "out.mp4", (64, 48), rate)
    for place, time in enumerate(seconds):
        video.write(at(time, 20 * place))
    video.close()
    return [level // 20 for level in brightness(video.path)]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        ([5.0, 5.31, 5.4], [0, 0, 0, 1, 2]),  # repeated until the next one is due
        ([0.0, 0.03, 0.06, 0.1, 0.13, 0.2], [0, 2, 5]),  # some that come faster than the rate are left out
        ([place / 10.3 for place in range(10)], list(range(10))),  # a rate that is a little off loses none
        ([0.0, 3600.0, 3600.1], [0] * 101 + [1, 2]),  # a long hole is cut to ten seconds
        ([7.0, 7.1, 0.0, 0.1, 0.2], [0, 1, 3, 4]),  # a clock that jumps back does not stop it
    ],
)
def test_pictures_are_shown_at_their_time(tmp_path, seconds, shown):
    assert frames_shown(tmp_path, seconds) == shown


@pytest.mark.parametrize("rate", [None, 0.0, 1000.0, float("nan")])
def test_an_unknown_rate_becomes_the_usual_one(tmp_path, rate):
    video = VideoOutput(tmp_path / "out.mp4", (64, 48), rate)
    video.write(at(0.0))
    video.close()
    assert cv2.VideoCapture(str(video.path)).get(cv2.CAP_PROP_FPS) == USUAL_RATE


def test_without_a_picture_there_is_no_file(tmp_path):
    VideoOutput(tmp_path / "out.mp4", (64, 48), 25).close()
    assert list(tmp_path.iterdir()) == []


def refusal(path: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        VideoOutput(path, (64, 48), 25)
    return caught.value


def test_a_missing_folder_and_a_file_that_is_there_are_refused_unless_it_may_be_overwritten(tmp_path):
    error = refusal(tmp_path / "my videos" / "out.mp4")
    assert f"there is no folder {tmp_path / 'my videos'}" in str(error)
    assert error.hint == f"Make it first: mkdir -p '{tmp_path / 'my videos'}'"
    path = tmp_path / "my film.mp4"
    path.write_bytes(b"the only copy")
    assert str(refusal(path)) == f"{path} is already there, and is not replaced."
    video = VideoOutput(path, (64, 48), 25, overwrite=True)
    assert path.read_bytes() == b"the only copy"
    video.write(at(0.0, 50))
    video.close()
    assert brightness(path) == [50]


def test_a_disk_that_fills_up_ends_the_video_with_one_error_and_what_was_written_plays(tmp_path):
    video = VideoOutput(tmp_path / "out.mp4", (640, 360), 25)
    noise = np.random.default_rng(1)
    with largest_file(2**20), pytest.raises(FerError) as caught:
        for number in range(1000):
            video.write(at(number / 25, noise.integers(0, 256, (360, 640, 3), dtype=np.uint8)))
    assert str(video.path) in str(caught.value) and caught.value.hint
    video.write(at(100.0))
    video.close()
    assert frames_in(video.path)


WRITES_FOR_EVER = """
import sys
from pathlib import Path
from fer_core.live.video_output import VideoOutput
from tests.live.fakes import frame_of, frames, shown
(grey,) = frames(1)
video = VideoOutput(Path(sys.argv[1]), (64, 48), 25)
for frame in range(10**9):
    video.write(shown(frame_of(grey.picture_bgr, frame, rate=25.0), picture_bgr=grey.picture_bgr))
    if frame == 200:
        print("running", flush=True)
"""


def test_a_video_plays_after_kill_9(tmp_path):
    command = [sys.executable, "-c", WRITES_FOR_EVER, str(tmp_path / "out.mp4")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert child.stdout.readline() == b"running\n"
    child.kill()
    child.communicate(timeout=20)
    assert frames_in(tmp_path / "out.mp4") >= 150
