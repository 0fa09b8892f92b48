"""Every detector, found by listing, through the same checks; then what each must find in real pictures."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from fer_core import faces
from fer_core.errors import ConfigError
from fer_core.faces import MIN_FACE_PIXELS, Box, Face
from fer_core.faces.framing import Framing, without_doubles

EVERY_DETECTOR = pytest.mark.parametrize("name", faces.names())
SHAPES = [(1, 1), (1, 500), (500, 1), (2, 3), (23, 25), (47, 48), (3, 4000), (4000, 3), (0, 0), (0, 640)]


def centre(box) -> np.ndarray:
    return np.array([box.x + box.width / 2, box.y + box.height / 2])


@EVERY_DETECTOR
def test_a_detector_has_its_file_s_name_and_framing(name, make):
    detector = make(name)
    assert detector.name == name
    assert detector.framing == faces.detector_module(name).FRAMING == Framing(**faces.framings()[name])


@EVERY_DETECTOR
def test_one_face_is_found_in_every_frame_of_a_person(name, make, frames):
    detector = make(name)
    for clip, every in (("single_face.mp4", 12), ("single_face_2.mp4", 60)):
        assert {len(detector.find(frame)) for frame in frames(clip, every)} == {1}


@EVERY_DETECTOR
def test_the_score_is_a_share_and_the_box_lies_around_the_face_in_colour_in_gray_and_at_any_width(name, make, picture):
    photograph, detector = picture("photo_happy.jpg"), make(name)
    (face,), (in_gray,) = detector.find(photograph), detector.find(cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY))
    assert 0.5 < face.score <= 1
    assert all(isinstance(value, float) for value in (*face.box, face.score))
    np.testing.assert_allclose(centre(face.box), (256, 256), atol=60)
    assert 200 < face.box.width < 420
    np.testing.assert_allclose(in_gray.box, face.box, atol=25)
    (coarse,), (fine,) = make(name, width=240).find(photograph), make(name, width=512).find(photograph)
    np.testing.assert_allclose(coarse.box, fine.box, atol=40)


@EVERY_DETECTOR
def test_faces_come_largest_first(name, make, picture):
    areas = [face.box.width * face.box.height for face in make(name, width=640).find(picture("multi_face.jpg"))]
    assert len(areas) >= 4
    assert areas == sorted(areas, reverse=True)


@EVERY_DETECTOR
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_tiny_or_thin_picture_shows_no_face(name, make, shape):
    detector = make(name)
    assert detector.find(np.full((*shape, 3), 128, np.uint8)) == []
    assert detector.find(np.full(shape, 128, np.uint8)) == []


@EVERY_DETECTOR
@pytest.mark.parametrize("shape", [(320, 8), (8, 320), (320, 32), (32, 320), (20, 20)], ids=str)
def test_a_narrow_picture_shows_the_same_whatever_was_looked_at_before(name, make, shape, picture):
    detector, happy = make(name), picture("photo_happy.jpg")
    noise = np.random.default_rng(0)
    seen = []
    for before in range(4):
        detector.find(happy if before % 2 else noise.integers(0, 256, (320, 320, 3), np.uint8))
        seen.append(detector.find(np.full((*shape, 3), 128, np.uint8)))
    assert seen == [[]] * 4


@EVERY_DETECTOR
def test_a_large_picture_is_looked_at_as_a_small_one(name, make, picture):
    small = cv2.resize(picture("photo_happy.jpg"), (320, 320), interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (8000, 8000), interpolation=cv2.INTER_NEAREST)
    detector = make(name, width=320)
    (in_small,) = detector.find(small)
    (in_large,) = detector.find(large)
    np.testing.assert_allclose(np.array(in_large.box) / 25, in_small.box, atol=2)


@EVERY_DETECTOR
def test_parts_of_a_picture_pictures_turned_in_memory_and_changing_sizes_work(name, make, picture):
    photograph = picture("photo_happy.jpg")
    mirrored, detector, before = photograph[:, ::-1], make(name), photograph.copy()
    frames = (photograph, photograph[8:-8, 8:-8], photograph[:, 40:-40], photograph[60:-60], photograph)
    assert [len(detector.find(frame)) for frame in frames] == [1] * 5
    assert detector.find(mirrored) == detector.find(np.ascontiguousarray(mirrored))
    np.testing.assert_array_equal(photograph, before)


@EVERY_DETECTOR
def test_smaller_faces_than_40_pixels_are_left_out(name, make, picture):
    photograph = picture("photo_happy.jpg")
    (face,) = make(name, width=1920).find(photograph)
    side = (face.box.width * face.box.height) ** 0.5
    for share, found in ((1.3, 1), (0.75, 0)):
        size = np.array(photograph.shape[1::-1]) * share * MIN_FACE_PIXELS / side
        small = cv2.resize(photograph, size.round().astype(int), interpolation=cv2.INTER_AREA)
        assert len(make(name, width=1920).find(small)) == found


def test_yunet_finds_five_people_and_no_face_where_there_is_none(make, frames, picture):
    detector = make("yunet")
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    pictures = [noise, picture("mountain.jpg"), *frames("no_face.mp4", 4)]
    assert len(pictures) == 26
    assert [len(detector.find(frame)) for frame in pictures] == [0] * 26
    assert len(detector.find(picture("multi_face.jpg"))) == 5


def test_listing_detectors_loads_no_opencv():
    code = "import sys; from fer_core import faces; print(faces.names(), 'cv2' in sys.modules, 'numpy' in sys.modules)"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout == "('haar', 'yunet') False False\n"


@pytest.mark.parametrize(("name", "near"), [("yunett", "yunet"), ("har", "haar"), ("Auto", "auto")])
def test_a_misspelt_name_is_answered_with_the_nearest(name, near, make):
    with pytest.raises(ConfigError, match=f"no face detector '{name}'") as refusal:
        make(name)
    assert refusal.value.hint == f"Did you mean '{near}'?"
    with pytest.raises(ConfigError, match="no face detector 'framing'"):
        make("framing")


@pytest.mark.parametrize("width", [0, 63, 1921])
def test_a_width_that_makes_no_sense_is_refused(make, width):
    with pytest.raises(ConfigError, match=f"a width of {width} pixels") as refusal:
        make("haar", width=width)
    assert "64 to 1920" in refusal.value.hint


def test_a_second_find_of_the_same_face_is_left_out_and_neighbours_stay():
    face, again = Face(Box(0, 0, 100, 100), 1.0), Face(Box(20, 25, 60, 60), 1.0)
    beside = Face(Box(90, 0, 80, 80), 1.0)
    assert without_doubles([face, beside, again]) == [face, beside]
