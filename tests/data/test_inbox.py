"""What may be taken out of the inbox, and what is refused and why."""

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.data.face_finding import FaceFinder
from fer_core.training.begin_retraining import InboxContents, read_inbox, sentences


@pytest.fixture
def inbox(fill, paths) -> Path:
    """An inbox with two new happy faces."""
    return fill(paths.inbox, 2, first=5000, emotions=("happy",))


@pytest.fixture
def look(load, train_and_test, paths):
    """Returns look(known=…): a look into the inbox beside train/ and test/."""

    def look(known=()) -> InboxContents:
        return read_inbox(
            paths.inbox,
            load(train_and_test),
            np.array(known, np.uint64),
            FaceFinder(TrainConfig(), paths, one_by_one=True),
        )

    return look


def reasons(found: InboxContents) -> dict[str, str]:
    return {image.name: image.reason for image in found.refused}


def test_what_is_not_there_or_unreadable_has_nothing_to_take(look, paths):
    assert look() == InboxContents((), ())
    (paths.inbox / "sad").mkdir(parents=True)
    (paths.inbox / "sad" / "bad.png").write_bytes(b"bad")
    assert (look().accepted, list(reasons(look()))) == ((), ["sad/bad.png"])


def test_images_of_known_classes_are_taken_and_counted_as_new_unless_the_model_was_trained_on_them(look, inbox, noise):
    (inbox / " SAD" / "from the camera").mkdir(parents=True)  # in any letter case, with folders in it
    cv2.imwrite(str(inbox / " SAD" / "from the camera" / "1.png"), noise(6000))
    before = {path: path.stat().st_mtime_ns for path in inbox.rglob("*")}
    found = look()
    expected = {" SAD/from the camera/1.png": "sad", "happy/05000.png": "happy", "happy/05001.png": "happy"}
    assert {image.name: image.label for image in found.accepted} == expected
    assert (found.new, found.refused) == (3, ())
    known = look(known=[found.accepted[1].content])
    assert [image.is_new for image in known.accepted] == [True, False, True]
    assert known.new == 2
    assert {path: path.stat().st_mtime_ns for path in inbox.rglob("*")} == before


def test_what_is_known_unreadable_or_of_no_class_is_refused_and_named(look, fill, train_and_test, inbox):
    picture = cv2.imread(str(train_and_test / "test" / "sad" / "01011.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(inbox / "happy" / "leak.bmp"), picture)
    (inbox / "sad").mkdir()
    shutil.copy(train_and_test / "train" / "sad" / "00029.png", inbox / "sad" / "again.png")
    fill(inbox, 1, first=6000, emotions=("hapy",))
    (inbox / "happy" / "bad.jpg").write_bytes(b"bad")
    (inbox / "happy" / "empty.png").touch()
    found = look()
    assert reasons(found) == {
        "happy/leak.bmp": "a copy of a test image",
        "sad/again.png": "the data has it already, as sad",
        "hapy/06000.png": "the data has no class 'hapy'. Did you mean 'happy'?",
        "happy/bad.jpg": "cannot be read: not a JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF picture, or damaged",
        "happy/empty.png": "cannot be read: empty file",
    }
    said = list(sentences(found, inbox))
    assert said[0] == f"Inbox {inbox}: 2 new images, 0 known ones, 5 refused."
    assert "Refused: sad/again.png: the data has it already, as sad." in said


def test_a_training_image_under_another_label_is_a_correction_and_new_until_it_was_trained_on(
    load, train_and_test, paths, inbox
):
    shutil.copy(train_and_test / "train" / "sad" / "00029.png", inbox / "happy" / "corrected.png")
    dataset = load(train_and_test)
    one_by_one = FaceFinder(TrainConfig(), paths, one_by_one=True)
    known = dataset.train.hashes  # the model in use has seen it, as sad
    found = read_inbox(paths.inbox, dataset, known, one_by_one)
    corrected = next(image for image in found.accepted if image.name == "happy/corrected.png")
    assert (corrected.label, corrected.is_new, found.refused) == ("happy", True, ())
    added = {("happy", corrected.content)}
    again = read_inbox(paths.inbox, dataset, known, one_by_one, corrected=added)
    assert [image.is_new for image in again.accepted if image.name == "happy/corrected.png"] == [False]


def test_a_folder_that_means_the_same_emotion_is_of_its_class(look, inbox):
    (inbox / "happy").rename(inbox / "Happiness")
    (inbox / "happy").mkdir()
    shutil.copy(inbox / "Happiness" / "05000.png", inbox / "happy" / "copy.png")
    found = look()
    expected = {"Happiness/05000.png": "happy", "Happiness/05001.png": "happy"}
    assert {image.name: image.label for image in found.accepted} == expected
    assert reasons(found) == {"happy/copy.png": "a copy of Happiness/05000.png"}


def test_of_several_copies_under_one_class_the_first_is_taken(look, inbox):
    shutil.copy(inbox / "happy" / "05000.png", inbox / "happy" / "zz.png")
    (inbox / "hapy").mkdir()  # a copy under a class that there is not does not stand in the way
    shutil.copy(inbox / "happy" / "05000.png", inbox / "hapy" / "1.png")
    found = look()
    assert found.new == 2
    assert reasons(found)["happy/zz.png"] == "a copy of happy/05000.png"
    assert list(reasons(found)) == ["happy/zz.png", "hapy/1.png"]


def test_a_picture_under_two_classes_is_refused_in_both(look, inbox):
    (inbox / "sad").mkdir()
    shutil.copy(inbox / "happy" / "05000.png", inbox / "sad" / "1.png")
    found = look()
    assert [image.name for image in found.accepted] == ["happy/05001.png"]
    assert reasons(found) == {
        "happy/05000.png": "the same picture also lies under sad",
        "sad/1.png": "the same picture also lies under happy",
    }


def test_an_inbox_that_is_a_link_in_the_data_is_no_part_of_it(load, fill, inbox, paths, tmp_path):
    data = fill(tmp_path / "faces")
    (data / "inbox").symlink_to(inbox)
    before, linked = load(data), replace(paths, inbox=data / "inbox")
    assert before.labels == ("angry", "happy", "sad")
    again = load_dataset(TrainConfig(data=str(data)), linked, side=48)
    assert again.fingerprint == before.fingerprint
