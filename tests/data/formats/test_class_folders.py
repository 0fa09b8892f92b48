"""Split and emotion from folder names; folders that are no emotions are not trained on as if they were."""

from importlib.util import find_spec

import pytest

from fer_core.data.picture_header import PICTURES_READ
from fer_core.data.reading import read_tree
from fer_core.data.votes import USUAL
from fer_core.errors import DatasetError
from tests.data.formats.layouts import tree_of


def place(names, folders, *, source, files=None):
    """Returns the pictures among these files, which are empty but for those given, and what is said of them."""
    reading = read_tree(tree_of(names, files, folders=folders, source=source), USUAL)
    return [one for one, _ in reading.placed], reading.report.sentences()


def placed(*names: str, folders=()) -> set[tuple[str, str, str]]:
    return {(one.name, one.part, one.label) for one in place(names, folders, source="faces")[0]}


def look(*names: str, files: dict[str, bytes] | None = None) -> tuple[set[str], tuple[str, ...]]:
    """Returns the labels of these pictures beside these files, and the notes."""
    pictures, notes = place(names, (), source="faces", files=files)
    return {one.label for one in pictures}, notes


def refused(*names: str, files: dict[str, bytes] | None = None) -> str:
    """Returns what is said of these pictures beside these files."""
    with pytest.raises(DatasetError) as caught:
        look(*names, files=files)
    assert "<emotion>/" in caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("Train/Happy/a.JPG", "TEST/happy/b.png"), [("train", "happy"), ("test", "happy")]),
        (("train/sad/a.jpg", "Validation/sad/b.bmp"), [("train", "sad"), ("validation", "sad")]),
        (("FER2013Train/sad/a.jpg", "FER2013Valid/sad/b.jpg"), [("train", "sad"), ("validation", "sad")]),
        (("happy/a.jpg", "sad/b.webp"), [("all images", "happy"), ("all images", "sad")]),
        (("a/fer2013/train/sad/a.jpg", "a/fer2013/test/sad/b.jpg"), [("train", "sad"), ("test", "sad")]),
        (("test/train/sad/a.jpg", "test/test/sad/b.jpg"), [("train", "sad"), ("test", "sad")]),
        (("train/train/sad/a.jpg", "test/test/sad/b.jpg"), [("train", "sad"), ("test", "sad")]),
        (("train/images/sad/a.jpg", "test/Images/sad/b.jpg"), [("train", "sad"), ("test", "sad")]),
        (("train/sad/person 1/a.jpg", "test/sad/b.jpg"), [("train", "sad"), ("test", "sad")]),
        (("fr\u00f6hlich/a.jpg", "fro\u0308hlich/b.jpg"), [("all images", "fr\u00f6hlich")] * 2),
    ],
)
def test_a_picture_has_the_split_and_the_label_of_its_folders(names, parts):
    others = ("sad/z.jpg",) if parts[0][1].startswith("fr") else ()
    found = {name: (part, label) for name, part, label in placed(*names, *others) if name not in others}
    assert [found[name] for name in names] == parts
    assert len(found) == 2


def test_a_folder_beside_train_is_the_split_that_its_name_says():
    names = dict.fromkeys(("valid", "val_set", "eval", "validate", "validation-set", "dev"), "validation")
    names |= {"testing": "test", "Test Set": "test", "test_public": "PublicTest", "PrivateTest": "PrivateTest"}
    for name, part in names.items():
        found = placed("train_set/sad/a.jpg", "train_set/happy/a.jpg", f"{name}/sad/b.jpg")
        assert (f"{name}/sad/b.jpg", part, "sad") in found


def test_what_is_hidden_left_behind_or_no_picture_is_ignored():
    names = ("train/happy/a.jpg", "train/sad/b.jpg", "__MACOSX/train/sad/._a.jpg", "train/sad/.c.jpg", ".git/x/y.jpg")
    left = ("train/@eaDir/SYNOPHOTO.jpg", "train/sad/@eaDir/b.jpg/SYNO.jpg", "train/sad/Thumbs.db")
    left += ("$RECYCLE.BIN/a.jpg", "train/.ipynb_checkpoints/a.jpg", "train/#recycle/a.jpg", "train/happy/.DS_Store")
    assert {one[0] for one in placed(*names, *left, folders=("train/@eaDir",))} == set(names[:2])


