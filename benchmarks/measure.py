"""One measurement in a process of its own; prints JSON last.

    python benchmarks/measure.py classify ours|predict MODEL                       # ms for one face and eight
    python benchmarks/measure.py pipeline haar|yunet VIDEO [--detector-model FILE] # frames a second
    python benchmarks/measure.py first-batch ours|plain DATA                       # seconds, without imports
    python benchmarks/measure.py latency [RECIPE]                                  # ms a face in LiteRT: float32, int8
    python benchmarks/measure.py macs resnet tiny                                  # weights and multiply-adds
    python benchmarks/measure.py soak --frames 20000 --drops 10                    # `make soak-live`

The caller keeps those of milliseconds and frames on one core.
"""

import contextlib
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import psutil
import tyro
from harness import TEST_DATA
from tyro.conf import Positional

if TYPE_CHECKING:
    import keras

WARM_UP, WARM_UP_FRAMES, ROUNDS = 3, 30, 9
BATCH_SIZE = 64


class Watch:
    """A sink that wants every picture, as a window does; notes times and memory, and drops the camera's stream."""

    needs_picture = True

    def __init__(self, *, frames: int = sys.maxsize, drop_at: Sequence[int] = (), drop: Callable[[], None] = print):
        self._frames, self._drop_at, self._drop = frames, list(drop_at), drop
        self.times: list[float] = []
        self.faces = 0
        self.megabytes: list[float] = []
        """After each 1,000 frames."""

    @property
    def is_done(self) -> bool:
        """Whether all frames were read."""
        return len(self.times) >= self._frames

    def write(self, shown) -> None:
        """Notes the frame."""
        self.times.append(time.perf_counter())
        self.faces += bool(shown.predictions)
        if len(self.times) % 1000 == 0:
            self.megabytes.append(psutil.Process().memory_info().rss / 2**20)
        if self._drop_at and len(self.times) >= self._drop_at[0]:
            self._drop_at.pop(0)
            self._drop()

    def close(self) -> None:
        """Has nothing to finish."""


def classify(what: Positional[Literal["ours", "predict"]], model: Positional[str]) -> dict:
    """Returns the median milliseconds of classifying one face and eight faces."""
    pictures = np.random.default_rng(0).integers(0, 256, (8, 48, 48, 1), dtype=np.uint8)
    if what == "ours":
        from fer_core.live.classifier import make_classifier
        from fer_core.paths import Paths
        from fer_core.store.model_files import find_model

        paths = Paths.from_environment()
        ask, times = make_classifier(find_model(model, paths), paths).classify, 400
    else:
        import keras

        network, times = keras.models.load_model(model, compile=False), 30

        def ask(pictures: np.ndarray) -> None:
            for picture in pictures:
                network.predict(picture[np.newaxis].astype("float32"), verbose=0)

    return {name: _median_ms(ask, faces, times) for name, faces in (("one", pictures[:1]), ("eight", pictures))}


def _median_ms(ask: Callable, pictures: np.ndarray, times: int) -> float:
    seconds = []
    for _ in range(times + WARM_UP):
        began = time.perf_counter()
        ask(pictures)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[WARM_UP:])


def pipeline(detector: Positional[str], video: Positional[str], detector_model: Path | None = None) -> dict:
    """Returns frames a second of the whole pipeline: decode, find, follow, classify, smooth, draw."""
    import cv2

    cv2.setNumThreads(1)
    watch = Watch()
    _run_live_loop(video, detector, lambda labels: [watch], detector_model=detector_model)
    times = watch.times[WARM_UP_FRAMES:]
    rate = (len(times) - 1) / (times[-1] - times[0])
    return {"frames_per_second": rate, "frames": len(watch.times), "with_face": watch.faces}


