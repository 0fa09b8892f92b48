"""A soak of the live view: many frames from an HTTP camera whose stream drops out again and again.

    python -m benchmarks.live_soak --faces ../shared/data/faces --frames 20000 --drops 10

The camera is a real MJPEG server in a process of its own. Checks that every outage is survived, that memory does not
grow, and that the log has a row for every frame. The last line is JSON.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil

from benchmarks.one_core import run_live_loop
from benchmarks.sides import TEST_DATA
from fer_core.live.log import PredictionLog
from fer_core.live.summary import Record
from tests.live.camera_stream import CameraStream


class Gauge:
    """A sink that notes the memory in use after 1,000 frames and at the end, and drops the stream now and then."""

    needs_picture = True

    def __init__(self, camera: CameraStream, *, frames: int, drops: int):
        self._camera, self._frames = camera, frames
        self._drop_at = [frames * (number + 1) // (drops + 1) for number in range(drops)]
        self._process = psutil.Process()
        self.read = self.dropped = 0
        self.megabytes: list[float] = []
        """After each 1,000 frames."""

    @property
    def is_done(self) -> bool:
        """Whether all frames were read."""
        return self.read >= self._frames

    def write(self, shown) -> None:
        """Counts the frame."""
        self.read += 1
        if self.read % 1000 == 0:
            self.megabytes.append(self._process.memory_info().rss / 2**20)
            print(f"{self.read:,} frames: {self.megabytes[-1]:.1f} MB", flush=True)
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
    with (
        tempfile.TemporaryDirectory() as folder,
        CameraStream(options.faces / "single_face_2.mp4", rate=None) as camera,
    ):
        log_csv = Path(folder, "log.csv")
        gauge = Gauge(camera, frames=options.frames, drops=options.drops)

        def sinks(labels: tuple[str, ...]) -> list:
            return [PredictionLog(log_csv, labels), Record(labels), gauge]

        run_live_loop(camera.url, options.detector, sinks)
        logged = pd.read_csv(log_csv, usecols=["frame"])["frame"].nunique()
    result = {
        "frames": gauge.read,
        "logged": logged,
        "drops": gauge.dropped,
        "megabytes_after_1000": gauge.megabytes[0],
        "megabytes_at_end": gauge.megabytes[-1],
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(result))
    sys.exit(0 if logged == gauge.read and gauge.dropped == options.drops else 1)


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, default=TEST_DATA / "faces", help="a folder with single_face_2.mp4")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--drops", type=int, default=10)
    parser.add_argument("--detector", default="haar")
    return parser.parse_args()


if __name__ == "__main__":
    main()
