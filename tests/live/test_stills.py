"""Annotated pictures: nothing is written over by accident. And how pictures are shown one after another."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.errors import ConfigError, SourceError
from fer_core.live.capturing import AnnotatedPictures
from fer_core.live.frame import Shown
from fer_core.live.screen import show_still
from fer_core.store.files import DiskFullError
from tests.live.fakes import frames, happy_face
from tests.store.conftest import largest_file

GREY = np.full((48, 64, 3), 90, np.uint8)
KEYS = "Any key shows the next picture."


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


class FakeWindow:
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


class Room:
    """A screen of 200 by 100 pixels, what is said in its pictures, and how many were saved."""

    def __init__(self, keys: Sequence[str | None], *, problem: Exception | None = None):
        self.window, self.problem = FakeWindow(*keys), problem
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


@pytest.mark.parametrize("key", ["other", "r", "p", "d", "e"])
def test_any_key_goes_to_the_next_picture(key):
    assert Room([None, None, key]).show()


def test_q_and_a_closed_window_end_it():
    assert not Room([None, "q", "other"]).show()
    assert not Room([None, None]).show()


def test_h_shows_the_keys_and_s_saves_and_both_stay_with_the_picture():
    room = Room(["h", None, "s", None, "other"])
    assert room.show()
    assert room.said == [KEYS, "Saved snapshot_001.png."]
    assert room.saved == [0]
    assert len(room.window.pictures) == 3


def test_what_cannot_be_saved_is_told_and_ends_nothing():
    room = Room(["s", "other"], problem=DiskFullError("No room.", hint="Make some."))
    assert room.show()
    assert room.said == ["No room. Make some."]


@pytest.mark.parametrize(("size", "shown"), [((40, 80), (50, 100)), ((800, 100), (200, 25)), ((30, 20), (150, 100))])
def test_every_picture_keeps_its_proportions(size, shown):
    room = Room(["other"])
    room.show(np.full((size[1], size[0], 3), 255, np.uint8))
    (picture_bgr,) = room.window.pictures
    assert picture_bgr.shape == (100, 200, 3)
    rows, columns = np.nonzero(picture_bgr[:, :, 0] == 255)
    assert (columns.max() - columns.min() + 1, rows.max() - rows.min() + 1) == shown
