"""`--benchmark`: how long each stage takes on this machine over drawn people, found as in a camera's picture."""

import platform
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from fer_core import faces
from fer_core.cli.command_line import say
from fer_core.cli.live import LiveRequest
from fer_core.data.sample import draw_face
from fer_core.errors import ArtifactError
from fer_core.faces import DETECT_EVERY, Detector
from fer_core.live.classifier import Classifier, make_classifier
from fer_core.live.frame import Frame, frame_now
from fer_core.live.predictor import LivePredictor
from fer_core.resources import available_cores
from fer_core.store.model_files import ModelFiles

_WIDTH, _HEIGHT = 640, 480
_CROWDS = {"one face": (300, ("happy",)), "five faces": (150, ("happy", "sad", "angry", "fear", "neutral"))}
"""The side of each face in pixels, and emotions."""
_SEED = 10
"""Of a person whom both detectors find."""
_WALL = 120


def benchmark(console: Console, request: LiveRequest, model: ModelFiles) -> None:
    """Measures, for each detector that is here, and prints. Raises FerError."""
    settings = request.settings
    classifier = make_classifier(model, request.paths, runtime=settings.runtime, report=lambda text: say(console, text))
    title = f"{model.name} ({settings.runtime}), drawn faces in {_WIDTH} x {_HEIGHT}, {available_cores()} cores"
    table = Table("detector", "in view", box=box.SIMPLE, title=f"{title}, {platform.machine()}")
    for column in ("found", "detect", "follow", "classify", "frames/s"):
        table.add_column(column, justify="right")
    for name in faces.names() if settings.detector == faces.AUTO else (settings.detector,):
        options = {"model_file": settings.detector_model, "width": settings.detection_width, "may_download": False}
        try:
            detector = faces.make_detector(name, paths=request.paths, **options)
        except ArtifactError as error:
            say(console, f"Without {name}: {error}")
            continue
        for one in measure(detector, classifier):
            stages = (f"{milliseconds:.2f} ms" for milliseconds in (one.detect, one.track, one.classify))
            table.add_row(name, one.people, str(one.found), *stages, f"{one.frames_per_second:,.0f}")
    console.print(table)
    megabytes = psutil.Process().memory_info().rss / 2**20
    say(console, f"Faces are looked for in one of {DETECT_EVERY} frames. Memory: {megabytes:,.0f} MB.")


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


def _picture(side: int, emotions: tuple[str, ...]) -> np.ndarray:
    frame_bgr = np.full((_HEIGHT, _WIDTH, 3), _WALL, np.uint8)
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
