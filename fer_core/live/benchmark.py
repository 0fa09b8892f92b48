"""What this machine can do: how long each stage takes over drawn people, who are found as in a camera's picture."""

import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import psutil

from fer_core.data.sample import draw_face
from fer_core.faces import DETECT_EVERY, Detector
from fer_core.live.classifier import Classifier
from fer_core.live.frame import Frame, frame_now
from fer_core.live.predictor import LivePredictor

WIDTH, HEIGHT = 640, 480
_CROWDS = {"one face": (300, ("happy",)), "five faces": (150, ("happy", "sad", "angry", "fear", "neutral"))}
"""The side of each face in pixels, and emotions."""
_SEED = 10
"""Of a person whom both detectors find."""
_WALL = 120


class Measured(NamedTuple):
    """Milliseconds a frame, medians; `detect` is of the frames in which faces are looked for."""

    people: str
    found: int
    detect: float
    track: float
    classify: float
    frames_per_second: float


def measure(detector: Detector, classifier: Classifier, *, seconds: float = 3.0) -> Iterator[Measured]:
    """Yields what is measured with one face in view, and with five, in about so many seconds each."""
    for people, (side, emotions) in _CROWDS.items():
        predictor = LivePredictor(detector, classifier)
        picture_bgr = _picture(side, emotions)
        for number in range(2 * DETECT_EVERY):  # warms up
            found = predictor.read(_moved(picture_bgr, number))
        stages, began = [], time.perf_counter()
        while time.perf_counter() - began < seconds or len(stages) < 2 * DETECT_EVERY:
            number += 1
            predictor.read(_moved(picture_bgr, number))
            stages.append(predictor.stage_seconds)
        rate = len(stages) / (time.perf_counter() - began)
        columns = {name: 1000 * np.array([one[name] for one in stages]) for name in ("detect", "track", "classify")}
        detect = np.sort(columns.pop("detect"))[-max(1, len(stages) // DETECT_EVERY) :]
        medians = {name: float(np.median(values)) for name, values in columns.items()}
        yield Measured(people, len(found), float(np.median(detect)), **medians, frames_per_second=rate)


def memory_megabytes() -> float:
    """Returns what this process holds."""
    return psutil.Process().memory_info().rss / 2**20


def _picture(side: int, emotions: tuple[str, ...]) -> np.ndarray:
    frame_bgr = np.full((HEIGHT, WIDTH, 3), _WALL, np.uint8)
    columns = min(len(emotions), 3)
    for place, emotion in enumerate(emotions):
        row, column = divmod(place, columns)
        top, left = 20 + row * (side + 60), 20 + column * (side + 60)
        face = draw_face(emotion, np.random.default_rng(_SEED), side=side)
        frame_bgr[top : top + side, left : left + side] = face[..., None]
    return frame_bgr


def _moved(picture_bgr: np.ndarray, number: int) -> Frame:
    """People move a little, or nothing would have to be followed."""
    return frame_now(np.roll(picture_bgr, number % 8, axis=1), number, number / 30)
