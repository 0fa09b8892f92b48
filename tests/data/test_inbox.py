"""What may be taken out of the inbox, and what is refused and why."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.data.inbox import InboxContents, read_inbox, sentences


@pytest.fixture
def inbox(fill, paths) -> Path:
    """An inbox with two new happy faces."""
    return fill(paths.inbox, 2, first=5000, emotions=("happy",))


@pytest.fixture
def look(load, train_and_test, paths):
    """Returns look(known=…): a look into the inbox beside train/ and test/."""

    def look(known=()) -> InboxContents:
        return read_inbox(paths.inbox, load(train_and_test), np.array(known, np.uint64), cache=paths.cache)

    return look


def reasons(found: InboxContents) -> dict[str, str]:
    return {image.name: image.reason for image in found.refused}


def test_an_inbox_that_is_not_there_is_empty(look):
    assert look() == InboxContents((), ())


def test_images_of_known_classes_are_taken_and_counted_as_new(look, inbox):
    found = look()
    assert [(image.name, image.label) for image in found.accepted] == [
        ("happy/05000.png", "happy"),
        ("happy/05001.png", "happy"),
    ]
    assert (found.new, found.refused) == (2, ())


def test_what_the_model_in_use_was_trained_on_is_taken_and_is_not_new(look, inbox):
    first, _ = look().accepted
    found = look(known=[first.content])
    assert [image.is_new for image in found.accepted] == [False, True]
    assert found.new == 1


def test_folders_name_the_class_in_any_letter_case_and_may_have_folders_in_them(look, noise, inbox):
    (inbox / " SAD" / "from the camera").mkdir(parents=True)
    cv2.imwrite(str(inbox / " SAD" / "from the camera" / "1.png"), noise(6000))
    assert {image.name: image.label for image in look().accepted}[" SAD/from the camera/1.png"] == "sad"


def test_a_copy_of_a_test_image_is_refused_in_any_format(look, train_and_test, inbox):
    picture = cv2.imread(str(train_and_test / "test" / "sad" / "01011.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(inbox / "happy" / "leak.bmp"), picture)
    assert reasons(look()) == {"happy/leak.bmp": "a copy of a test image"}


def test_what_the_data_has_already_is_refused_with_its_label_there(look, train_and_test, inbox):
    shutil.copy(train_and_test / "train" / "sad" / "00029.png", inbox / "happy" / "again.png")
    assert reasons(look()) == {"happy/again.png": "the data has it already, as sad"}


def test_a_class_that_the_data_does_not_have_is_refused_with_the_nearest(look, fill, inbox):
    fill(inbox, 1, first=6000, emotions=("hapy",))
    assert reasons(look()) == {"hapy/06000.png": "the data has no class 'hapy'. Did you mean 'happy'?"}


def test_what_cannot_be_read_is_refused(look, inbox):
    (inbox / "happy" / "bad.jpg").write_bytes(b"bad")
    (inbox / "happy" / "empty.png").touch()
    assert reasons(look()) == {
        "happy/bad.jpg": "cannot be read: not a JPEG, PNG, BMP or WebP picture, or damaged",
        "happy/empty.png": "cannot be read: empty file",
    }


def test_an_inbox_of_one_unreadable_picture_has_nothing_to_take(look, paths):
    (paths.inbox / "sad").mkdir(parents=True)
    (paths.inbox / "sad" / "bad.png").write_bytes(b"bad")
    assert (look().accepted, list(reasons(look()))) == ((), ["sad/bad.png"])


def test_of_several_copies_under_one_class_the_first_is_taken(look, inbox):
    shutil.copy(inbox / "happy" / "05000.png", inbox / "happy" / "zz.png")
    found = look()
    assert len(found.accepted) == 2
    assert reasons(found) == {"happy/zz.png": "a copy of happy/05000.png"}


def test_a_picture_under_two_classes_is_refused_in_both(look, inbox):
    (inbox / "sad").mkdir()
    shutil.copy(inbox / "happy" / "05000.png", inbox / "sad" / "1.png")
    found = look()
    assert [image.name for image in found.accepted] == ["happy/05001.png"]
    assert reasons(found) == {
        "happy/05000.png": "the same picture also lies under sad",
        "sad/1.png": "the same picture also lies under happy",
    }


def test_the_output_counts_them_and_names_what_is_refused(look, inbox):
    (inbox / "happy" / "bad.jpg").write_bytes(b"bad")
    assert list(sentences(look(), inbox)) == [
        f"Inbox {inbox}: 2 new images, 0 known ones, 1 refused.",
        "Refused: happy/bad.jpg: cannot be read: not a JPEG, PNG, BMP or WebP picture, or damaged.",
    ]


def test_the_inbox_stays_as_it_is(look, inbox):
    before = {path: path.stat().st_mtime_ns for path in inbox.rglob("*")}
    look()
    assert {path: path.stat().st_mtime_ns for path in inbox.rglob("*")} == before


def test_a_copy_under_a_class_that_there_is_not_does_not_stand_in_the_way(look, inbox):
    (inbox / "hapy").mkdir()
    shutil.copy(inbox / "happy" / "05000.png", inbox / "hapy" / "1.png")
    found = look()
    assert found.new == 2
    assert list(reasons(found)) == ["hapy/1.png"]
