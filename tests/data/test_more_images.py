"""Images that are added to a data set: they train and validate, and which images test does not change."""

import shutil

import cv2
import numpy as np
import pytest

from fer_core.data.audit import audit
from fer_core.errors import DatasetError


@pytest.fixture
def more(fill, tmp_path):
    """A folder with two new happy and two new sad faces."""
    return fill(tmp_path / "more", 2, first=5000, emotions=("happy", "sad"))


def contents_of(*splits) -> list[int]:
    return sorted(int(value) for split in splits for value in split.hashes)


def test_they_train_and_validate_and_the_test_images_stay_the_same(load, fill, more, train_and_test, tmp_path):
    own = fill(tmp_path / "own", 20)
    before, after = load(own), load(own, more_images=str(more))
    assert contents_of(after.test) == contents_of(before.test)
    added = set(contents_of(after.train, after.validation)) - set(contents_of(before.train, before.validation))
    assert (len(added), len(after.train) + len(after.validation) + len(after.test)) == (4, 64)
    fill(train_and_test / "val", 5, first=2000)
    dataset = load(train_and_test, more_images=str(more))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [34, 15, 12], (
        "all of them train"
    )


def test_their_pixels_are_read_from_where_they_lie_and_the_run_is_told_how_many_they_are(
    load, noise, train_and_test, more
):
    cv2.imwrite(str(more / "loose.png"), noise(7000))  # outside of the folders of emotions: no part of it
    dataset = load(train_and_test, more_images=str(more))
    assert dataset.notes[0] == f"More images: 4 of {more}, for training and validation."
    assert dataset.notes[1] == "Validation: 3 of 34 training images, held out by seed 0."
    names = dataset.train.names(slice(None))
    numbers = [int(name.rpartition("/")[2].removesuffix(".png")) for name in names]
    assert max(numbers) >= 5000 > min(numbers)
    expected = np.stack([noise(number) for number in numbers])[..., np.newaxis]
    assert np.array_equal(dataset.train.images(slice(None)), expected)
    assert np.array_equal(dataset.train.images(np.array([len(numbers) - 1, 0])), expected[[-1, 0]])
    parts = audit(dataset).parts
    assert [part.name for part in parts] == ["train", "test", "more images"]
    assert parts[2].images == {"angry": 0, "happy": 2, "sad": 2}


@pytest.mark.parametrize("own", ["train/sad/00029.png", "test/sad/01011.png"])
def test_what_the_data_has_already_is_left_out(load, train_and_test, more, own, tmp_path):
    before = load(train_and_test)
    shutil.copy(train_and_test / own, more / own.split("/")[1] / "copy.png")
    after = load(train_and_test, more_images=str(more))
    assert len(after.train) + len(after.validation) == len(before.train) + len(before.validation) + 4
    assert contents_of(after.test) == contents_of(before.test)
    assert after.notes[0].endswith("for training and validation. 1 are left out, as the data has them already.")
    nothing = load(train_and_test, more_images=str(shutil.copytree(train_and_test / "test", tmp_path / "same")))
    assert (nothing.fingerprint, nothing.split_fingerprint) == (before.fingerprint, before.split_fingerprint)


def test_a_training_image_that_comes_back_under_another_label_trains_under_that_one_alone(load, train_and_test, more):
    for name, copies in (("train/sad/00029.png", 1), ("test/sad/01011.png", 0)):
        before = load(train_and_test)
        shutil.copy(train_and_test / name, more / "happy" / "corrected.png")
        after = load(train_and_test, more_images=str(more), validation="none")
        own = before.contents.hashes[before.contents.names.index(name)]
        trained = [after.labels[number] for number in after.train.labels[after.train.hashes == own]]
        assert trained == ["happy"] * copies, "a test image keeps its label, and never trains"
        assert contents_of(after.test) == contents_of(before.test)
        assert ("correct a label of the data" in after.notes[0]) == bool(copies)


def test_a_correction_of_what_is_held_out_for_test_is_not_trained_on(load, fill, tmp_path):
    own = fill(tmp_path / "own", 10)
    before = load(own)
    tested = before.test.names(slice(None))[0]
    label = next(label for label in before.labels if label != tested.split("/")[-2])
    (tmp_path / "more" / label).mkdir(parents=True)
    shutil.copy(own / tested, tmp_path / "more" / label / "corrected.png")
    after = load(own, more_images=str(tmp_path / "more"))
    assert contents_of(after.test) == contents_of(before.test)
    assert not np.isin(after.test.hashes, np.concatenate([after.train.hashes, after.validation.hashes])).any()


def test_the_fingerprints_follow_their_contents_and_only_the_latest_cache_of_them_is_kept(
    load, paths, train_and_test, more, tmp_path
):
    plain = load(train_and_test)
    (own,) = (paths.cache / "datasets").glob("*[!k]")
    first = load(train_and_test, more_images=str(more))
    moved = shutil.copytree(more, tmp_path / "moved")
    (moved / "sad" / "05002.png").rename(moved / "sad" / "another name.png")
    again = load(train_and_test, more_images=str(moved))
    (moved / "sad" / "another name.png").unlink()
    less = load(train_and_test, more_images=str(moved))
    assert (again.fingerprint, again.split_fingerprint) == (first.fingerprint, first.split_fingerprint)
    assert len({dataset.fingerprint for dataset in (plain, first, less)}) == 3
    assert len({dataset.split_fingerprint for dataset in (plain, first, less)}) == 3
    kept = list((paths.cache / "datasets").glob("*[!k]"))
    assert own in kept
    assert len(kept) == 2


def test_a_folder_that_means_the_same_emotion_is_of_its_class(load, train_and_test, more):
    (more / "happy").rename(more / "Happiness")
    shutil.copy(next((train_and_test / "train" / "happy").iterdir()), more / "Happiness" / "copy.png")
    note = load(train_and_test, more_images=str(more)).notes[0]
    assert note.endswith(" 1 are left out, as the data has them already."), "it corrects nothing"
    assert audit(load(train_and_test, more_images=str(more))).parts[2].images == {"angry": 0, "happy": 2, "sad": 2}


def test_what_cannot_be_added_is_refused(load, fill, train_and_test, more, tmp_path):
    with pytest.raises(DatasetError, match=r"There is no folder of more images .*missing"):
        load(train_and_test, more_images=str(tmp_path / "missing"))
    (tmp_path / "empty" / "sad").mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"holds no pictures in folders of emotions"):
        load(train_and_test, more_images=str(tmp_path / "empty"))
    (more / "sad" / "bad.png").write_bytes(b"bad")
    with pytest.raises(DatasetError, match=r"1 image cannot be read: sad/bad\.png"):
        load(train_and_test, more_images=str(more))
    dataset = load(train_and_test, more_images=str(more), skip_bad_images=True)
    assert [bad.name for bad in dataset.bad_images] == ["sad/bad.png"]
    fill(more, 1, first=6000, emotions=("hapy",))
    with pytest.raises(DatasetError, match=r"has a folder 'hapy'; the data has no such class") as caught:
        load(train_and_test, more_images=str(more), skip_bad_images=True)
    assert caught.value.hint == "Did you mean 'happy'?"
