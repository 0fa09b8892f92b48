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
        "Left out, as beside test and train: 1 in other.",
        "Left out, as beside test and train: 1 in the top folder.",
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


def test_a_csv_is_taken_where_no_folder_of_a_split_or_emotion_has_pictures():
    assert fer_csv_among(["x/fer2013.csv", "x/README"]) == ("x/fer2013.csv", ())
    assert fer_csv_among(["icml_face_data.csv", "train.csv"])[0] == "icml_face_data.csv"
    assert fer_csv_among(["fer2013 (1).csv"])[0] == "fer2013 (1).csv"
    assert fer_csv_among(["fer2013.csv", "train/sad/a.jpg"]) == (None, ())
    assert fer_csv_among(["other.csv"]) == (None, ())


def test_a_picture_beside_a_csv_is_left_out_with_a_note():
    table, notes = fer_csv_among(["fer2013.csv", "docs/screenshot.png"])
    assert (table, notes) == ("fer2013.csv", ("Left out, as beside fer2013.csv: 1 in docs.",))


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *((name, "validation") for name in ("valid", "dev", "eval", "validate", "val_set", "validation-set")),
        *(("testing", "test"), ("Test Set", "test"), ("test_public", "PublicTest"), ("PrivateTest", "PrivateTest")),
    ],
)
def test_a_folder_beside_train_is_the_split_that_its_name_says(name, part):
    assert (f"{name}/sad/b.jpg", part, "sad") in placed(
        "train_set/sad/a.jpg", "train_set/happy/a.jpg", f"{name}/sad/b.jpg"
    )


def test_a_split_that_is_repeated_is_one():
    assert placed("train/train/sad/a.jpg", "test/test/sad/b.jpg") == {
        ("train/train/sad/a.jpg", "train", "sad"),
        ("test/test/sad/b.jpg", "test", "sad"),
    }


@pytest.mark.parametrize(
    "beside", ["docs/screenshot.png", "results/x/plot.png", "docs/test/1/a.png", "sample images/me.jpg", "top.png"]
)
@pytest.mark.parametrize("inside", ["train/{}/{}.jpg", "{}/{}.jpg"])
@pytest.mark.parametrize("classes", [("happy", "sad"), ("bored", "frustrated")])
def test_a_lone_picture_beside_the_data_changes_nothing(beside, inside, classes):
    names = ["dataset/" + inside.format(label, number) for label in classes for number in range(12)]
    alone, _ = place(names, (), source="faces")
    pictures, notes = place([*names, beside], (), source="faces")
    assert pictures == alone
    assert {one.label for one in pictures} == set(classes)
    assert any(note.startswith("Left out, as beside ") for note in notes)


def test_a_folder_with_a_lone_picture_between_class_folders_is_no_class():
    names = [f"{label}/{number}.jpg" for label in ("happy", "sad") for number in range(12)]
    pictures, notes = place([*names, "misc/screenshot.png", "docs/1.png"], ("docs", "misc"), source="faces")
    assert {one.label for one in pictures} == {"happy", "sad"}
    assert len(notes) == 2


def test_a_person_with_few_pictures_of_an_emotion_is_kept():
    names = [f"{label}/{person}/{n}.jpg" for label in ("happy", "sad") for person in ("anna", "ben") for n in range(12)]
    assert len(placed(*names, "sad/carl/1.jpg")) == len(names) + 1


def test_several_data_sets_are_refused_by_name():
    with pytest.raises(DatasetError, match=r"faces could be 2 data sets, .*: fold1, fold2\.") as caught:
        placed(*(f"fold{fold}/{label}/{fold}.jpg" for fold in (1, 2) for label in ("happy", "sad")))
    assert "Give one of them" in caught.value.hint


def test_a_folder_of_something_else_is_no_empty_class():
    folders = ("happy", "sad", "docs", "annotations")
    assert len(placed("happy/a.jpg", "sad/b.jpg", "docs/README.md", "annotations/1.npy", folders=folders)) == 2


def test_other_kinds_of_pictures_are_counted_and_named():
    names = ["happy/a.jfif", "sad/b.jpe", "sad/c.tiff", "sad/d.TIFF", "happy/e.gif", "happy/Thumbs.db"]
    pictures, notes = place(names, (), source="faces")
    assert [one.name for one in pictures] == ["happy/a.jfif", "sad/b.jpe"]
    assert notes == ("Left out, as only JPEG, PNG, BMP or WebP are read: 2 .tiff, 1 .gif.",)


@pytest.mark.parametrize(
    ("names", "instead"),
    [
        ([f"sad/{number}.tiff" for number in range(20)], "holds no pictures, but 20 .tiff"),
        (["a/train.csv", "a/test.csv"], "holds no pictures, but test.csv and train.csv"),
    ],
)
def test_what_there_is_instead_of_pictures_is_named(names, instead):
    with pytest.raises(DatasetError, match=instead):
        placed(*names)


def test_leftovers_of_file_servers_are_no_classes():
    names = ("train/happy/a.jpg", "train/@eaDir/SYNOPHOTO.jpg", "train/sad/@eaDir/b.jpg/SYNO.jpg", "train/sad/b.jpg")
    assert {one[0] for one in placed(*names, folders=("train/@eaDir",))} == {"train/happy/a.jpg", "train/sad/b.jpg"}


def test_composed_and_decomposed_names_are_one_label():
    composed, decomposed = "fr\u00f6hlich", "fro\u0308hlich"
    assert {one[2] for one in placed(f"{composed}/a.jpg", f"{decomposed}/b.jpg", "sad/c.jpg")} == {composed, "sad"}


@pytest.mark.parametrize("name", ["sad\x1b[2J", "sad\nError", "sa\udcf6d"])
def test_a_label_that_no_terminal_and_no_file_could_take_is_refused(name):
    with pytest.raises(DatasetError, match="has control characters, or bytes that are no UTF-8") as caught:
        placed(f"{name}/a.jpg", "happy/b.jpg")
    assert str(caught.value).isprintable()
