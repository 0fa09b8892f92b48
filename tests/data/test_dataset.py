"""Who trains, validates and tests, and what the run is told about it."""

import shutil

import numpy as np
import pytest

from fer_core.errors import DatasetError


def contents_of(*splits) -> list[int]:
    return sorted(int(value) for split in splits for value in split.hashes)


def test_a_part_of_train_is_held_out_by_seed(load, train_and_test):
    dataset = load(train_and_test, seed=3)
    assert (dataset.train.name, dataset.validation.name, dataset.test.name) == ("train", "validation", "test")
    assert np.bincount(dataset.validation.labels).tolist() == [1, 1, 1]
    assert dataset.notes == ("Validation: 3 of 30 training images, held out by seed 3.",)


def test_the_roles_share_no_image_and_leave_none_out(load, fill, tmp_path):
    dataset = load(fill(tmp_path / "own", 20))
    together = contents_of(dataset.train, dataset.validation, dataset.test)
    assert len(set(together)) == len(together) == 60


def test_one_folder_of_classes_gives_test_and_then_validation(load, fill, tmp_path):
    dataset = load(fill(tmp_path / "own", 20), test_split=0.25, validation_fraction=0.2)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [36, 9, 15]
    assert dataset.notes == (
        "Test: 15 of 60 images, held out by seed 0.",
        "Validation: 9 of 45 training images, held out by seed 0.",
    )


def test_a_folder_with_train_alone_is_split_too(load, fill, tmp_path):
    fill(tmp_path / "own" / "train", 20)
    assert len(load(tmp_path / "own").test) == 12


def test_the_folder_val_is_validation_where_it_exists(load, fill, train_and_test):
    fill(train_and_test / "val", 5, first=2000)
    dataset = load(train_and_test)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [30, 15, 12]
    assert dataset.notes == ("Validation: 15 images of validation.",)


def test_the_only_part_besides_train_is_test_and_the_run_says_so(load, train_and_test):
    (train_and_test / "test").rename(train_and_test / "validation")
    dataset = load(train_and_test)
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [27, 3, 12]
    assert dataset.notes[0] == "Test: 12 images of validation, as there is no other test part."


def test_validation_on_the_test_images_is_said_to_be_that(load, train_and_test):
    dataset = load(train_and_test, validation="test")
    assert dataset.validation is dataset.test
    assert len(dataset.train) == 30
    assert dataset.notes == (
        "Validation: the 12 test images themselves (--validation test), so scores on them are not independent.",
    )


def test_without_validation_all_of_train_is_trained_on(load, fill, train_and_test):
    fill(train_and_test / "val", 5, first=2000)
    dataset = load(train_and_test, validation="none")
    assert dataset.validation is None
    assert dataset.notes == (
        "Validation: none; trained on all 30 training images. The 15 images of validation are not used.",
    )


def test_the_same_seed_gives_the_same_split_and_another_one_another(load, train_and_test):
    first, again, other = (load(train_and_test, seed=seed) for seed in (1, 1, 2))
    assert contents_of(first.validation) == contents_of(again.validation) != contents_of(other.validation)
    assert first.split_fingerprint == again.split_fingerprint != other.split_fingerprint
    assert first.fingerprint == other.fingerprint


def test_the_split_fingerprint_tells_the_kinds_of_validation_apart(load, train_and_test):
    kinds = {load(train_and_test, validation=kind).split_fingerprint for kind in ("split", "test", "none")}
    assert len(kinds) == 3


def test_names_and_places_change_neither_the_fingerprints_nor_the_order(load, train_and_test, tmp_path):
    before = load(train_and_test)
    moved = shutil.move(train_and_test, tmp_path / "moved")
    for file in (tmp_path / "moved").rglob("*.png"):
        file.rename(file.with_name(f"renamed {99999 - int(file.stem):05}.png"))
    after = load(moved)
    assert (after.fingerprint, after.split_fingerprint) == (before.fingerprint, before.split_fingerprint)
    assert np.array_equal(after.train.images(slice(None)), before.train.images(slice(None)))


