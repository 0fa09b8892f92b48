"""Snapshots, recordings, captures and annotated pictures: nothing is written over by accident."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.errors import ConfigError, SourceError
from fer_core.live.capturing import AnnotatedPictures, ClipCapture, PictureCapture, Recorder
from fer_core.live.frame import Shown
from fer_core.live.output_path import free_path
from fer_core.store.files import DiskFullError
from tests.live.fakes import LABELS, frames, frames_in, happy_face
from tests.store.conftest import largest_file


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


GREY = np.full((48, 64, 3), 90, np.uint8)


def save_pictures(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(cv2.imencode(Path(name).suffix, GREY)[1].tobytes())
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of three pictures, two of them of one stem."""
    return save_pictures(tmp_path / "pictures", "x.jpg", "x.png", "y.png")


def refusal(output: Path, source: Path, *, overwrite: bool = False) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        AnnotatedPictures(output, source, overwrite=overwrite)
    assert caught.value.hint
    return caught.value


def test_a_picture_that_is_there_is_kept_unless_it_may_be_overwritten(folder, tmp_path):
    output = tmp_path / "keep.png"
    output.write_bytes(b"precious")
    error = refusal(output, folder / "x.jpg")
    assert str(error) == f"{output} is already there, and is not replaced."
    assert error.hint == "Give another name, or --overwrite."
    assert output.read_bytes() == b"precious"
    path = AnnotatedPictures(output, folder / "x.jpg", overwrite=True).save(GREY, "x.jpg")
    assert path == output
    assert np.array_equal(cv2.imread(str(output)), GREY)


def test_a_folder_read_twice_is_refused_before_anything_is_written(folder, tmp_path):
    first = AnnotatedPictures(tmp_path / "kept", folder, overwrite=False)
    first.save(GREY, "y.png")
    assert str(refusal(tmp_path / "kept", folder)).startswith(f"{tmp_path / 'kept' / 'y_annotated.png'} is already")
    again = AnnotatedPictures(tmp_path / "kept", folder, overwrite=True)
    again.save(GREY + 1, "y.png")
    assert cv2.imread(str(tmp_path / "kept" / "y_annotated.png"))[0, 0].tolist() == [91, 91, 91]


def test_pictures_of_one_stem_get_names_of_their_own(tmp_path):
    names = ("x.jpg", "x.png", "X.PNG", "x_png.png")
    folder = save_pictures(tmp_path / "pictures", *names)
    pictures = AnnotatedPictures(tmp_path / "kept", folder, overwrite=False)
    paths = [pictures.save(GREY, name) for name in names]
    assert len({path.name.casefold() for path in paths}) == len(list((tmp_path / "kept").iterdir())) == 4


def test_a_name_is_short_where_nothing_else_has_it(folder, tmp_path):
    pictures = AnnotatedPictures(tmp_path / "kept", folder, overwrite=False)
    names = [pictures.paths[name].name for name in ("y.png", "x.jpg", "x.png")]
    assert names == ["y_annotated.png", "x_annotated.png", "x_png_annotated.png"]
    one = AnnotatedPictures(tmp_path / "kept", folder / "x.png", overwrite=False)
    assert one.paths["x.png"] == tmp_path / "kept" / "x_annotated.png"


def test_the_folder_that_is_read_is_refused(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    for output in (folder, tmp_path / "link"):
        assert "is the folder that is read: its results would be read next time" in str(refusal(output, folder))
    AnnotatedPictures(folder / "annotated", folder, overwrite=False).save(GREY, "y.png")
    AnnotatedPictures(folder, folder / "y.png", overwrite=False).save(GREY, "y.png")
    assert (folder / "y_annotated.png").exists()


@pytest.mark.parametrize("name", ["folder.mp4", "folder.png", "folder.WEBP", "folder.csv"])
def test_a_file_name_for_a_folder_of_pictures_is_refused_and_nothing_is_made(folder, tmp_path, name):
    output = tmp_path / name
    assert str(refusal(output, folder)) == f"--output {output} is the name of a file, and {folder} is a folder."
    assert not output.exists()


def test_a_picture_becomes_no_video(folder, tmp_path):
    error = refusal(tmp_path / "x.mp4", folder / "x.jpg")
    assert str(error) == f"--output {tmp_path / 'x.mp4'}: an annotated picture ends in .png, .jpg, .jpeg."
    assert not (tmp_path / "x.mp4").exists()


def test_a_place_that_cannot_be_written_is_said_before_the_first_picture(folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written: " in str(refusal(tmp_path / "file" / "kept", folder))
    assert "is the name of a file" in str(refusal(tmp_path / "file", folder))
    assert "cannot be written: File name too long" in str(refusal(tmp_path / ("x" * 300), folder))


def test_a_full_disk_and_a_folder_that_is_gone_are_told(folder, tmp_path):
    pictures = AnnotatedPictures(tmp_path / "kept", folder, overwrite=False)
    noise = np.random.default_rng(1).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    with largest_file(5000), pytest.raises(DiskFullError, match=r"No room to go on writing .*y_annotated\.png"):
        pictures.save(noise, "y.png")
    assert list((tmp_path / "kept").iterdir()) == []
    (tmp_path / "kept").rmdir()
    with pytest.raises(SourceError, match=r"y_annotated\.png cannot be written: No such file"):
        pictures.save(GREY, "y.png")
