"""What the audit finds."""

import json
import shutil

import cv2
import numpy as np
import pytest

from fer_core.data.audit import audit


@pytest.fixture
def flawed(train_and_test):
    """train/ with two copies of a sad face (one of them as happy), a sad face that is also in test, and a blank one."""
    train, test = train_and_test / "train", train_and_test / "test"
    shutil.copy(train / "sad" / "00029.png", train / "sad" / "copy.png")
    shutil.copy(train / "sad" / "00029.png", train / "happy" / "copy.png")
    shutil.copy(train / "sad" / "00028.png", test / "sad" / "leak.png")
    shutil.copy(train / "sad" / "00027.png", test / "angry" / "leak.png")
    cv2.imwrite(str(test / "sad" / "blank.png"), np.full((48, 48), 77, np.uint8))
    (train / "angry" / "bad.jpg").write_bytes(b"bad")
    return train_and_test


def test_copies_contradictions_shared_blank_and_unreadable_images_are_found(load, flawed):
    found = audit(load(flawed, skip_bad_images=True))
    train, test = found.parts
    assert (train.extra_copies, test.extra_copies, test.conflicting) == (2, 0, ())
    assert train.conflicting == (
        {"train/happy/copy.png": "happy", "train/sad/00029.png": "sad", "train/sad/copy.png": "sad"},
    )
    (shared,) = found.shared
    assert (shared.part, shared.other, shared.images, shared.other_label) == ("test", "train", 2, 1)
    assert found.blank == ("test/sad/blank.png",)
    written = json.loads(json.dumps(found.to_json()))
    assert written["parts"][0]["extra_copies"] == 2
    assert written["unreadable"] == [
        {"name": "train/angry/bad.jpg", "reason": "not a JPEG, PNG, BMP, WebP, TIFF, GIF or AVIF picture, or damaged"}
    ]
    assert written["fingerprint"] == found.fingerprint


def test_images_are_counted_per_part_before_validation_is_taken_out(load, fill, train_and_test, tmp_path):
    parts = audit(load(train_and_test)).parts
    assert [(part.name, part.images) for part in parts] == [
        ("train", {"angry": 10, "happy": 10, "sad": 10}),
        ("test", {"angry": 4, "happy": 4, "sad": 4}),
    ]
    found = audit(load(fill(tmp_path / "own", 10)))
    assert [(part.name, sum(part.images.values())) for part in found.parts] == [("all images", 30)]
    assert found.shared == ()


def test_the_same_pixels_in_another_file_format_are_a_copy(load, train_and_test):
    one = train_and_test / "train" / "sad" / "00029.png"
    cv2.imwrite(str(one.with_suffix(".bmp")), cv2.imread(str(one), cv2.IMREAD_GRAYSCALE))
    assert audit(load(train_and_test)).parts[0].extra_copies == 1


def test_a_picture_resized_lightened_and_compressed_anew_is_a_near_duplicate(load, train_and_test):
    original = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 256, (48, 48), np.uint8), (0, 0), 3) * 2
    cv2.imwrite(str(train_and_test / "train" / "sad" / "soft.png"), original)
    changed = cv2.resize(cv2.convertScaleAbs(original, alpha=0.8, beta=30), (96, 96))
    cv2.imwrite(str(train_and_test / "test" / "happy" / "again.jpg"), changed, [cv2.IMWRITE_JPEG_QUALITY, 40])
    cv2.imwrite(str(train_and_test / "test" / "happy" / "blank.png"), np.full((48, 48), 77, np.uint8))
    cv2.imwrite(str(train_and_test / "train" / "sad" / "blank.png"), np.full((48, 48), 78, np.uint8))
    (near,) = audit(load(train_and_test)).near_duplicates
    assert (near.part, near.name, near.label) == ("test", "test/happy/again.jpg", "happy")
    assert (near.other, near.other_name, near.other_label) == ("train", "train/sad/soft.png", "sad")
