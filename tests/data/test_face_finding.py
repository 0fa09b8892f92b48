"""Faces in photographs: cut out as in live reading, kept in the cache, and those that are missing are named."""

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core import faces
from fer_core.config import TrainConfig
from fer_core.data.audit import audit
from fer_core.data.contents import Picture, UnreadableImagesError
from fer_core.data.dataset import Dataset, settled_detector
from fer_core.data.face_finding import CutOut, Cutter, FaceDecision, FaceFinder
from fer_core.data.face_picture import network_input
from fer_core.data.tree import FaceBox
from fer_core.errors import ArtifactError
from fer_core.faces.framing import aligned, crop_face
from fer_core.training.begin_retraining import read_inbox
from tests.photographs import EMOTIONS, photograph, save_photographs, written


@pytest.fixture(autouse=True)
def yunet(test_data, monkeypatch) -> Path:
    """YuNet's file, named as a user names it."""
    file = test_data / "face_detection_yunet_2026may.onnx"
    monkeypatch.setenv("FER_YUNET", str(file))
    return file


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Class folders with three photographs of one face each."""
    return save_photographs(tmp_path / "photographs")


def pixels_of(dataset: Dataset, name: str) -> np.ndarray:
    contents = dataset.contents
    return np.asarray(dataset.pixels[contents.rows[[contents.names.index(name)]]])[0]


def test_faces_in_photographs_are_cut_out_as_live_reading_does_it(load, photographs, paths):
    dataset = load(photographs)
    picture = cv2.imread(str(photographs / "happy/1.png"), cv2.IMREAD_GRAYSCALE)
    detector = faces.make_detector("yunet", paths=paths, width=faces.PHOTO_WIDTH)
    face = aligned(detector.find(picture)[0], picture, detector)
    crop = crop_face(picture, face.box, framing=detector.framing, roll=face.roll)
    assert np.array_equal(pixels_of(dataset, "happy/1.png"), network_input(crop, side=48)[..., 0])
    assert "Faces: yunet finds faces in 9 of 9 pictures looked at, and the middle one fills 4" in dataset.notes[0]
    assert dataset.contents.report.is_aligned
    assert settled_detector(TrainConfig(), dataset) == {"face_detector": "yunet"}


def test_small_pictures_are_faces_already_and_need_no_detector(load, train_and_test, monkeypatch):
    monkeypatch.setenv("FER_YUNET", "/nowhere.onnx")
    dataset = load(train_and_test)
    picture = cv2.imread(str(train_and_test / "train/sad/00029.png"), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(pixels_of(dataset, "train/sad/00029.png"), picture)
    report = audit(dataset).report
    assert report.faces == "Faces: the pictures are as small as crops (48 x 48 pixels), and stay as they are."
    assert not report.is_aligned and report.faces not in dataset.notes


def test_a_photograph_needs_the_detector_that_is_named(load, photographs, monkeypatch):
    monkeypatch.setenv("FER_YUNET", "/nowhere.onnx")
    with pytest.raises(ArtifactError, match="names /nowhere"):
        load(photographs)


def test_large_pictures_that_their_faces_fill_stay_as_they_are(load, tmp_path):
    names = [f"{emotion}/{number}.png" for emotion in EMOTIONS for number in range(3)]
    pictures = {name: photograph(place, (5, 5), size=(170, 170)) for place, name in enumerate(names)}
    dataset = load(written(tmp_path / "large", pictures))
    assert "cut out already" in dataset.contents.report.faces
    whole = network_input(pictures["sad/2.png"], side=48)[..., 0]
    assert np.array_equal(pixels_of(dataset, "sad/2.png"), whole)


def test_pictures_without_faces_are_taken_whole_where_most_are(load, fill, tmp_path, noise):
    large = {f"{emotion}/{number}.png": noise(number, 200, 200) for emotion in EMOTIONS for number in range(3)}
    dataset = load(written(tmp_path / "noise", large))
    assert "so all are taken whole" in dataset.contents.report.faces
    assert len(dataset.contents) == 9


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({}, {"happy/two.png"}),
        ({"without_face": "whole"}, {"happy/none.png", "happy/two.png"}),
        ({"several_faces": "leave-out"}, set()),
    ],
)
def test_pictures_with_no_face_or_several_are_named_and_decided_by_a_setting(load, photographs, rules, kept):
    special = {"happy/none.png": photograph(0), "happy/two.png": photograph(1, (10, 60), (220, 60))}
    dataset = load(written(photographs, special), **rules)
    report = audit(dataset).report
    assert (report.without_face, report.several_faces) == (["happy/none.png"], ["happy/two.png"])
    assert {*dataset.contents.names} & {*special} == kept
    done = "taken whole" if rules.get("without_face") == "whole" else "left out"
    assert f"No face is found in 1 of 11, {done}: happy/none.png" in dataset.notes


def test_faces_are_found_once_and_anew_for_other_settings(load, photographs):
    first = load(photographs)
    for path in photographs.rglob("*.png"):
        status = path.stat()
        path.write_bytes(bytes(status.st_size))
        os.utime(
            path, ns=(status.st_atime_ns, status.st_mtime_ns)
        )  # only a look at them tells that they are no pictures
    assert load(photographs).fingerprint == first.fingerprint
    for other in (
        {"align_faces": False},
        {"without_face": "whole"},
        {"several_faces": "leave-out"},
        {"faces": "given"},
    ):
        with pytest.raises(UnreadableImagesError):
            load(photographs, **other)
    assert load(photographs).fingerprint == first.fingerprint


def test_turned_faces_come_out_upright_where_they_are_aligned(load, tmp_path):
    names = [f"{emotion}/{number}.png" for emotion in EMOTIONS for number in range(4)]
    data, upright = (
        written(tmp_path / str(turned), {name: photograph(n, (120, 70), turned=turned) for n, name in enumerate(names)})
        for turned in (25, 0)
    )
    straight, aligned_ones, as_they_are = load(upright), load(data), load(data, align_faces=False)
    known = {*straight.contents.names} & {*aligned_ones.contents.names}
    assert len(known) >= 8
    apart = [
        np.median([np.abs(pixels_of(one, name).astype(int) - pixels_of(straight, name)).mean() for name in known])
        for one in (aligned_ones, as_they_are)
    ]
    assert apart[0] < 0.9 * apart[1]


@pytest.fixture
def cutter(paths) -> Callable[..., Cutter]:
    """Returns cutter(how, **settings)."""

    def made(how: str, **settings) -> Cutter:
        return Cutter(FaceFinder(TrainConfig(**settings), paths), FaceDecision(how))

    return made


def test_a_box_of_the_data_is_cut_out_or_says_which_face_is_meant(cutter, paths):
    picture = photograph(1, (10, 60), (220, 60))
    boxed = Picture("a", "train", "happy", lambda: picture, box=FaceBox(225, 70, 140, 140))
    assert np.array_equal(cutter("given").cut(boxed).face, picture[70:210, 225:365])
    detector = faces.make_detector("yunet", paths=paths, width=faces.PHOTO_WIDTH)
    (right,) = (face for face in detector.find(picture) if face.box.x > 200)
    crop = crop_face(picture, right.box, framing=detector.framing)
    assert np.array_equal(cutter("detect", faces="detect", align_faces=False).cut(boxed).face, crop)
    nowhere = Picture("c", "train", "happy", lambda: picture, box=FaceBox(0, 280, 10, 10))
    assert cutter("detect", faces="detect").cut(nowhere) == CutOut(None, 0)


def test_a_photograph_in_the_inbox_gives_its_face_and_one_without_a_face_is_refused(load, paths, train_and_test):
    picture, small = photograph(1, (120, 60)), photograph(2, size=(90, 90))
    written(paths.inbox, {"happy/face.png": picture, "happy/none.png": photograph(2), "happy/crop.png": small})
    dataset = load(train_and_test)
    finder = FaceFinder.beside(dataset.contents, TrainConfig(), paths)
    found = read_inbox(paths.inbox, dataset, np.empty(0, np.uint64), finder)
    assert [image.name for image in found.accepted] == ["happy/crop.png", "happy/face.png"]
    assert [(image.name, image.reason) for image in found.refused] == [("happy/none.png", "no face is found in it")]
    whole = read_inbox(
        paths.inbox, dataset, np.empty(0, np.uint64), FaceFinder(TrainConfig(faces="given"), paths, one_by_one=True)
    )
    contents = {one.name: one.content for one in found.accepted}
    assert {one.name: one.content for one in whole.accepted}["happy/crop.png"] == contents["happy/crop.png"]
    assert {one.name: one.content for one in whole.accepted}["happy/face.png"] != contents["happy/face.png"]
