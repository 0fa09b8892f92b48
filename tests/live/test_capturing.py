"""Snapshots, recordings, captures and annotated pictures: nothing is written over by accident."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.errors import ConfigError, SourceError
from fer_core.live.capturing import AnnotatedPictures, ClipCapture, PictureCapture, Recorder
from fer_core.live.frame import Shown
from fer_core.store.files import DiskFullError
from tests.live.fakes import LABELS, face, frames, frames_in, shown
from tests.store.conftest import largest_file


def taken(number: int) -> list[Shown]:
    """Returns frames with a reading; the annotated picture is white."""
    return [shown(frame, face(), picture_bgr=np.full_like(frame.picture_bgr, 255)) for frame in frames(number)]


def test_a_snapshot_is_the_frame_the_annotated_frame_and_the_readings(tmp_path):
    (one,) = taken(1)
    path = Recorder(tmp_path / "live", rate=25.0).snapshot(one, one.picture_bgr)
    assert np.array_equal(cv2.imread(str(path)), one.frame.picture_bgr)
    assert cv2.imread(str(path.with_name("snapshot_001_annotated.png"))).min() == 255
    assert json.loads(path.with_suffix(".json").read_text())["faces"][0]["label"] == "happy"


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    recorder = Recorder(tmp_path / "file" / "live", rate=25.0)
    (one,) = taken(1)
    with pytest.raises(SourceError, match="cannot be written") as caught:
        recorder.snapshot(one, one.picture_bgr)
    assert "--folder" in caught.value.hint
    with pytest.raises(ConfigError, match="Nothing can be written"):
        recorder.start((64, 48))


def test_a_recording_has_the_frames_between_its_two_keys_plays_and_replaces_none(tmp_path):
    (tmp_path / "recording.mp4").write_text("")
    recorder = Recorder(tmp_path, rate=25.0)
    given = taken(30)
    path = recorder.start((64, 48))
    assert path == tmp_path / "recording_2.mp4"
    assert recorder.needs_picture
    for one in given[1:21]:
        recorder.write(one)
    recorder.close()
    recorder.write(given[21])
    assert (recorder.paths, recorder.needs_picture) == ([path], False)
    assert abs(frames_in(path) - 20) <= 1


def test_a_recording_that_cannot_go_on_ends_and_says_why(tmp_path):
    recorder = Recorder(tmp_path, rate=25.0)
    path = recorder.start((64, 48))
    noise = np.random.default_rng(1)
    with largest_file(2**16):
        for frame in frames(500):
            recorder.write(shown(frame, picture_bgr=noise.integers(0, 256, (48, 64, 3), dtype=np.uint8)))
    assert recorder.problem.startswith("No room to go on writing")
    assert (recorder.needs_picture, recorder.paths) == (False, [path])


def test_pictures_are_taken_one_a_second_and_what_a_short_source_gave_stays(tmp_path):
    noted = []
    capture = PictureCapture(tmp_path, 3, report=lambda one, path: noted.append((one.frame.number, path.name)))
    for one in taken(30):
        capture.write(one)
    assert not capture.is_done and capture.progress == "2 of 3 pictures"
    for one in taken(100)[30:]:
        capture.write(one)
    assert noted == [(0, "picture_001.png"), (25, "picture_002.png"), (50, "picture_003.png")]
    assert capture.is_done and (tmp_path / "picture_003.png").is_file()


@pytest.mark.parametrize(("given", "is_done", "length"), [(60, True, 25), (14, False, 14)])
def test_a_clip_has_its_length_plays_and_has_its_readings_beside_it(tmp_path, given, is_done, length):
    clip = ClipCapture(tmp_path, 1.0, labels=LABELS, size=(64, 48), rate=25.0)
    for one in taken(given):
        if not clip.is_done:
            clip.write(one)
    clip.close()
    assert clip.is_done == is_done
    assert clip.progress == f"{1.0 if is_done else 0.5:.1f} of 1 seconds of the clip"
    assert abs(frames_in(clip.path) - length) <= 1
    rows = (tmp_path / "clip.csv").read_text().splitlines()
    assert len(rows) == 1 + frames_in(clip.path)
    assert "happy" in rows[1]


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


def refusal(output: Path, source: Path) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        AnnotatedPictures(output, source, overwrite=False)
    assert caught.value.hint
    return caught.value


def test_a_picture_that_is_there_is_kept_unless_it_may_be_overwritten(folder, tmp_path):
    output = tmp_path / "keep.png"
    output.write_bytes(b"precious")
    error = refusal(output, folder / "x.jpg")
    assert str(error) == f"{output} is already there, and is not replaced."
    assert error.hint == "Give another name, or --overwrite."
    assert output.read_bytes() == b"precious"
    assert AnnotatedPictures(output, folder / "x.jpg", overwrite=True).save(GREY, "x.jpg") == output
    assert np.array_equal(cv2.imread(str(output)), GREY)
    AnnotatedPictures(tmp_path / "kept", folder, overwrite=False).save(GREY, "y.png")
    assert str(refusal(tmp_path / "kept", folder)).startswith(f"{tmp_path / 'kept' / 'y_annotated.png'} is already")


def test_pictures_of_one_stem_get_names_of_their_own_which_are_short_where_nothing_else_has_them(tmp_path):
    names = ("x.jpg", "x.png", "X.PNG", "x_png.png", "y.png")
    folder = save_pictures(tmp_path / "pictures", *names)
    pictures = AnnotatedPictures(tmp_path / "kept", folder, overwrite=False)
    paths = {name: pictures.save(GREY, name).name for name in names}
    assert len({name.casefold() for name in paths.values()}) == len(list((tmp_path / "kept").iterdir())) == 5
    assert paths["y.png"] == "y_annotated.png"
    one = AnnotatedPictures(tmp_path / "one", folder / "x.png", overwrite=False)
    assert one.paths["x.png"] == tmp_path / "one" / "x_annotated.png"


def test_the_folder_that_is_read_is_refused(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    for output in (folder, tmp_path / "link"):
        assert "is the folder that is read: its results would be read next time" in str(refusal(output, folder))
    AnnotatedPictures(folder / "annotated", folder, overwrite=False).save(GREY, "y.png")
    AnnotatedPictures(folder, folder / "y.png", overwrite=False).save(GREY, "y.png")
    assert (folder / "y_annotated.png").exists()


@pytest.mark.parametrize("name", ["folder.mp4", "folder.png", "folder.WEBP", "folder.csv"])
def test_a_file_name_for_a_folder_of_pictures_and_a_video_for_one_are_refused_and_nothing_is_made(
    folder, tmp_path, name
):
    output = tmp_path / name
    assert str(refusal(output, folder)) == f"--output {output} is the name of a file, and {folder} is a folder."
    error = refusal(tmp_path / "x.mp4", folder / "x.jpg")
    assert str(error) == f"--output {tmp_path / 'x.mp4'}: an annotated picture ends in .png, .jpg, .jpeg."
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_place_that_cannot_be_written_is_said_before_the_first_picture(folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    assert "cannot be written: " in str(refusal(tmp_path / "file" / "kept", folder))
    assert "is the name of a file" in str(refusal(tmp_path / "file", folder))
    assert "cannot be written: File name too long" in str(refusal(tmp_path / ("x" * 300), folder))


def test_a_full_disk_and_a_folder_that_is_gone_are_named(folder, tmp_path):
    pictures = AnnotatedPictures(tmp_path / "kept", folder, overwrite=False)
    noise = np.random.default_rng(1).integers(0, 256, (100, 100, 3), dtype=np.uint8)
    with largest_file(5000), pytest.raises(DiskFullError, match=r"No room to go on writing .*y_annotated\.png"):
        pictures.save(noise, "y.png")
    assert list((tmp_path / "kept").iterdir()) == []
    (tmp_path / "kept").rmdir()
    with pytest.raises(SourceError, match=r"y_annotated\.png cannot be written: No such file"):
        pictures.save(GREY, "y.png")
