"""One measurement in a process of its own, for the sections of `make bench`; prints JSON.

    python benchmarks/one_core.py classify ours|predict MODEL                               # ms for one face and eight
    python benchmarks/one_core.py pipeline haar|yunet VIDEO [--detector-model FILE]         # frames a second
    python benchmarks/one_core.py first-batch ours|plain DATA                               # seconds, without imports

The caller keeps the first two on one core.
"""

import argparse
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

WARM_UP, WARM_UP_FRAMES = 10, 30
BATCH_SIZE = 64


class Stopwatch:
    """A sink that wants every picture, as a window does, and notes when each was ready."""

    needs_picture = True
    is_done = False

    def __init__(self):
        self.times: list[float] = []
        self.faces = 0

    def write(self, shown) -> None:
        """Notes the time."""
        self.times.append(time.perf_counter())
        self.faces += bool(shown.predictions)

    def close(self) -> None:
        """Has nothing to finish."""


def classify(options: argparse.Namespace) -> dict:
    """Returns the median milliseconds of classifying one face and eight faces."""
    pictures = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1), dtype=np.uint8)
    ask, times = (_ours(options.target), 400) if options.what == "ours" else (_keras_predict(options.target), 30)
    return {"one": _median_ms(ask, pictures[:1], times), "eight": _median_ms(ask, pictures, times)}


def _ours(model_file: str) -> Callable:
    from fer_core.live.classifier import make_classifier
    from fer_core.paths import Paths
    from fer_core.store.model_files import find_model

    paths = Paths.from_environment()
    return make_classifier(find_model(model_file, paths), paths).classify


def _keras_predict(model_file: str) -> Callable:
    import keras

    model = keras.models.load_model(model_file, compile=False)
    return lambda pictures: [model.predict(picture[np.newaxis].astype("float32"), verbose=0) for picture in pictures]


def _median_ms(ask: Callable, pictures: np.ndarray, times: int) -> float:
    seconds = []
    for _ in range(times + WARM_UP):
        began = time.perf_counter()
        ask(pictures)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[WARM_UP:])


def pipeline(options: argparse.Namespace) -> dict:
    """Returns frames a second of the whole pipeline: decode, find, follow, classify, smooth, draw."""
    import cv2

    cv2.setNumThreads(1)
    watch = Stopwatch()
    run_live_loop(options.target, options.what, lambda labels: [watch], detector_model=options.detector_model)
    times = watch.times[WARM_UP_FRAMES:]
    rate = (len(times) - 1) / (times[-1] - times[0])
    return {"frames_per_second": rate, "frames": len(watch.times), "with_face": watch.faces}


def run_live_loop(
    source: str, detector_name: str, make_sinks: Callable[[tuple], Sequence], *, detector_model: Path | None = None
) -> None:
    """Reads a source to its end with the model in use, drawing every frame; `make_sinks` gets the model's labels."""
    from fer_core import faces
    from fer_core.live.classifier import make_classifier
    from fer_core.live.loop import LiveLoop
    from fer_core.live.overlay import Overlay, Status
    from fer_core.live.predictor import LivePredictor
    from fer_core.live.sources import open_source
    from fer_core.paths import Paths
    from fer_core.store.model_files import find_model

    paths = Paths.from_environment()
    classifier = make_classifier(find_model(None, paths), paths)
    predictor = LivePredictor(faces.make_detector(detector_name, paths=paths, model_file=detector_model), classifier)
    overlay = Overlay(classifier.labels)
    status = Status(model=classifier.name, detector=detector_name, frames_per_second=30.0, delay_seconds=0.01)

    def draw(frame, predictions, rate):
        return overlay.draw(frame.picture_bgr, predictions, status)

    sinks = make_sinks(classifier.labels)
    with contextlib.ExitStack() as opened:
        for sink in sinks:
            opened.callback(sink.close)
        frames = opened.enter_context(contextlib.closing(open_source(source)))
        LiveLoop(frames, predictor, draw=draw, sinks=sinks).run()


def first_batch(options: argparse.Namespace) -> dict:
    """Returns the seconds from the call that loads the data to the first batch in hand."""
    load = {"ours": _our_loader, "plain": _plain_loader}[options.what]()
    began = time.perf_counter()
    load(Path(options.target))
    return {"seconds": time.perf_counter() - began}


def _our_loader() -> Callable[[Path], np.ndarray]:
    """Through the cache in $FER_CACHE_DIR, which an earlier call has filled."""
    from fer_core.config import TrainConfig
    from fer_core.data.dataset import load_dataset
    from fer_core.paths import Paths

    def load(data: Path) -> np.ndarray:
        train = load_dataset(TrainConfig(data=str(data), validation="test"), Paths.from_environment(), side=48).train
        return train.images(np.random.default_rng(0).permutation(len(train))[:BATCH_SIZE])

    return load


def _plain_loader() -> Callable[[Path], object]:
    """Without the script's cache and shuffle, which would only add to it."""
    from plain_keras import load_images

    def load(data: Path) -> object:
        train = load_images(data / "train", batch_size=BATCH_SIZE, shuffle=True)
        load_images(data / "test", batch_size=BATCH_SIZE, shuffle=False)
        return next(iter(train))

    return load


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"classify": classify, "pipeline": pipeline, "first-batch": first_batch}
    parser.add_argument("part", choices=parts)
    parser.add_argument("what", choices=["ours", "predict", "plain", "haar", "yunet"])
    parser.add_argument("target")
    parser.add_argument("--detector-model", type=Path, default=None)
    options = parser.parse_args()
    print(json.dumps(parts[options.part](options)))


if __name__ == "__main__":
    main()
