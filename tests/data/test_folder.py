"""Folders of pictures."""

import os

import cv2
import numpy as np
import pytest

from fer_core.data.contents import UnreadableImagesError
from fer_core.errors import DatasetError


def test_train_and_test_are_loaded_with_alphabetical_labels(load, train_and_test):
    dataset = load(train_and_test)
    assert dataset.labels == ("angry", "happy", "sad")
    assert (dataset.name, dataset.source) == ("faces", str(train_and_test))
    assert [len(dataset.train), len(dataset.validation), len(dataset.test)] == [27, 3, 12]
    assert dataset.test.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_the_images_are_those_of_the_files(load, train_and_test, noise):
    test = load(train_and_test).test
    images = test.images(slice(None))
    assert (images.shape, images.dtype) == ((12, 48, 48, 1), np.uint8)
    for image, name in zip(images, test.names(slice(None)), strict=True):
        assert np.array_equal(image[:, :, 0], noise(int(name.split("/")[-1][:5])))


def test_images_are_read_by_position(load, train_and_test):
    train = load(train_and_test).train
    everything = train.images(slice(None))
    positions = np.array([7, 0, 7])
    assert np.array_equal(train.images(positions), everything[positions])
    assert train.names(positions) == [train.names(slice(None))[i] for i in positions]
    assert type(train.images(positions)) is np.ndarray


def test_side_and_channels_are_what_was_asked_for(load, train_and_test):
    images = load(train_and_test, side=32, channels=3).train.images(slice(0, 2))
    assert images.shape == (2, 32, 32, 3)


def test_the_content_fingerprint_does_not_depend_on_the_side(load, train_and_test):
    assert load(train_and_test, side=32).fingerprint == load(train_and_test, side=48).fingerprint


def test_colour_pictures_of_other_formats_and_sizes_are_read(load, train_and_test, noise):
    colour = np.dstack([noise(1, 60, 80)] * 3)
    for suffix in (".jpg", ".jpeg", ".BMP", ".webp"):
        assert cv2.imwrite(str(train_and_test / "train" / "sad" / f"other{suffix}"), colour)
    assert len(load(train_and_test, validation="none").train) == 34


def test_class_folders_in_other_letters_and_any_number_of_classes(load, fill, tmp_path):
    fill(tmp_path / "own", 10, emotions=("Contempt", "HAPPY", "my own"))
    assert load(tmp_path / "own").labels == ("contempt", "happy", "my own")


@pytest.mark.parametrize("change", ["changed", "touched", "added", "removed", "emptied folder"])
def test_a_change_of_one_image_is_noticed(load, train_and_test, noise, change):
    before = load(train_and_test)
    reports: list[str] = []
    one = train_and_test / "train" / "sad" / "00029.png"
    if change == "changed":
        cv2.imwrite(str(one), noise(77))
    elif change == "touched":
        os.utime(one, (1, 1))
    elif change == "added":
        cv2.imwrite(str(one.with_name("new.png")), noise(77))
    elif change == "removed":
        one.unlink()
    else:
        (train_and_test / "train" / "fear").mkdir()
        with pytest.raises(DatasetError, match="the folder train/fear holds no pictures"):
            load(train_and_test)
        return
    after = load(train_and_test, report=reports.append)
    assert (after.fingerprint == before.fingerprint) == (change == "touched")


def test_unreadable_images_are_named_and_counted(load, train_and_test):
    for number in range(5):
        (train_and_test / "train" / "sad" / f"bad{number}.jpg").write_bytes(b"no picture")
    with pytest.raises(
        UnreadableImagesError,
        match=r"5 images cannot be read: train/sad/bad0\.jpg \(not a JPEG.*\); "
        r"train/sad/bad1\.jpg .*; train/sad/bad2\.jpg .*; and 2 more\.",
    ) as caught:
        load(train_and_test)
    assert "--skip-bad-images" in caught.value.hint
    assert len(caught.value.bad_images) == 5


def test_unreadable_images_are_skipped_on_request_and_recorded(load, train_and_test):
    expected = load(train_and_test).fingerprint
    (train_and_test / "train" / "sad" / "bad.jpg").write_bytes(b"")
    dataset = load(train_and_test, skip_bad_images=True)
    assert [(bad.name, bad.reason) for bad in dataset.bad_images] == [("train/sad/bad.jpg", "empty file")]
    assert dataset.fingerprint == expected


def test_a_dangling_link_is_an_unreadable_image(load, train_and_test):
    (train_and_test / "train" / "sad" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(UnreadableImagesError, match=r"1 image cannot be read: train/sad/gone\.png \(No such file"):
        load(train_and_test)


def test_a_link_to_a_folder_around_it_does_not_go_on_for_ever(load, train_and_test):
    expected = load(train_and_test).fingerprint
    (train_and_test / "train" / "sad" / "again").symlink_to(train_and_test)
    assert load(train_and_test).fingerprint == expected


def test_class_folders_may_be_links(load, fill, tmp_path):
    fill(tmp_path / "store", 10)
    (tmp_path / "linked").mkdir()
    for emotion in ("angry", "sad"):
        (tmp_path / "linked" / emotion).symlink_to(tmp_path / "store" / emotion)
    assert load(tmp_path / "linked").labels == ("angry", "sad")


def test_one_class_only_is_refused(load, fill, tmp_path):
    fill(tmp_path / "one", emotions=("sad",))
    with pytest.raises(DatasetError, match="has one class only, 'sad'"):
        load(tmp_path / "one")


def test_a_class_that_only_one_part_has_is_refused(load, fill, train_and_test):
    fill(train_and_test / "train", 2, first=500, emotions=("fear",))
    with pytest.raises(DatasetError, match="test has no images of fear; train has") as caught:
        load(train_and_test)
    assert "without train/ and test/" in caught.value.hint


def test_a_picture_whose_name_is_no_utf_8_is_named_in_what_is_written(load, train_and_test):
    (train_and_test / "train" / "sad" / os.fsdecode(b"s\xe1nchez\n.png")).write_bytes(b"no picture")
    (bad,) = load(train_and_test, skip_bad_images=True).bad_images
    assert bad.name == "train/sad/s?nchez\\n.png"
