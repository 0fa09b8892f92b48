"""One measurement of the live parts, on one core: run by live_bench.py in a process of its own; prints JSON.

python benchmarks/one_core.py classify ours|predict MODEL
python benchmarks/one_core.py pipeline haar|yunet VIDEO [--detector-model FILE]
"""

import argparse
import contextlib
import json
import statistics
import time
from pathlib import Path

import cv2
import numpy as np

from fer_core import faces
from fer_core.live.classifier import make_classifier
from fer_core.live.loop import LiveLoop, Shown
from fer_core.live.overlay import Overlay, Status
from fer_core.live.predictor import LivePredictor
from fer_core.live.sources import open_source
from fer_core.paths import Paths
from fer_core.store.model_files import find_model

WARM_UP = 10
WARM_UP_FRAMES = 30


class Stopwatch:
    """A sink that wants every picture, as a window does, and notes when each was ready."""

    needs_picture = True
    is_done = False

    def __init__(self):
        self.times: list[float] = []
        self.faces = 0

    def write(self, shown: Shown) -> None:
        """Notes the time."""
        self.times.append(time.perf_counter())
        self.faces += bool(shown.predictions)

    def close(self) -> None:
        """Has nothing to finish."""


def classify(options: argparse.Namespace) -> dict:
    """Returns the median milliseconds of classifying one face and eight faces."""
    pictures = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1), dtype=np.uint8)
    ask, times = (_ours(options), 400) if options.what == "ours" else (_keras_predict(options), 30)
    return {"one": _median_ms(ask, pictures[:1], times), "eight": _median_ms(ask, pictures, times)}


def _ours(options: argparse.Namespace):
    paths = Paths.from_environment()
    return make_classifier(find_model(options.target, paths), paths).classify


def _keras_predict(options: argparse.Namespace):
    import keras

    model = keras.models.load_model(options.target, compile=False)
    return lambda pictures: [model.predict(picture[np.newaxis].astype("float32"), verbose=0) for picture in pictures]


def _median_ms(ask, pictures: np.ndarray, times: int) -> float:
    seconds = []
    for _ in range(times + WARM_UP):
        began = time.perf_counter()
        ask(pictures)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[WARM_UP:])


def pipeline(options: argparse.Namespace) -> dict:
    """Returns frames a second of the whole pipeline: decode, find, follow, classify, smooth, draw."""
    cv2.setNumThreads(1)
    paths = Paths.from_environment()
    classifier = make_classifier(find_model(None, paths), paths)
    detector = faces.make_detector(options.what, paths=paths, model_file=options.detector_model)
    predictor = LivePredictor(detector, classifier)
    overlay = Overlay(classifier.labels)
    status = Status(model=classifier.name, detector=detector.name, frames_per_second=30.0, delay_seconds=0.01)
    watch = Stopwatch()
    with contextlib.closing(open_source(options.target)) as source:
        LiveLoop(
            source,
            predictor,
            draw=lambda frame, predictions, rate: overlay.draw(frame.picture_bgr, predictions, status),
            sinks=[watch],
        ).run()
    times = watch.times[WARM_UP_FRAMES:]
    return {
        "frames_per_second": (len(times) - 1) / (times[-1] - times[0]),
        "frames": len(watch.times),
        "with_face": watch.faces,
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["classify", "pipeline"])
    parser.add_argument("what", choices=["ours", "predict", "haar", "yunet"])
    parser.add_argument("target")
    parser.add_argument("--detector-model", type=Path, default=None)
    options = parser.parse_args()
    print(json.dumps({"classify": classify, "pipeline": pipeline}[options.part](options)))


if __name__ == "__main__":
    main()
