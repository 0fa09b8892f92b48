"""Folders that are no emotions are not trained on as if they were."""

import pytest

from fer_core.data.layout import place
from fer_core.errors import DatasetError

KDEF_CODES = ("AN", "DI", "AF", "HA", "NE", "SA", "SU")


def refused(*names: str, files: dict[str, bytes] | None = None) -> str:
    """Returns what is said of these pictures beside these files."""
    files = files or {}
    with pytest.raises(DatasetError) as caught:
        place([*names, *files], (), source="faces", read=lambda name: files[name])
    assert "<emotion>/" in caught.value.hint
    return str(caught.value)


def labels_of(*names: str, files: dict[str, bytes] | None = None) -> tuple[set[str], tuple[str, ...]]:
    files = files or {}
    pictures, notes = place([*names, *files], (), source="faces", read=lambda name: files[name])
    return {one.label for one in pictures}, notes


def test_a_list_that_names_the_pictures_holds_the_labels():
    pictures = [
        f"Image/{kind}/train_{n:05}{end}.jpg"
        for n in range(9)
        for kind, end in (("aligned", "_aligned"), ("original", ""))
    ]
    said = refused(*pictures, files={"EmoLabel/list.txt": b"train_00001.jpg 5\ntrain_00002.jpg 4\n"})
    assert "the folders aligned and original are not taken for emotions: EmoLabel/list.txt" in said


def test_splits_with_pictures_and_a_label_file_are_no_classes():
    pictures = [f"data/FER2013{part}/fer{n}.png" for n, part in enumerate(("Train", "Valid", "Test"))]
    assert "FER2013Train/label.csv seems to hold the labels" in refused(
        *pictures, files={"data/FER2013Train/label.csv": b"fer0.png,(0, 0, 48, 48),4,0,0\n"}
    )
    assert "FER2013Train is named like a split" in refused(pictures[0], *pictures)


def test_a_file_for_each_picture_in_another_folder_holds_its_label():
    pictures = [f"{part}_set/images/{n}.jpg" for part in ("train", "val") for n in range(5)]
    assert "the folder images is not taken for emotions: train_set/annotations/1_exp.npy" in refused(
        *pictures, files={"train_set/annotations/1_exp.npy": b""}
    )


def test_folders_of_persons_are_no_classes():
    names = [f"KDEF/{person}/{person}{code}S.JPG" for person in ("AF01", "AM02", "BF03") for code in KDEF_CODES]
    assert "the file names in AF01 say several emotions (AF01ANS.JPG)" in refused(*names)
    assert "could be 2 data sets" in refused(*(f"ck/{s}/{t}/{n}.png" for s in ("S5", "S6") for t in "12" for n in "ab"))
    assert "pictures lie in folders inside of them" in refused("001/1/a.png", "002/1/a.png")


def test_kinds_of_pictures_are_no_classes():
    assert "such names say what pictures are" in refused("cropped/a.jpg", "original/a.jpg")


def test_splits_among_and_inside_of_emotions_are_refused():
    assert "test is the name of a split" in refused("happy/a.jpg", "sad/b.jpg", "test/c.jpg")
    assert "the splits lie inside of them" in refused("happy/train/a.jpg", "sad/train/b.jpg", "happy/test/c.jpg")


def test_own_classes_are_taken_and_it_is_said_that_this_is_a_guess():
    labels, notes = labels_of("bored/1.jpg", "frustrated/1.jpg", files={"labels.txt": b"0 bored\n1 frustrated\n"})
    assert labels == {"bored", "frustrated"}
    assert notes == ("Guessed: the classes are bored and frustrated. None is named after a known emotion.",)


@pytest.mark.parametrize(
    "names",
    [
        ("protest/a.jpg", "restrained/b.jpg", "invalidated/c.jpg"),
        ("engaged/anna1.jpg", "engaged/ben1.jpg", "confused/anna1.jpg", "confused/ben1.jpg"),
        (
            "positive/Training_1.jpg",
            "positive/PublicTest_2.jpg",
            "negative/Training_3.jpg",
            "negative/PrivateTest_1.jpg",
        ),
        ("train/0/1.jpg", "train/1/1.jpg", "test/0/1.jpg", "test/1/1.jpg"),
    ],
)
def test_own_classes_may_look_like_this(names):
    assert len(labels_of(*names)[0]) in (2, 3)


def test_emotions_are_never_doubted_for_a_list_beside_them():
    labels, notes = labels_of("anger/1.jpg", "joy/x.jpg", files={"labels.csv": b"1.jpg,anger\nx.jpg,joy\n"})
    assert (labels, notes) == ({"anger", "joy"}, ())