def soak(faces: Path = TEST_DATA / "faces", frames: int = 20_000, drops: int = 10, detector: str = "haar") -> dict:
    """Reads many frames from an HTTP camera whose stream drops out again and again.

    The camera is a real MJPEG server in a process of its own. Checks that every outage is survived, and that the log
    has a row for every frame; returns these, and the memory after 1,000 frames and at the end.

    Args:
        faces: a folder with single_face_2.mp4.
    """
    import pandas as pd

    from fer_core.live.output import PredictionLog, Record
    from tests.live.camera_stream import CameraStream

    began = time.monotonic()
    drop_at = [frames * (number + 1) // (drops + 1) for number in range(drops)]
    with tempfile.TemporaryDirectory() as folder, CameraStream(faces / "single_face_2.mp4", rate=None) as camera:
        log_csv, dropped = Path(folder, "log.csv"), []
        watch = Watch(frames=frames, drop_at=drop_at, drop=lambda: dropped.append(camera.drop(seconds=1.0)))
        _run_live_loop(camera.url, detector, lambda labels: [PredictionLog(log_csv, labels), Record(labels), watch])
        logged = pd.read_csv(log_csv, usecols=["frame"])["frame"].nunique()
    megabytes = watch.megabytes or [0.0]
    return {
        "frames": len(watch.times),
        "logged": logged,
        "drops": len(dropped),
        "megabytes_after_1000": megabytes[0],
        "megabytes_at_end": megabytes[-1],
        "seconds": round(time.monotonic() - began, 1),
        "holds": logged == len(watch.times) and len(dropped) == drops,
    }


def _run_live_loop(
    source: str, detector_name: str, make_sinks: Callable[[tuple], Sequence], *, detector_model: Path | None = None
) -> None:
    """Reads a source to its end with the model in use, drawing every frame; `make_sinks` gets the model's labels."""
    from fer_core import faces
    from fer_core.live.classifier import make_classifier
    from fer_core.live.layout import Status
    from fer_core.live.loop import LiveLoop
    from fer_core.live.overlay import Overlay
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


def first_batch(what: Positional[Literal["ours", "plain"]], data: Positional[Path]) -> dict:
    """Returns the seconds from the call that loads the data to the first batch in hand.

    Ours goes through the cache in $FER_CACHE_DIR, which an earlier call has filled; the plain script's cache and
    shuffle would only add to its time.
    """
    if what == "ours":
        from fer_core.config import TrainConfig
        from fer_core.data.dataset import load_dataset
        from fer_core.paths import Paths

        config, paths = TrainConfig(data=str(data), validation="test"), Paths.from_environment()
        began = time.perf_counter()
        train = load_dataset(config, paths, side=48).train
        train.images(np.random.default_rng(0).permutation(len(train))[:BATCH_SIZE])
    else:
        from plain_keras import load_images

        began = time.perf_counter()
        train = load_images(data / "train", batch_size=BATCH_SIZE, shuffle=True)
        load_images(data / "test", batch_size=BATCH_SIZE, shuffle=False)
        next(iter(train))
    return {"seconds": time.perf_counter() - began}


def latency(recipe: Positional[str] = "tiny") -> dict:
    """Returns the milliseconds of one face in LiteRT, in float32 and with 8-bit weights, which are not trained."""
    from fer_core.store.export import export_checked, export_int8
    from fer_core.store.runtimes import LiteRTModel

    network = _network(recipe)
    faces = np.random.default_rng(0).integers(0, 256, (200, *network.input_shape[1:]), dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="fer-tiny-") as folder:
        files = {form: Path(folder) / f"{form}.tflite" for form in ("float32", "int8")}
        export_checked(network, files["float32"], faces[:8])
        export_int8(network, files["int8"])
        models = {form: LiteRTModel(path) for form, path in files.items()}
        return {form: _median_ms(model.probabilities, faces, ROUNDS) / len(faces) for form, model in models.items()}


def macs(recipes: Positional[tuple[str, ...]] = ("resnet", "tiny", "resnet_large")) -> dict:
    """Returns the weights of recipes' networks, and millions of multiply-adds by the size of the picture."""
    found = {}
    for name in recipes:
        networks = {side: _network(name, image_size=side, crop=0, progressive_sizes=()) for side in (48, 44, 40, 32)}
        millions = {side: round(multiply_adds(network) / 1e6, 1) for side, network in networks.items()}
        found[name] = {"weights": networks[48].count_params(), "millions": millions}
    return found


def multiply_adds(network: "keras.Model") -> int:
    """Returns the multiply-adds of all convolutions and dense layers for one picture; FLOPs are twice as many."""
    nested = sum(multiply_adds(member) for member in network.layers if hasattr(member, "layers"))  # of an ensemble
    layers = [layer for layer in network.layers if hasattr(layer, "kernel")]
    return nested + sum(math.prod(layer.output.shape[1:-1]) * math.prod(layer.kernel.shape) for layer in layers)


def _network(recipe: str, **changes: object) -> "keras.Model":
    from fer_core import networks
    from fer_core.labels import FER2013_LABELS
    from fer_core.recipes import recipe_config

    return networks.build(recipe_config(recipe).model_copy(update=changes), FER2013_LABELS)


if __name__ == "__main__":
    parts = (classify, pipeline, first_batch, latency, macs, soak)
    result = tyro.extras.subcommand_cli_from_dict(
        {part.__name__.replace("_", "-"): part for part in parts}, description=__doc__
    )
    print(json.dumps(result))
    sys.exit(not result.get("holds", True))
