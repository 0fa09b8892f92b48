"""Real faces, and YuNet's file."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core import faces


@pytest.fixture
def yunet_file(test_data) -> Path:
    return test_data / "face_detection_yunet_2026may.onnx"


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch):
    monkeypatch.delenv("FER_YUNET", raising=False)


@pytest.fixture
def make(paths, yunet_file):
    """Returns make(name, …): a detector that needs no download."""

    def made(name: str, **options) -> faces.Detector:
        return faces.make_detector(name, paths=paths, model_file=yunet_file, **options)

    return made


@pytest.fixture
def picture(test_data):
    """Returns picture(name): a photograph as BGR."""

    def read(name: str) -> np.ndarray:
        return cv2.imread(str(test_data / "faces" / name))

    return read


@pytest.fixture
def frames(test_data):
    """Returns frames(name, every): frames of a clip as BGR."""

    def read(name: str, every: int = 1) -> Iterator[np.ndarray]:
        capture = cv2.VideoCapture(str(test_data / "faces" / name))
        number = 0
        while capture.grab():
            if number % every == 0:
                yield capture.retrieve()[1]
            number += 1

    return read
