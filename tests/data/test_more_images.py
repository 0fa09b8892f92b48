"""Images that are added to a data set: they train and validate, and which images test does not change."""

import shutil
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from fer_core.data.audit import audit
from fer_core.data.fer2013 import fer2013_titles
from fer_core.emotions import FER2013_LABELS
from fer_core.errors import DatasetError


@pytest.fixture
def more(fill, tmp_path):
    """A folder with two new happy and two new sad faces."""
    return fill(tmp_path / "more", 2, first=5000, emotions=("happy", "sad"))


def contents_of(*splits) -> list[int]:
    return sorted(int(value) for split in splits for value in split.hashes)


def names_of(*splits) -> list[str]:
    return [name for split in splits for name in split.names(slice(None))]


def test_they_train_and_validate_and_the_test_images_stay_the_same(load, fill, more, tmp_path):
    own = fill(tmp_path / "own", 20)
    before, after = load(own), load(own, more_images=str(more))
    assert contents_of(after.test) == contents_of(before.test)
    added = set(contents_of(after.train, after.validation)) - set(contents_of(before.train, before.validation))
    assert len(added) == 4
    assert len(names_of(after.train, after.validation, after.test)) == 64


def test_the_run_is_told_how_many_they_are(load, train_and_test, more):
    notes = load(train_and_test, more_images=str(more)).notes
    assert notes[0] == f"More images: 4 of {more}, for training and validation."
    assert notes[1] == "Validation: 3 of 34 training images, held out by seed 0."


def test_their_pixels_are_read_from_where_they_lie(load, noise, train_and_test, more):
    dataset = load(train_and_test, more_images=str(more))
    numbers = [int(name.rpartition("/")[2].removesuffix(".png")) for name in names_of(dataset.train)]
    assert max(numbers) >= 5000 > min(numbers)
    expected = np.stack([noise(number) for number in numbers])[..., np.newaxis]
    assert np.array_equal(dataset.train.images(slice(None)), expected)
    assert np.array_equal(dataset.train.images(np.array([len(numbers) - 1, 0])), expected[[-1, 0]])


def test_with_a_validation_part_of_its_own_all_of_them_train(load, fill, train_and_test, more):
    fill(train_and_test / "val", 5, first=2000)
    dataset = load(train_and_test, more_images=str(more))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [34, 15, 12]


@pytest.mark.parametrize("own", ["train/sad/00029.png", "test/sad/01011.png"])
def test_what_the_data_has_already_is_left_out(load, train_and_test, more, own):
    shutil.copy(train_and_test / own, more / "happy" / "copy.png")
    before, after = load(train_and_test), load(train_and_test, more_images=str(more))
    assert len(after.train) + len(after.validation) == len(before.train) + len(before.validation) + 4
    assert contents_of(after.test) == contents_of(before.test)
    assert after.notes[0].endswith("for training and validation. 1 are left out, as the data has them already.")


def test_where_nothing_is_left_to_add_the_data_is_as_without_them(load, train_and_test, tmp_path):
    before = load(train_and_test)
    after = load(train_and_test, more_images=str(shutil.copytree(train_and_test / "test", tmp_path / "more")))
    assert (after.fingerprint, after.split_fingerprint) == (before.fingerprint, before.split_fingerprint)


def test_the_fingerprints_follow_their_contents_and_not_their_names(load, train_and_test, more, tmp_path):
    plain, first = load(train_and_test), load(train_and_test, more_images=str(more))
    moved = shutil.copytree(more, tmp_path / "moved")
    (moved / "sad" / "05002.png").rename(moved / "sad" / "another name.png")
    again = load(train_and_test, more_images=str(moved))
    (moved / "sad" / "another name.png").unlink()
    less = load(train_and_test, more_images=str(moved))
    assert (again.fingerprint, again.split_fingerprint) == (first.fingerprint, first.split_fingerprint)
    assert len({dataset.fingerprint for dataset in (plain, first, less)}) == 3
    assert len({dataset.split_fingerprint for dataset in (plain, first, less)}) == 3


def test_the_data_itself_is_decoded_once_and_of_all_such_folders_only_the_latest_is_kept(
    load, paths, train_and_test, more, tmp_path
):
    load(train_and_test)
    (own,) = (paths.cache / "datasets").glob("*[!k]")
    for number in range(3):
        load(train_and_test, more_images=str(shutil.copytree(more, tmp_path / f"more {number}")))
        kept = list((paths.cache / "datasets").glob("*[!k]"))
        assert own in kept
        assert len(kept) == 2


def test_a_class_that_the_data_does_not_have_is_refused(load, fill, train_and_test, more):
    fill(more, 1, first=6000, emotions=("hapy",))
    with pytest.raises(DatasetError, match=r"has a folder 'hapy'; the data has no such class") as caught:
        load(train_and_test, more_images=str(more))
    assert caught.value.hint == "Did you mean 'happy'?"


def test_one_that_cannot_be_read_is_refused_or_left_out(load, train_and_test, more):
    (more / "sad" / "bad.png").write_bytes(b"bad")
    with pytest.raises(DatasetError, match=r"1 image cannot be read: sad/bad\.png"):
        load(train_and_test, more_images=str(more))
    dataset = load(train_and_test, more_images=str(more), skip_bad_images=True)
    assert [bad.name for bad in dataset.bad_images] == ["sad/bad.png"]


def test_a_folder_that_is_not_there_or_holds_nothing_is_refused(load, train_and_test, tmp_path):
    with pytest.raises(DatasetError, match=r"There is no folder of more images .*missing"):
        load(train_and_test, more_images=str(tmp_path / "missing"))
    (tmp_path / "empty" / "sad").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"holds no pictures in folders of emotions"):
        load(train_and_test, more_images=str(tmp_path / "empty"))


def test_pictures_outside_of_the_folders_of_emotions_are_no_part_of_it(load, noise, train_and_test, more):
    cv2.imwrite(str(more / "loose.png"), noise(7000))
    assert load(train_and_test, more_images=str(more)).notes[0].startswith("More images: 4 of")


def test_the_audit_counts_them_as_a_part(load, train_and_test, more):
    parts = audit(load(train_and_test, more_images=str(more))).parts
    assert [part.name for part in parts] == ["train", "test", "more images"]
    assert parts[2].images == {"angry": 0, "happy": 2, "sad": 2}


def test_fer_2013_is_still_recognised_with_more_images():
    training, test = (3995, 436, 4097, 7215, 4965, 4830, 3171), (467, 56, 496, 895, 607, 653, 415)
    parts = {"train": training, "test": test, "more images": (0, 0, 0, 3, 0, 1, 0)}
    counts = {part: dict(zip(FER2013_LABELS, numbers, strict=True)) for part, numbers in parts.items()}
    titles = fer2013_titles(SimpleNamespace(labels=FER2013_LABELS, counts=counts.copy))
    assert titles == {"train": "Training", "test": "PublicTest", "more images": "more images"}
