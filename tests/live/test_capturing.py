"""Snapshots, recordings and captures."""

import json

import cv2
import numpy as np
import pytest

from fer_core.errors import ConfigError, SourceError
from fer_core.live.capturing import ClipCapture, PictureCapture, Recorder
from fer_core.live.frame import Shown
from fer_core.live.output_path import free_path
from fer_core.store.files import DiskFullError
from tests.live.fakes import LABELS, frames, frames_in, happy_face


def shown(number: int, *, rate: float = 25.0) -> list[Shown]:
    """Returns frames with a reading; the annotated picture is white."""
    given = frames(number, rate=rate)
    return [Shown(frame, (happy_face(person=1),), np.full_like(frame.picture_bgr, 255)) for frame in given]


def test_a_snapshot_is_the_frame_the_annotated_frame_and_the_readings(tmp_path):
    recorder = Recorder(tmp_path / "live", rate=25.0)
    (taken,) = shown(1)
    path = recorder.snapshot(taken, taken.picture_bgr)
    assert np.array_equal(cv2.imread(str(path)), taken.frame.picture_bgr)
    assert cv2.imread(str(path.with_name("snapshot_001_annotated.png"))).min() == 255
    assert json.loads(path.with_suffix(".json").read_text())["faces"][0]["label"] == "happy"


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    recorder = Recorder(tmp_path / "file" / "live", rate=25.0)
    (taken,) = shown(1)
    with pytest.raises(SourceError, match="cannot be written") as caught:
        recorder.snapshot(taken, taken.picture_bgr)
    assert "--folder" in caught.value.hint
    with pytest.raises(ConfigError, match="Nothing can be written"):
        recorder.start((64, 48))


def test_a_recording_has_the_frames_between_its_two_keys_and_plays(tmp_path):
    recorder = Recorder(tmp_path, rate=25.0)
    given = shown(30)
    path = recorder.start((64, 48))
    assert recorder.needs_picture
    for one in given[1:21]:
        recorder.write(one)
    recorder.close()
    recorder.write(given[21])
    assert recorder.paths == [path]
    assert not recorder.needs_picture
    assert abs(frames_in(path) - 20) <= 1


def test_a_recording_that_cannot_go_on_ends_and_says_why(tmp_path):
    recorder = Recorder(tmp_path, rate=25.0)
    path = recorder.start((64, 48))
    recorder._video.write = lambda *_: (_ for _ in ()).throw(DiskFullError("The disk is full."))
    recorder.write(shown(1)[0])
    assert recorder.problem == "The disk is full."
    assert (recorder.needs_picture, recorder.paths) == (False, [path])


def test_nothing_that_is_there_is_written_over(tmp_path):
    assert free_path(tmp_path, "clip.mp4") == tmp_path / "clip.mp4"
    (tmp_path / "clip.mp4").write_text("")
    assert free_path(tmp_path, "clip.mp4") == tmp_path / "clip_2.mp4"


def test_pictures_are_taken_one_a_second(tmp_path):
    taken = []
    capture = PictureCapture(tmp_path, 3, report=lambda one, path: taken.append((one.frame.number, path.name)))
    for one in shown(100):
        if not capture.is_done:
            capture.write(one)
    assert taken == [(0, "picture_001.png"), (25, "picture_002.png"), (50, "picture_003.png")]
    assert capture.is_done


def test_a_source_that_ends_too_early_is_told_and_what_was_taken_stays(tmp_path):
    capture = PictureCapture(tmp_path, 5, report=lambda one, path: None)
    for one in shown(30):
        capture.write(one)
    assert not capture.is_done and capture.progress == "2 of 5 pictures"
    assert (tmp_path / "picture_002.png").is_file()


@pytest.fixture
def clip(tmp_path):
    return ClipCapture(tmp_path, 1.0, labels=LABELS, size=(64, 48), rate=25.0)


def test_a_clip_has_its_length_plays_and_has_its_readings_beside_it(clip, tmp_path):
    for one in shown(60):
        if not clip.is_done:
            clip.write(one)
    clip.close()
    assert clip.is_done
    assert abs(frames_in(clip.path) - 25) <= 1
    rows = (tmp_path / "clip.csv").read_text().splitlines()
    assert len(rows) == 1 + frames_in(clip.path)
    assert "happy" in rows[1]


def test_a_clip_that_is_cut_short_is_told_and_plays(clip):
    for one in shown(14):
        clip.write(one)
    clip.close()
    assert not clip.is_done and clip.progress == "0.5 of 1 seconds of the clip"
    assert frames_in(clip.path) >= 13
