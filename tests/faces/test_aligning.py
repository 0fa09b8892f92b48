"""A turned face is turned back by its eyes, at the frame's own resolution."""

import cv2
import numpy as np
import pytest

from fer_core.faces import Box, Face
from fer_core.faces.framing import Framing, aligned, crop_face, square_of


def turned(picture: np.ndarray, degrees: float) -> np.ndarray:
    """Returns a picture turned clockwise about its middle."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -degrees, 1)
    return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("degrees", [-25, 25])
@pytest.mark.parametrize("name", ["photo_happy.jpg", "photo_surprise.jpg"])
def test_a_turned_face_is_measured_by_its_eyes(make, picture, name, degrees):
    detector, upright = make("yunet", width=640), picture(name)
    rolls = []
    for picture_bgr in (upright, turned(upright, degrees)):
        picture_gray = cv2.cvtColor(picture_bgr, cv2.COLOR_BGR2GRAY)
        rolls.append(aligned(detector.find(picture_bgr)[0], picture_gray, detector).roll)
    assert rolls[1] - rolls[0] == pytest.approx(degrees, abs=6)


def test_a_detector_that_finds_no_eyes_leaves_a_face_as_it_is(make, picture):
    photograph = picture("photo_happy.jpg")
    (face,) = make("haar").find(photograph)
    assert face.roll is None
    assert aligned(face, cv2.cvtColor(photograph, cv2.COLOR_BGR2GRAY), make("haar")) == face


@pytest.mark.parametrize("degrees", [-30, -10, 20])
def test_a_crop_with_a_roll_is_the_crop_of_the_picture_turned_back(picture, degrees):
    upright = cv2.cvtColor(picture("photo_happy.jpg"), cv2.COLOR_BGR2GRAY)
    side = min(upright.shape) // 2
    box = Box(upright.shape[1] / 2 - side / 2, upright.shape[0] / 2 - side / 2, side, side)
    expected = crop_face(upright, box, framing=Framing(1.0)).astype(int)
    aligned_crop = crop_face(turned(upright, degrees), box, framing=Framing(1.0), roll=degrees)
    as_it_is = crop_face(turned(upright, degrees), box, framing=Framing(1.0))
    assert aligned_crop.shape == expected.shape
    assert np.abs(aligned_crop - expected).mean() < 3 < np.abs(as_it_is - expected).mean()


def test_the_framing_of_a_turned_face_is_turned_with_it():
    square = square_of(Box(0, 0, 100, 100), Framing(scale=1.0, right=0.0, down=0.2), roll=90)
    assert (square.x, square.y) == pytest.approx((-20, 0))


def test_a_face_at_the_edge_of_the_frame_or_outside_is_no_special_case():
    frame = np.arange(3000, dtype=np.uint8).reshape(50, 60)
    for box in (Box(-20, -10, 30, 30), Box(1e6, -1e6, 40, 40), Box(10, 5, 0, 0), Box(-1e9, -1e9, 2e9, 2e9)):
        crop = crop_face(frame, box, framing=Framing(1.0), roll=20)
        assert crop.shape[0] == crop.shape[1] <= 4 * 60


def test_a_roll_of_nothing_is_the_crop_as_before():
    frame = np.random.default_rng(0).integers(0, 256, (80, 90), np.uint8)
    face = Face(Box(10, 12, 30, 40), 1.0)
    framing = Framing(1.1, 0.02, -0.03)
    assert np.array_equal(
        crop_face(frame, face.box, framing=framing), crop_face(frame, face.box, framing=framing, roll=face.roll or 0.0)
    )
