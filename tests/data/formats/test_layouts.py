"""The layouts that people bring, as a folder, a zip and a tar: each is read as its user means it."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from fer_core.data.audit import audit
from fer_core.errors import DatasetError
from fer_core.labels import FER2013_LABELS
from tests.data.formats import layouts
from tests.data.formats.layouts import face, written

EIGHT = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")
SEVEN = FER2013_LABELS


class Expected(NamedTuple):
    """What is read of a layout: labels, images of each part, and pieces of what is said of it."""

    labels: tuple[str, ...]
    parts: dict[str, int]
    said: tuple[str, ...] = ()
    settings: dict[str, str] = {}


LAYOUTS = {
    "rafdb_official": Expected(
        SEVEN,
        {"train": 21, "test": 14},
        ("Read as RAF-DB (aligned pictures).", "Left out, as the aligned pictures are used: 35 in"),
    ),
    "rafdb_kaggle": Expected(SEVEN, {"train": 21, "test": 14}, ("Read as RAF-DB",)),
    "affectnet_official": Expected(EIGHT, {"train": 24, "validation": 16}, ("Read as AffectNet.",)),
    "affectnet_numbered": Expected(
        EIGHT,
        {"train": 24, "validation": 16},
        ("Labels: 0 as neutral, 1 as happy,",),
        {"label_map": "affectnet"},
    ),
    "kdef": Expected(SEVEN, {"all images": 70}, ("Read as KDEF", "Left out, as full profiles (FL, FR):")),
    "ferplus_images": Expected(
        EIGHT,
        {"train": 24, "validation": 16, "test": 16},
        ("Read as FER+.", "scores are on the majority", "as most votes say unknown or not a face: 1 in"),
    ),
    "ckextended_csv": Expected(EIGHT, {"Training": 24, "PublicTest": 16, "PrivateTest": 16}),
    "challenge_csv": Expected(
        SEVEN, {"all images": 35}, ("Left out, as it has no labels:", "test.csv.", "Test: 7 of 35 images")
    ),
    "roboflow_folders": Expected(SEVEN, {"train": 21, "validation": 14, "test": 14}),
    "aliases": Expected(SEVEN, {"train": 21, "test": 14}, ("Labels: anger as angry, calm as neutral, disgusted as",)),
    "images_and_csv": Expected(
        SEVEN, {"all images": 35}, ("Read as pictures and a table of labels", "Test: 7 of 35 images")
    ),
    "beside": Expected(
        ("happy", "neutral", "sad"),
        {"train": 9, "test": 6},
        tuple(f"Left out, as beside test and train: 1 in {f}" for f in ("docs", "results", "sample images")),
    ),
    "suffixes": Expected(("happy", "sad"), {"all images": 14}),
    "sixteen_bit": Expected(("happy", "sad"), {"all images": 36}),
    "unicode_names": Expected(("joyeux", "énervé", "슬픔"), {"train": 9, "test": 6}, ("Guessed: the classes are",)),
    "missing_in_test": Expected(
        ("angry", "happy", "sad"),
        {"train": 15, "test": 6},
        ("as training has none of its class (fear): 5.", "Not measured, as test has no image of it: angry."),
    ),
    "yolo": Expected(("angry", "happy", "sad"), {"train": 12, "validation": 6}, ("Read as YOLO with boxes.",)),
}


HOW = ("folder", "zip", "tar")
BOTH = [(name, HOW[number % 3]) for number, name in enumerate(LAYOUTS)]


@pytest.mark.parametrize(("name", "how"), sorted({*BOTH, *((name, how) for name in ("kdef", "beside") for how in HOW)}))
def test_a_layout_is_read_as_its_user_means_it(load, tmp_path, name, how):
    expected = LAYOUTS[name]
    dataset = load(written(getattr(layouts, name)(), tmp_path, how), **expected.settings)
    counts = {part: sum(of_part.values()) for part, of_part in dataset.contents.counts().items()}
    assert (dataset.labels, counts) == (expected.labels, expected.parts)
    notes = "\n".join(dataset.notes).replace("data/", "")
    assert [piece for piece in expected.said if piece not in notes] == []
    images = [split.images(slice(None)) for split in (dataset.train, dataset.validation, dataset.test)]
    assert min(picture.std() for split in images for picture in split) > 10
    assert dataset.bad_images == ()


def test_pictures_of_sixteen_bits_are_the_same_as_their_eight_bit_twins(load, tmp_path):
    (part,) = audit(load(written(layouts.sixteen_bit(), tmp_path, "folder"))).parts
    assert part.extra_copies == 24


@pytest.mark.parametrize("name", ["rafdb_official", "affectnet_official", "images_and_csv", "yolo", "ckextended_csv"])
def test_each_picture_has_the_label_that_was_drawn(load, tmp_path, name):
    dataset = load(written(getattr(layouts, name)(), tmp_path, "zip"), validation="none")
    images, labels = dataset.train.images(slice(None))[..., 0], dataset.train.labels
    for image, number in zip(images, labels, strict=True):
        assert image.tobytes() in drawn(dataset.labels[number]), dataset.labels[number]


@cache
def drawn(label: str) -> set[bytes]:
    return {face(label, number).tobytes() for number in (*range(80), *range(1000, 1060))}


def test_too_few_persons_are_refused_for_what_they_are(load, tmp_path):
    files = {name: data for name, data in layouts.kdef().items() if name[6:9] in ("F01", "F02")}
    with pytest.raises(DatasetError, match="the pictures show 2 persons, and nobody may be on both sides"):
        load(written(files, tmp_path, "folder"))


def test_the_audit_has_what_the_command_line_says(load, tmp_path):
    dataset = load(written(layouts.rafdb_official(), tmp_path, "zip"))
    report = audit(dataset).to_json()["report"]
    assert report["format"] == "RAF-DB (aligned pictures)"
    assert tuple(report["sentences"]) == dataset.notes[:2]
    (left_out,) = report["left_out"]
    assert left_out["images"] == 35
    assert load(written(layouts.rafdb_official(), tmp_path, "zip")).contents.report == dataset.contents.report


def test_a_list_among_many_texts_on_single_pictures_is_found(load, tmp_path):
    files = layouts.rafdb_official()
    files |= {f"basic/Annotation/auto/train_{n:05}_auto_attri.txt": b"1 2 3" for n in range(50)}
    files |= {f"a/{n}.txt": b"1 2 3" for n in range(50)}
    assert load(written(files, tmp_path, "zip")).contents.report.format == "RAF-DB (aligned pictures)"


def test_numbers_without_a_map_are_numbers_and_it_is_said_how_to_name_them(load, tmp_path):
    dataset = load(written(layouts.affectnet_numbered(), tmp_path, "folder"))
    assert dataset.labels == tuple("01234567")
    assert "Guessed: the classes are the numbers 0, 1, 2 and 5 more" in dataset.notes[0]
    assert "--label-map names them: affectnet, " in dataset.notes[0]


@pytest.mark.parametrize("seed", range(3))
def test_nobody_is_on_both_sides_where_persons_are_known(load, tmp_path, seed):
    dataset = load(written(layouts.kdef(), tmp_path, "zip"), seed=seed)
    assert dataset.contents.report.persons == 5
    persons = []
    for split in (dataset.train, dataset.validation, dataset.test):
        persons.append({name.rpartition("/")[2][1:4] for name in split.names(slice(None))})
        assert len(np.unique(split.labels)) == 7
    assert not (persons[0] & persons[1] or persons[0] & persons[2] or persons[1] & persons[2])
    assert dataset.contents.report.of_persons() == "Persons: 5."
