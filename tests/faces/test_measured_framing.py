"""The measured framing brings FER-2013's pictures back; the accuracy itself is measured by benchmarks/framing.py."""

import cv2
import numpy as np
import pytest

from fer_core import faces
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.faces import Box
from fer_core.faces.framing import square_of
from fer_core.paths import Paths

PASTED = Box(224, 144, 192, 192)
PICTURES = 60


@pytest.fixture(scope="module")
def training_pictures(test_data, fer2013_cache) -> np.ndarray:
    """Some training images of FER-2013, uint8 (60, 48, 48)."""
    config = TrainConfig(data=str(test_data / "fer2013.zip"), validation="none")
    paths = Paths.from_environment({"FER_CACHE_DIR": str(fer2013_cache)})
    split = load_dataset(config, paths, side=48).train
    return split.images(np.random.default_rng(1).permutation(len(split))[:PICTURES])[..., 0]


@pytest.mark.parametrize(("name", "found_again"), [("haar", 0.65), ("yunet", 0.85)])
def test_a_picture_that_is_found_again_is_framed_as_it_was(name, found_again, make, picture, training_pictures):
    scene = cv2.resize(picture("mountain.jpg"), (640, 480), interpolation=cv2.INTER_AREA)
    detector = make(name)
    squares = [square for face in training_pictures for square in squares_found(detector, pasted(scene, face))]
    assert len(squares) >= found_again * PICTURES
    offsets = np.array([(s.x + s.width / 2 - 320, s.y + s.height / 2 - 240) for s in squares]) / PASTED.width
    sizes = np.array([s.width for s in squares]) / PASTED.width
    assert abs(np.median(sizes) - 1) < 0.05
    assert np.abs(np.median(offsets, axis=0)).max() < 0.05
    assert np.median(np.abs(sizes - 1)) < 0.1


def squares_found(detector: faces.Detector, frame_bgr: np.ndarray) -> list[Box]:
    return [square_of(face.box, detector.framing) for face in detector.find(frame_bgr)[:1]]


def pasted(scene: np.ndarray, face: np.ndarray) -> np.ndarray:
    frame_bgr = scene.copy()
    large = cv2.resize(face, (192, 192), interpolation=cv2.INTER_CUBIC)
    frame_bgr[144:336, 224:416] = large[:, :, np.newaxis]
    return frame_bgr