def test_pictures_outside_of_class_folders_are_left_out_with_a_note_in_any_order():
    names = ["train/sad/a.jpg", "test/sad/b.jpg", "train/stray.jpg", "cover.png", "other/sad/c.jpg"]
    pictures, notes = place(names, (), source="faces")
    assert [one.name for one in pictures] == ["test/sad/b.jpg", "train/sad/a.jpg"]
    assert notes == (
        "Left out, as beside test and train: 1 in other.",
        "Left out, as beside test and train: 1 in the top folder.",
        "Left out, as in no class folder: 1 in train.",
    )
    assert place(names[::-1], (), source="faces") == (pictures, notes)


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


def test_a_folder_with_a_lone_picture_between_class_folders_is_no_class_but_a_person_is_kept():
    names = [f"{label}/{person}/{n}.jpg" for label in ("happy", "sad") for person in ("anna", "ben") for n in range(12)]
    assert len(placed(*names, "sad/carl/1.jpg")) == len(names) + 1
    pictures, notes = place([*names, "misc/screenshot.png", "docs/1.png"], ("docs", "misc"), source="faces")
    assert {one.label for one in pictures} == {"happy", "sad"}
    assert len(notes) == 2


@pytest.mark.parametrize("empty", ["fear", "train/fear", "test"])
def test_an_empty_class_folder_is_refused(empty):
    names = ("happy/a.jpg", "sad/b.jpg") if empty == "fear" else ("train/happy/a.jpg", "train/sad/b.jpg")
    with pytest.raises(DatasetError, match=f"faces: the folder {empty} holds no pictures") as caught:
        placed(*names, folders=(*{name.rsplit("/", 1)[0] for name in names}, empty))
    assert caught.value.hint == "Put pictures in it, or remove the folder."


def test_a_class_without_pictures_beside_training_is_said_and_does_not_stop():
    names = ("train/happy/a.jpg", "train/sad/b.jpg", "test/sad/c.jpg")
    pictures, notes = place(names, ("test/happy",), source="faces")
    assert (len(pictures), notes) == (3, ("The folder test/happy holds no pictures.",))


def test_a_folder_with_the_class_folders_of_training_is_the_split_that_is_missing():
    names = [f"{split}/{label}/{n}.jpg" for split in ("train", "holdout") for label in ("happy", "sad") for n in "ab"]
    pictures, notes = place(names, (), source="faces")
    assert {(one.name.partition("/")[0], one.part) for one in pictures} == {("train", "train"), ("holdout", "test")}
    assert notes == ("Guessed: holdout is the test split, as it has the class folders of training.",)
    both = [*names, "test/happy/x.jpg", "test/sad/y.jpg"]
    assert {one.part for one in place(both, (), source="faces")[0]} == {"train", "test", "validation"}
    two = [*names, *(name.replace("holdout", "other") for name in names[4:])]
    assert "Left out, as beside train: 4 in other." in place(two, (), source="faces")[1]


def test_an_empty_folder_elsewhere_or_of_something_else_does_not_matter():
    placed("archive/happy/a.jpg", "archive/sad/b.jpg", folders=("archive/happy", "archive/sad", "other/happy"))
    folders = ("happy", "sad", "docs", "annotations")
    assert len(placed("happy/a.jpg", "sad/b.jpg", "docs/README.md", "annotations/1.npy", folders=folders)) == 2


def test_other_kinds_of_pictures_are_counted_and_named():
    names = ["happy/a.jfif", "sad/b.jpe", "sad/c.jxl", "sad/d.JXL", "happy/e.heic", "happy/Thumbs.db", "sad/f.MP4"]
    pictures, notes = place(names, (), source="faces")
    has_heic = find_spec("pillow_heif") is not None
    heic, lacking = (["happy/e.heic"], "") if has_heic else ([], ", 1 .heic (HEIC: `pip install pillow-heif`)")
    assert [one.name for one in pictures] == ["happy/a.jfif", *heic, "sad/b.jpe"]
    assert notes == (f"Left out, as only {PICTURES_READ} are read: 2 .jxl{lacking}, 1 .mp4.",)


