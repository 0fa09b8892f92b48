"""Parts of reading: real ones (the shipped model, detectors, frames of a clip), scripted ones, a clock that is set."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from fer_core import faces
from fer_core.faces import Box, Face
from fer_core.faces.framing import Framing
from fer_core.live.classifier import Classifier, make_classifier
from fer_core.live.frame import Frame, Shown
from fer_core.live.prediction import Prediction
from fer_core.paths import Paths
from fer_core.store.model_files import ModelFiles, find_model

LABELS = ("angry", "happy", "sad")
NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
FAKE_FRAMING = Framing(scale=1.0)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def frame_at(seconds: float, picture_bgr: np.ndarray | None = None, *, number: int = 0, name: str = "") -> Frame:
    """Returns a picture (a small black one) as the frame of this time, which is read then, too."""
    picture_bgr = np.zeros((48, 64, 3), np.uint8) if picture_bgr is None else picture_bgr
    return Frame(picture_bgr, number, seconds, NOON + timedelta(seconds=seconds), seconds, name)


def frame_of(picture_bgr: np.ndarray, number: int = 0, *, rate: float = 30.0) -> Frame:
    """Returns a picture as a frame of a video."""
    return frame_at(number / rate, picture_bgr, number=number)


def frames(number: int, *, rate: float = 25.0, size: tuple[int, int] = (64, 48)) -> list[Frame]:
    """Returns grey frames, each a little lighter than the one before."""
    grey = [np.full((size[1], size[0], 3), 40 + place % 200, np.uint8) for place in range(number)]
    return [frame_of(picture_bgr, place, rate=rate) for place, picture_bgr in enumerate(grey)]


def shown(frame: Frame, *predictions: Prediction, picture_bgr: np.ndarray | None = None, **stages: float) -> Shown:
    """Returns what a sink gets of a frame."""
    return Shown(frame, predictions, picture_bgr, 0.0, stages)


def face(label: str = "happy", share: float = 0.7, *, person: int | None = 1, unsure=False, labels=LABELS, box=None):
    """Returns a prediction; what `share` leaves is spread evenly over the other labels."""
    rest = (1 - share) / (len(labels) - 1)
    shares = {name: share if name == label else rest for name in labels}
    return Prediction(Box(*(box or (10.0, 10.0, 20.0, 20.0))), label, share, shares, unsure, person)


class FakeCamera:
    """A source that gives its frames one after the other; None in the list is a moment without a frame."""

    title = "camera"
    is_still = False
    message = ""
    dropped = 0

    def __init__(self, given: Sequence[Frame | None], *, is_live: bool = True, rate: float | None = 25.0):
        self._given = list(given)
        self.is_live, self.rate, self.size = is_live, rate, (64, 48)
        self.skipped: list[str] = []

    @property
    def ended(self) -> bool:
        return not self._given

    def read(self, timeout: float) -> Frame | None:
        return self._given.pop(0) if self._given else None

    def close(self) -> None:
        self._given.clear()


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
    side, channels, colours = 8, 1, "gray"
    framing, unsure_below = None, 0.4
    is_aligned = False

    def __init__(self):
        self.faces = 0

    def classify(self, faces: np.ndarray) -> np.ndarray:
        """Returns float32 (n, 2)."""
        self.faces += len(faces)
        happy = faces.reshape(len(faces), -1).mean(axis=1) / 255
        return np.stack([happy, 1 - happy], axis=1).astype(np.float32)


def shipped_model(paths: Paths) -> ModelFiles:
    """Returns the model that comes with the project (`paths` has no other)."""
    return find_model(None, paths)


def shipped_classifier(paths: Paths) -> Classifier:
    """Returns it, run by LiteRT."""
    return make_classifier(shipped_model(paths), paths)


def real_detector(name: str, test_data: Path, paths: Paths) -> faces.Detector:
    """Returns a detector."""
    model_file = test_data / "face_detection_yunet_2026may.onnx" if name == "yunet" else None
    return faces.make_detector(name, paths=paths, model_file=model_file)


def clip_frames(path: Path, *, every: int = 1) -> Iterator[Frame]:
    """Yields the frames of a clip, or every n-th, at their times."""
    rate = cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS)
    for number, picture_bgr in enumerate(played(path)):
        if number % every == 0:
            yield frame_of(picture_bgr, number, rate=rate)


def played(path: Path) -> Iterator[np.ndarray]:
    """Yields the frames of a video as a player shows them."""
    capture = cv2.VideoCapture(str(path))
    while (answer := capture.read())[0]:
        yield answer[1]


def frames_in(path: Path) -> int:
    """Returns how many frames can be read."""
    return sum(1 for _ in played(path))


def fer_faces(test_data: Path, number: int) -> list[bytes]:
    """Returns so many JPEGs of FER-2013's PublicTest, from all emotions."""
    with zipfile.ZipFile(test_data / "fer2013.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.startswith("test/") and name.endswith(".jpg"))
        return [archive.read(name) for name in names[:: len(names) // number][:number]]
