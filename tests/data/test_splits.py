"""Who trains, validates and tests, and what the run is told about it: copies together, by seed, in proportion."""

import os
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fer_core.config import TrainConfig
from fer_core.data.held_out import fold_numbers, held_out
from fer_core.errors import ConfigError, DatasetError

images = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 60)), min_size=1, max_size=200)
fractions = st.floats(0.01, 0.89)
thorough = settings(max_examples=150, deadline=None, database=None)


def arrays(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns labels and hashes; equal second numbers are copies, also under different labels."""
    table = np.array(pairs, np.int64)
    return table[:, 0], (table[:, 1].astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)


@given(images, fractions, st.randoms(use_true_random=False), st.text(max_size=5))
@thorough
def test_copies_stay_on_one_side_and_the_order_of_the_images_does_not_matter(pairs, fraction, random, key):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    chosen = []
    for some in (pairs, shuffled):
        labels, hashes = arrays(some)
        out = held_out(labels, hashes, fraction=fraction, key=key)
        assert not np.isin(hashes[out], hashes[~out]).any()
        chosen.append(sorted(zip(labels[out].tolist(), hashes[out].tolist(), strict=True)))
    assert chosen[0] == chosen[1]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=6), fractions, st.text(max_size=5))
@thorough
def test_without_copies_each_class_gives_its_rounded_share_and_at_least_one(counts, fraction, key):
    labels = np.repeat(np.arange(len(counts)), counts)
    hashes = np.random.default_rng(0).permutation(len(labels)).astype(np.uint64)
    out = held_out(labels, hashes, fraction=fraction, key=key)
    for label, count in enumerate(counts):
        expected = max(1, round(fraction * count)) if count > 1 else 0
        assert out[labels == label].sum() == expected


def test_another_key_holds_out_other_images_and_a_few_more_images_move_few_of_the_others():
    labels, hashes = np.arange(7000) % 7, np.random.default_rng(1).integers(0, 2**64, 7000, dtype=np.uint64)
    first, second = (held_out(labels, hashes, fraction=0.1, key=key) for key in ("seed 0", "seed 1"))
    assert abs((first & second).sum() - 70) < 35
    fewer = held_out(labels[:6900], hashes[:6900], fraction=0.1, key="seed 0")
    assert (fewer != first[:6900]).sum() < 60


@given(st.integers(3, 40), st.integers(2, 6), fractions, st.text(max_size=5))
@thorough
def test_persons_stay_on_one_side_and_each_label_keeps_images_to_train_on(people, classes, fraction, key):
    random = np.random.default_rng(people * classes)
    persons = random.integers(0, people, 6 * people)
    labels, hashes = (
        random.integers(0, classes, len(persons)),
        random.integers(0, 2**63, len(persons)).astype(np.uint64),
    )
    hashes[1] = hashes[0]  # two who share a picture are on one side too
    names = ["" if person == 0 else f"p{person}" for person in persons]
    out = held_out(labels, hashes, fraction=fraction, key=key, persons=names)
    assert not {name for name, is_out in zip(names, out, strict=True) if is_out and name} & {
        name for name, is_out in zip(names, out, strict=True) if not is_out
    }
    assert not np.isin(hashes[out], hashes[~out]).any()
    assert set(labels[~out]) == set(labels)
    shuffled = random.permutation(len(labels))
    again = held_out(
        labels[shuffled],
        hashes[shuffled],
        fraction=fraction,
        key=key,
        persons=[f"x{names[i]}" if names[i] else "" for i in shuffled],
    )
    assert np.array_equal(again, out[shuffled]), "neither names nor order matter"


def contents_of(*splits) -> list[int]:
    return sorted(int(value) for split in splits for value in split.hashes)


def sizes(dataset) -> list[int]:
    return [len(split) if split is not None else 0 for split in (dataset.train, dataset.validation, dataset.test)]


def copied(folder, copies):
    """Puts copies of each picture beside it, as many as `copies` says of its number."""
    for file in list(folder.rglob("*.png")):
        for copy in range(copies(int(file.stem))):
            shutil.copy(file, file.with_name(f"copy {copy} of {file.name}"))
    return folder


BOTH, ALL_THREE = {"train": 10, "test": 4}, {"train": 10, "test": 4, "val": 5}


@pytest.mark.parametrize(
    ("parts", "settings", "expected", "note"),
    [
        (BOTH, {"seed": 3}, [27, 3, 12], "Validation: 3 of 30 training images, held out by seed 3."),
        ({".": 20}, {"test_split": 0.25}, [39, 6, 15], "Test: 15 of 60 images, held out by seed 0. Validation: 6 "),
        ({"train": 20}, {"validation": "none"}, [48, 0, 12], "Test: 12 of 60 images, held out by seed 0."),
        (ALL_THREE, {}, [30, 15, 12], "Validation: 15 images of validation."),
        (ALL_THREE, {"validation": "none"}, [30, 0, 12], "The 15 images of validation are not used."),
        ({"train": 10, "val": 4}, {}, [27, 3, 12], "Test: 12 images of validation, as there is no other test part."),
        (BOTH, {"validation": "test"}, [30, 12, 12], "the 12 test images themselves (--validation test), so scores on"),
    ],
)
def test_who_trains_validates_and_tests_is_said_and_none_is_left_out(
    load, fill, tmp_path, parts, settings, expected, note
):
    for number, (part, count) in enumerate(parts.items()):
        fill(tmp_path / "faces" / part, count, first=1000 * number)
    dataset = load(tmp_path / "faces", **settings)
    assert sizes(dataset) == expected
    assert note in " ".join(dataset.notes)
    splits = {id(split): split for split in (dataset.train, dataset.validation, dataset.test) if split}.values()
    assert len(set(contents_of(*splits))) == sum(map(len, splits))


def test_the_split_fingerprint_follows_seed_and_kind_of_validation_and_the_other_one_does_not(load, train_and_test):
    first, again, other = (load(train_and_test, seed=seed) for seed in (1, 1, 2))
    assert contents_of(first.validation) == contents_of(again.validation) != contents_of(other.validation)
    assert first.split_fingerprint == again.split_fingerprint != other.split_fingerprint
    kinds = [load(train_and_test, validation=kind) for kind in ("split", "test", "none")]
    assert len({dataset.split_fingerprint for dataset in kinds}) == 3
    assert {dataset.fingerprint for dataset in kinds} == {first.fingerprint} == {other.fingerprint}


def test_names_and_places_change_neither_the_fingerprints_nor_the_order(load, train_and_test, tmp_path):
    before = load(train_and_test)
    moved = shutil.move(train_and_test, tmp_path / "moved")
    for file in (tmp_path / "moved").rglob("*.png"):
        file.rename(file.with_name(f"renamed {99999 - int(file.stem):05}.png"))
    after = load(moved)
    assert (after.fingerprint, after.split_fingerprint) == (before.fingerprint, before.split_fingerprint)
    assert np.array_equal(after.train.images(slice(None)), before.train.images(slice(None)))


@pytest.mark.parametrize("target", ["train/happy/00029.png", "test/sad/00029.png"])
def test_another_label_or_part_changes_the_fingerprint(load, train_and_test, target):
    before = load(train_and_test).fingerprint
    (train_and_test / "train/sad/00029.png").rename(train_and_test / target)
    assert load(train_and_test).fingerprint != before


def test_copies_stay_on_one_side_of_our_splits(load, fill, tmp_path):
    dataset = load(copied(fill(tmp_path / "own", 12), lambda number: number % 4))
    sides = [set(split.hashes.tolist()) for split in (dataset.train, dataset.validation, dataset.test)]
    assert not (sides[0] & sides[1] or sides[0] & sides[2] or sides[1] & sides[2])
    # Of three pictures with many copies, each goes to a side of its own.
    assert sizes(load(copied(fill(tmp_path / "few", 3, emotions=("happy", "sad")), lambda _: 5))) == [12, 12, 12]


def test_a_class_without_a_training_image_left_is_refused(load, fill, tmp_path):
    fill(tmp_path / "own", 20)
    fill(tmp_path / "own", 2, first=900, emotions=("disgust",))
    with pytest.raises(DatasetError, match=r"disgust has no training image left .* \(2 in all\)") as caught:
        load(tmp_path / "own", test_split=0.85)
    assert "test_split" in caught.value.hint
    assert "--" not in caught.value.hint  # an analysis, which may meet it too, has no such flags


@pytest.mark.parametrize(
    ("count", "settings", "name", "needed"),
    [
        (1, {}, "validation", "at least 3 different images: one each for training, validation and test."),
        (2, {}, "validation", "at least 3 different images"),
        (1, {"validation": "none"}, "test", "at least 2 different images: one each for training and test."),
    ],
)
def test_too_few_images_are_refused_with_how_many_a_class_needs(load, fill, tmp_path, count, settings, name, needed):
    copied(fill(tmp_path / "own", count, emotions=("happy", "sad")), lambda _: 5)
    message = rf"No image is left for {name}: .*copies not counted \(happy has {count}, sad has {count}\)"
    with pytest.raises(DatasetError, match=message) as caught:
        load(tmp_path / "own", **settings)
    assert needed in caught.value.hint
    fill(tmp_path / "enough", int(needed.split()[2]), emotions=("happy", "sad"))
    assert load(tmp_path / "enough", **settings).test


def test_test_images_of_classes_that_training_lacks_are_not_called_copies(load, fill, tmp_path):
    fill(tmp_path / "own" / "train", 8)
    fill(tmp_path / "own" / "test", 2, first=900, emotions=("disgust",))
    with pytest.raises(DatasetError, match="No image of test can be scored: training has none of its classes"):
        load(tmp_path / "own")


def test_the_sample_is_drawn_the_same_for_every_seed_and_more_of_it_contains_less(load):
    first, other = (load("sample", sample_per_class=10, seed=seed) for seed in (0, 1))
    assert first.fingerprint == other.fingerprint
    assert (first.name, first.source, len(first.labels)) == ("sample", "sample", 7)
    assert sizes(first) == [49, 7, 14]
    assert contents_of(first.test) != contents_of(other.test)
    few, more = (load("sample", sample_per_class=count, validation="none") for count in (10, 12))
    assert set(contents_of(few.train, few.test)) < set(contents_of(more.train, more.test))


@given(images, st.integers(2, 6), st.randoms(use_true_random=False))
@thorough
def test_copies_lie_in_one_fold_and_the_order_of_the_images_does_not_matter(pairs, folds, random):
    shuffled = list(pairs)
    random.shuffle(shuffled)
    of_content = []
    for some in (pairs, shuffled):
        labels, hashes = arrays(some)
        numbers = fold_numbers(labels, hashes, folds)
        of_content.append(dict(zip(hashes.tolist(), numbers.tolist(), strict=True)))
        assert all(of_content[-1][content] == number for content, number in zip(hashes.tolist(), numbers, strict=True))
    assert of_content[0] == of_content[1]
    sizes = np.bincount(list(of_content[0].values()), minlength=folds)
    assert sizes.max() - sizes.min() <= 1


def test_each_training_image_is_tested_in_one_fold_and_the_own_test_images_in_none(load, fill, train_and_test):
    fill(train_and_test / "val", 5, first=2000)
    whole = contents_of(load(train_and_test, validation="none").train)
    folds = [load(train_and_test, fold=f"{number}/3", seed=number) for number in (1, 2, 3)]
    assert contents_of(*(dataset.test for dataset in folds)) == whole
    for dataset in folds:
        assert contents_of(dataset.train, dataset.validation, dataset.test) == whole
        assert np.bincount(dataset.test.labels).max() <= 4
    assert folds[1].test.name == "fold 2 of 3 of train"
    assert folds[1].notes[0] == "Test: 10 of 30 training images, fold 2 of 3 of train."


@pytest.mark.parametrize("fold", ["3/2", "1/1", "0/5", "one", "1/100"])
def test_a_fold_that_there_is_not_is_refused(fold):
    with pytest.raises(ConfigError, match="fold"):
        TrainConfig.checked({"fold": fold})


def test_excluded_images_neither_train_nor_validate_and_test_stays(load, train_and_test, tmp_path):
    names = ["train/sad/00029.png", "train/happy/00011.png", "test/sad/01009.png"]
    (tmp_path / "exclude.txt").write_text("\ufeff" + "\n".join(names) + "\n\n")  # as Windows' editor saves it
    whole, dataset = load(train_and_test), load(train_and_test, exclude=str(tmp_path / "exclude.txt"))
    assert len(dataset.train) + len(dataset.validation) == len(whole.train) + len(whole.validation) - 2
    assert contents_of(dataset.test) == contents_of(whole.test)
    assert not {*names} & {*dataset.train.names(slice(None)), *dataset.validation.names(slice(None))}
    assert "Excluded: 2 images named in" in dataset.notes[0] and "1 other names in it" in dataset.notes[0]
    assert dataset.split_fingerprint != whole.split_fingerprint


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"train/sad/none.png", "names no image of this data"),
        (b"\xff", "cannot be read"),
        (
            "\n".join(f"train/{c}/{n:05}.png" for c in ("angry", "happy", "sad") for n in range(30)).encode(),
            "angry has no",
        ),
    ],
    ids=["no name", "no text", "all names"],
)
def test_a_list_that_excludes_nothing_or_all_is_refused(load, train_and_test, tmp_path, content, error):
    (tmp_path / "exclude.txt").write_bytes(content)
    with pytest.raises(DatasetError, match=error):
        load(train_and_test, exclude=str(tmp_path / "exclude.txt"))


def test_a_list_that_would_never_end_is_refused(load, train_and_test, tmp_path):
    os.mkfifo(tmp_path / "exclude.txt")
    with pytest.raises(DatasetError, match="named pipe"):
        load(train_and_test, exclude=str(tmp_path / "exclude.txt"))
