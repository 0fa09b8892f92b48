"""A soak of the live view: many frames from an HTTP camera whose stream drops out again and again.

    python -m benchmarks.live_soak --faces ../shared/data/faces --frames 20000 --drops 10

The camera is a real MJPEG server in a process of its own. Checks that every outage is survived, that memory does not
grow, and that the log has a row for every frame. The last line is JSON.
"""

import argparse
import contextlib
import csv
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from fer_core import faces
from fer_core.live.classifier import make_classifier
from fer_core.live.log import PredictionLog
from fer_core.live.loop import LiveLoop, Shown
from fer_core.live.overlay import Overlay, Status
from fer_core.live.predictor import LivePredictor
from fer_core.live.sinks import LogSink, SummarySink
from fer_core.live.sources import open_source
from fer_core.live.summary import Summary
from fer_core.paths import Paths
from fer_core.store.model_files import find_model
from tests.live.camera_stream import CameraStream

ROOT = Path(__file__).parents[1]


class Gauge:
    """A sink that notes the memory in use after 1,000 frames and at the end, and drops the stream now and then."""

    needs_picture = True

    def __init__(self, camera: CameraStream, *, frames: int, drops: int):
        self._camera, self._frames = camera, frames
        self._drop_at = [frames * (number + 1) // (drops + 1) for number in range(drops)]
        self._process = psutil.Process()
        self.read = self.dropped = 0
        self.megabytes: dict[int, float] = {}

    @property
    def is_done(self) -> bool:
        """Whether all frames were read."""
        return self.read >= self._frames

    def write(self, shown: Shown) -> None:
        """Counts the frame."""
        self.read += 1
        if self.read % 1000 == 0:
            self.megabytes[self.read] = self._process.memory_info().rss / 2**20
            print(f"{self.read:,} frames: {self.megabytes[self.read]:.1f} MB", flush=True)
        if self._drop_at and self.read >= self._drop_at[0]:
            self._drop_at.pop(0)
            self.dropped += 1
            self._camera.drop(seconds=1.0)

    def close(self) -> None:
        """Has nothing to finish."""


def main() -> None:
    """Runs the soak; exit code 1 where something did not hold."""
    options = parse_options()
    began = time.monotonic()
    clip = options.faces / "single_face_2.mp4"
    with tempfile.TemporaryDirectory() as folder, CameraStream(clip, rate=None) as camera:
        path = Path(folder, "log.csv")
        gauge = Gauge(camera, frames=options.frames, drops=options.drops)
        read_stream(camera.url, options.detector, path, gauge)
        with path.open(encoding="utf-8", newline="") as file:
            logged = len({row["frame"] for row in csv.DictReader(file)})
    result = {
        "frames": gauge.read,
        "logged": logged,
        "drops": gauge.dropped,
        "megabytes_after_1000": gauge.megabytes[1000],
        "megabytes_at_end": gauge.megabytes[max(gauge.megabytes)],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result))
    sys.exit(0 if logged == gauge.read and gauge.dropped == options.drops else 1)


def read_stream(url: str, detector: str, log_csv: Path, gauge: Gauge) -> None:
    """Reads, draws, logs and sums up until the gauge has its frames."""
    paths = Paths.from_environment()
    classifier = make_classifier(find_model(None, paths), paths)
    predictor = LivePredictor(faces.make_detector(detector, paths=paths), classifier)
    overlay, summary = Overlay(classifier.labels), Summary(classifier.labels)
    status = Status(model=classifier.name, detector=detector, frames_per_second=30.0, delay_seconds=0.01)
    log = LogSink(PredictionLog(log_csv, classifier.labels))
    with contextlib.closing(open_source(url)) as source, contextlib.closing(log):
        LiveLoop(
            source,
            predictor,
            draw=lambda frame, predictions, rate: overlay.draw(frame.picture_bgr, predictions, status),
            sinks=[log, SummarySink(summary), gauge],
        ).run()


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    default = Path(os.environ.get("FER_TEST_DATA") or ROOT.parent / "shared" / "data") / "faces"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=default, help="a folder with single_face_2.mp4")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--drops", type=int, default=10)
    parser.add_argument("--detector", default="haar")
    return parser.parse_args()


if __name__ == "__main__":
    main()
