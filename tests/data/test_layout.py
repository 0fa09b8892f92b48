"""Split and emotion from folder names alone."""

import pytest

from fer_core.data.layout import fer_csv_among, place
from fer_core.errors import DatasetError


def placed(*names: str, folders=()) -> set[tuple[str, str, str]]:
    return {(one.name, one.part, one.label) for one in place(names, folders, source="faces")[0]}


def test_train_and_test_folders_are_parts_in_any_letter_case():
    assert placed("Train/Happy/a.JPG", "TEST/happy/b.png") == {
        ("Train/Happy/a.JPG", "train", "happy"),
        ("TEST/happy/b.png", "test", "happy"),
    }


@pytest.mark.parametrize("name", ["val", "validation", "Validation"])
def test_val_and_validation_are_the_validation_part(name):
    assert (f"{name}/sad/c.bmp", "validation", "sad") in placed(
        "train/sad/a.jpg", "test/sad/b.jpg", f"{name}/sad/c.bmp"
    )


def test_class_folders_alone_are_one_part():
    assert placed("happy/a.jpg", "sad/b.webp") == {
        ("happy/a.jpg", "all images", "happy"),
        ("sad/b.webp", "all images", "sad"),
    }


def test_folders_around_the_whole_do_not_matter():
    assert placed("archive/fer2013/train/sad/a.jpg", "archive/fer2013/test/sad/b.jpg") == {
        ("archive/fer2013/train/sad/a.jpg", "train", "sad"),
        ("archive/fer2013/test/sad/b.jpg", "test", "sad"),
    }


def test_a_folder_around_the_whole_may_be_called_test():
    assert ("test/train/sad/a.jpg", "train", "sad") in placed("test/train/sad/a.jpg", "test/test/sad/b.jpg")


def test_pictures_may_lie_deeper_in_a_class_folder():
    assert ("train/sad/person 1/a.jpg", "train", "sad") in placed("train/sad/person 1/a.jpg", "test/sad/b.jpg")


def test_hidden_files_and_what_is_no_picture_are_ignored():
    names = ("sad/a.jpg", "happy/b.jpg", "__MACOSX/sad/._a.jpg", "sad/.c.jpg", ".git/x/y.jpg", "sad/Thumbs.db")
    assert {one[0] for one in placed(*names)} == {"sad/a.jpg", "happy/b.jpg"}


def test_pictures_outside_of_class_folders_are_left_out_with_a_note():
    names = ["train/sad/a.jpg", "test/sad/b.jpg", "train/stray.jpg", "cover.png", "other/sad/c.jpg"]
    pictures, notes = place(names, (), source="faces")
    assert [one.name for one in pictures] == ["test/sad/b.jpg", "train/sad/a.jpg"]
    assert notes == (
        "Left out, as in no class folder: 1 in the top folder.",
        "Left out, as in no class folder: 1 in other.",
        "Left out, as in no class folder: 1 in train.",
    )


def test_the_order_of_the_names_does_not_matter():
    names = ["train/sad/b.jpg", "train/happy/a.jpg", "test/sad/c.jpg"]
    assert place(names, (), source="faces") == place(names[::-1], (), source="faces")


@pytest.mark.parametrize("empty", ["fear", "train/fear", "test"])
def test_an_empty_class_folder_is_refused(empty):
    names = ("happy/a.jpg", "sad/b.jpg") if empty == "fear" else ("train/happy/a.jpg", "train/sad/b.jpg")
    with pytest.raises(DatasetError, match=f"faces: the folder {empty} holds no pictures") as caught:
        placed(*names, folders=(*{name.rsplit("/", 1)[0] for name in names}, empty))
    assert caught.value.hint == "Put pictures in it, or remove the folder."


def test_an_empty_folder_elsewhere_does_not_matter():
    placed("archive/happy/a.jpg", "archive/sad/b.jpg", folders=("archive/happy", "archive/sad", "other/happy"))


def test_no_pictures_at_all_is_refused():
    with pytest.raises(DatasetError, match="faces holds no pictures") as caught:
        placed("README.txt")
    assert "train/<emotion>/" in caught.value.hint


def test_pictures_without_folders_are_refused():
    with pytest.raises(DatasetError, match="faces has pictures but no class folders"):
        placed("a.jpg", "b.jpg")


def test_a_csv_is_taken_where_there_are_no_class_folders():
    assert fer_csv_among(["x/fer2013.csv", "x/README", "plot.png"]) == "x/fer2013.csv"
    assert fer_csv_among(["icml_face_data.csv", "train.csv"]) == "icml_face_data.csv"
    assert fer_csv_among(["fer2013.csv", "train/sad/a.jpg"]) is None
    assert fer_csv_among(["other.csv"]) is None
