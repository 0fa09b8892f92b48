"""Small real doubles of hardware and time: a camera that gives the frames it was handed, a clock that is set."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from fer_core.faces.face import Box
from fer_core.live.frame import Frame
from fer_core.live.prediction import Prediction

LABELS = ("angry", "happy", "sad")
BEGINNING = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def frames(number: int, *, rate: float = 25.0, size: tuple[int, int] = (64, 48)) -> list[Frame]:
    """Returns grey frames, each a little lighter than the one before."""
    width, height = size
    return [
        Frame(
            picture_bgr=np.full((height, width, 3), 40 + place % 200, np.uint8),
            number=place,
            seconds=place / rate,
            utc=BEGINNING + timedelta(seconds=place / rate),
            read_at=100.0 + place / rate,
        )
        for place in range(number)
    ]


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


class FakePredictor:
    """A reader that sees one happy face in every frame."""

    stage_seconds = {"detect": 0.001, "classify": 0.001}

    def read(self, frame: Frame) -> list[Prediction]:
        return [happy_face(person=1)]


def happy_face(*, person: int | None = None) -> Prediction:
    """Returns a reading."""
    probabilities = {"angry": 0.1, "happy": 0.7, "sad": 0.2}
    return Prediction(Box(10, 10, 20, 20), "happy", 0.7, probabilities, unsure=False, person=person)


def frames_in(path: Path) -> int:
    """Returns how many frames can be read."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    return count