@pytest.mark.parametrize("change", ["label", "part"])
def test_another_label_or_part_changes_the_fingerprint(load, train_and_test, change):
    before = load(train_and_test).fingerprint
    target = "train/happy/00029.png" if change == "label" else "test/sad/00029.png"
    (train_and_test / "train/sad/00029.png").rename(train_and_test / target)
    assert load(train_and_test).fingerprint != before


def test_copies_stay_on_one_side_of_our_splits(load, fill, tmp_path):
    fill(tmp_path / "own", 12)
    for file in list((tmp_path / "own").rglob("*.png")):
        for copy in range(int(file.stem) % 4):
            shutil.copy(file, file.with_name(f"copy {copy} of {file.name}"))
    dataset = load(tmp_path / "own")
    sides = [set(split.hashes.tolist()) for split in (dataset.train, dataset.validation, dataset.test)]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])


def test_a_class_without_a_training_image_left_is_refused(load, fill, tmp_path):
    fill(tmp_path / "own", 20)
    fill(tmp_path / "own", 2, first=900, emotions=("disgust",))
    with pytest.raises(DatasetError, match=r"disgust has no training image left .* \(2 in all\)") as caught:
        load(tmp_path / "own", test_split=0.85)
    assert "test_split" in caught.value.hint
    assert "--" not in caught.value.hint  # an analysis has no such flags


@pytest.mark.parametrize(
    ("count", "settings", "name", "needed"),
    [
        (1, {}, "validation", "at least 3 different images: one each for training, validation and test."),
        (2, {}, "validation", "at least 3 different images"),
        (1, {"validation": "none"}, "test", "at least 2 different images: one each for training and test."),
    ],
)
def test_too_few_images_are_refused_with_how_many_a_class_needs(load, fill, tmp_path, count, settings, name, needed):
    fill(tmp_path / "own", count, emotions=("happy", "sad"))
    with pytest.raises(
        DatasetError, match=rf"No image is left for {name}: .*\(happy has {count}, sad has {count}\)"
    ) as caught:
        load(tmp_path / "own", **settings)
    assert needed in caught.value.hint
    fill(tmp_path / "enough", int(needed.split()[2]), emotions=("happy", "sad"))
    assert load(tmp_path / "enough", **settings).test


def test_copies_are_no_images_of_their_own(load, fill, tmp_path):
    fill(tmp_path / "own", 1, emotions=("happy", "sad"))
    for file in list((tmp_path / "own").rglob("*.png")):
        for copy in range(5):
            shutil.copy(file, file.with_name(f"copy {copy} of {file.name}"))
    with pytest.raises(DatasetError, match=r"copies not counted \(happy has 1, sad has 1\)"):
        load(tmp_path / "own")


def test_of_three_pictures_with_many_copies_each_goes_to_a_side_of_its_own(load, fill, tmp_path):
    fill(tmp_path / "own", 3, emotions=("happy", "sad"))
    for file in list((tmp_path / "own").rglob("*.png")):
        for copy in range(5):
            shutil.copy(file, file.with_name(f"copy {copy} of {file.name}"))
    dataset = load(tmp_path / "own")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [12, 12, 12]


def test_the_sample_is_drawn_the_same_for_every_seed(load):
    first, other = (load("sample", sample_per_class=10, seed=seed) for seed in (0, 1))
    assert first.fingerprint == other.fingerprint
    assert (first.name, first.source, len(first.labels)) == ("sample", "sample", 7)
    assert [len(split) for split in (first.train, first.validation, first.test)] == [49, 7, 14]
    assert contents_of(first.test) != contents_of(other.test)


def test_more_of_the_sample_contains_less_of_it(load):
    few, more = (load("sample", sample_per_class=count, validation="none") for count in (10, 12))
    assert set(contents_of(few.train, few.test)) < set(contents_of(more.train, more.test))
