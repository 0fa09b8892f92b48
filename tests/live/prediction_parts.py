"""Real parts of reading: the shipped model, detectors, frames of a clip, faces of FER-2013. And scripted ones."""

import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from fer_core import faces
from fer_core.faces.face import Box, Face
from fer_core.faces.framing import Framing
from fer_core.live.classifier import Classifier, make_classifier
from fer_core.live.frame import Frame
from fer_core.paths import Paths
from fer_core.store.model_files import ModelFiles, find_model

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
FAKE_FRAMING = Framing(scale=1.0)


def shipped_model(paths: Paths) -> ModelFiles:
    """Returns the model that comes with the project (`paths` has no other)."""
    return find_model(None, paths)


def shipped_classifier(paths: Paths) -> Classifier:
    """Returns it, run by LiteRT."""
    return make_classifier(shipped_model(paths), paths)


def real_detector(name: str, test_data: Path, paths: Paths, *, width: int | None = None) -> faces.Detector:
    """Returns a detector."""
    model_file = test_data / "face_detection_yunet_2026may.onnx" if name == "yunet" else None
    return faces.make_detector(name, paths=paths, model_file=model_file, width=width)


def frame_of(picture_bgr: np.ndarray, number: int = 0, *, rate: float = 30.0) -> Frame:
    """Returns a picture as a frame of a video."""
    return Frame(picture_bgr, number, number / rate, NOON, number / rate)


def clip_frames(path: Path, *, every: int = 1) -> Iterator[Frame]:
    """Yields the frames of a clip, or every n-th, at their times."""
    video = cv2.VideoCapture(str(path))
    rate, number = video.get(cv2.CAP_PROP_FPS), 0
    while (answer := video.read())[0]:
        if number % every == 0:
            yield frame_of(answer[1], number, rate=rate)
        number += 1
    assert number > 1


def fer_faces(test_data: Path, number: int) -> list[bytes]:
    """Returns so many JPEGs of FER-2013's PublicTest, from all emotions."""
    with zipfile.ZipFile(test_data / "fer2013.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("test/") and name.endswith(".jpg"))
        return [archive.read(name) for name in names[:: len(names) // number][:number]]


class ScriptedDetector:
    """Finds faces where the script says, a function from the number of the call to boxes (x, y, side)."""

    name = "scripted"
    framing = FAKE_FRAMING

    def __init__(self, script: Callable[[int], list[tuple[float, float, float]]]):
        self._script = script
        self.calls = 0

    def find(self, frame_bgr: np.ndarray) -> list[Face]:
        """Returns the next faces of the script."""
        self.calls += 1
        return [Face(Box(x, y, side, side), 0.9) for x, y, side in self._script(self.calls - 1)]


class BrightnessClassifier:
    """Takes a face's mean grey value for its emotion: bright is happy, dark is sad."""

    name = "brightness"
    labels = ("happy", "sad")
    side, channels = 8, 1
    framing = None

    def __init__(self):
        self.faces = 0

    def classify(self, faces: np.ndarray) -> np.ndarray:
        """Returns float32 (n, 2)."""
        self.faces += len(faces)
        happy = faces.reshape(len(faces), -1).mean(axis=1) / 255
        return np.stack([happy, 1 - happy], axis=1).astype(np.float32)