@pytest.mark.parametrize(
    ("names", "message", "hint"),
    [
        (["README.txt"], "faces holds no pictures", "train/<emotion>/"),
        (["a.jpg", "b.jpg"], "faces has pictures but no class folders", "train/<emotion>/"),
        ([f"sad/{number}.jxl" for number in range(20)], "holds no pictures, but 20 .jxl", "train/<emotion>/"),
        (["a/train.csv", "a/test.csv"], "holds no pictures, but test.csv and train.csv", "give that file itself"),
        (
            [f"fold{fold}/{label}/{fold}.jpg" for fold in (1, 2) for label in ("happy", "sad")],
            r"faces could be 2 data sets, .*: fold1, fold2\.",
            "Give one of them",
        ),
        *((["happy/b.jpg", f"{name}/a.jpg"], "has control characters, or bytes that are no UTF-8", "Rename")
          for name in ("sad\x1b[2J", "sad\nError", "sa\udcf6d")),
    ],
)  # fmt: skip
def test_what_is_no_data_set_is_refused_with_what_there_is_instead(names, message, hint):
    with pytest.raises(DatasetError, match=message) as caught:
        placed(*names)
    assert hint in caught.value.hint
    assert str(caught.value).isprintable()


def test_labels_in_lists_and_files_beside_the_pictures_are_not_overlooked():
    kinds = (("aligned", "_aligned"), ("original", ""))
    pictures = [f"Image/{kind}/train_{n:05}{end}.jpg" for n in range(9) for kind, end in kinds]
    listed = {"EmoLabel/list.txt": b"train_00001.jpg: see 5\ntrain_00002.jpg: see 4\n"}
    said = "the folders aligned and original are not taken for emotions: EmoLabel/list.txt"
    assert said in refused(*pictures, files=listed)
    pictures = [f"{part}_set/images/{n}.jpg" for part in ("train", "val") for n in range(5)]
    said = "the folder images is not taken for emotions: train_set/annotations/1_lnd.npy"
    assert said in refused(*pictures, files={"train_set/annotations/1_lnd.npy": b""})


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            [f"faces/{who}/{who}{code}.JPG" for who in ("AF01", "AM02") for code in ("AN", "DI", "AF", "HA", "NE")],
            "the file names in AF01 say several emotions (AF01AF.JPG)",
        ),
        ([f"ck/{s}/{t}/{n}.png" for s in ("S5", "S6") for t in "12" for n in "ab"], "could be 2 data sets"),
        (["001/1/a.png", "002/1/a.png"], "pictures lie in folders inside of them"),
        (["cropped/a.jpg", "original/a.jpg"], "such names say what pictures are"),
        (["d/FER2013Train/1.png", "d/FER2013Test/2.png"], "FER2013Test is named like a split"),
        (["happy/a.jpg", "sad/b.jpg", "test/c.jpg"], "test is the name of a split"),
        (["happy/train/a.jpg", "sad/train/b.jpg", "happy/test/c.jpg"], "the splits lie inside of them"),
    ],
)
def test_persons_kinds_of_pictures_and_splits_are_no_classes(names, said):
    assert said in refused(*names)


@pytest.mark.parametrize(
    "names",
    [
        ("protest/a.jpg", "restrained/b.jpg", "invalidated/c.jpg"),
        ("engaged/anna1.jpg", "engaged/ben1.jpg", "confused/anna1.jpg", "confused/ben1.jpg"),
        ("positive/Training_1.jpg", "positive/PublicTest_2.jpg", "negative/Training_3.jpg", "negative/Private_1.jpg"),
        ("train/0/1.jpg", "train/1/1.jpg", "test/0/1.jpg", "test/1/1.jpg"),
    ],
)
def test_own_classes_may_look_like_this(names):
    assert len(look(*names)[0]) in (2, 3)


def test_it_is_said_that_own_classes_are_a_guess_and_emotions_are_never_doubted():
    labels, notes = look("bored/1.jpg", "frustrated/1.jpg", files={"labels.txt": b"0 bored\n1 frustrated\n"})
    assert labels == {"bored", "frustrated"}
    assert notes == ("Guessed: the classes are bored and frustrated. None is named after a known emotion.",)
    listed = {"labels.csv": b"1.jpg,anger\nx.jpg,joy\n"}
    assert look("anger/1.jpg", "joy/x.jpg", files=listed) == (
        {"angry", "happy"},
        ("Labels: anger as angry, joy as happy.",),
    )
