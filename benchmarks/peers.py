"""`make bench-peers`: the live view beside the package `fer`, in a throw-away environment of its own.

    python benchmarks/peers.py --data ../shared/data

`fer` brings its weights (mini-Xception) and by default finds faces with OpenCV's Haar cascade on the full frame. Both
read the same 640×480 clip on one core. Writes peers.md beside this file.
"""

import argparse
import subprocess
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path

import live_bench
import sides
from rich.console import Console

PACKAGE = "fer==25.10.3"
BESIDE = ("tensorflow", "opencv-python", "requests", "Pillow")
SETUPTOOLS = "setuptools<81"
"""Later releases have no pkg_resources, which `fer` imports."""

READER = """
import json, sys, time
import cv2
from fer.fer import FER
predictor = FER()
capture = cv2.VideoCapture(sys.argv[1])
for _ in range(int(sys.argv[2])):
    began = time.perf_counter()
    readable, frame = capture.read()
    if not readable:
        break
    faces = predictor.detect_emotions(frame)
    labels = [max(face["emotions"], key=face["emotions"].get) for face in faces]
    print(json.dumps({"seconds": time.perf_counter() - began, "labels": labels}), flush=True)
"""


def main() -> None:
    """Installs the peer, measures both sides and writes the table."""
    options = parse_options()
    console = Console()
    with tempfile.TemporaryDirectory(prefix="fer-peers-") as folder:
        python = _installed(Path(folder) / "environment", console)
        clip = live_bench.clip_640(options.data / "faces" / "single_face_2.mp4", Path(folder) / "clip.mp4")
        text = _markdown(_rows([python, "-c", READER, clip], clip, options, console))
    (sides.HERE / "peers.md").write_text(text, encoding="utf-8")
    console.print(text, markup=False)


def _installed(folder: Path, console: Console) -> Path:
    console.print(f"Installing {PACKAGE} into a throw-away environment …")
    venv.create(folder, with_pip=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for packages in (["-c", sides.ROOT / "requirements.lock", *BESIDE], [SETUPTOOLS], ["--no-deps", PACKAGE]):
        subprocess.run([*pip, *packages], check=True)
    return pip[0]


def _rows(peer: list, clip: Path, options: argparse.Namespace, console: Console) -> sides.Rows:
    ours, theirs = (live_bench.live_command(clip), "faces"), ([*peer, 10**9], "labels")
    starts = live_bench.median_starts(console, ours, theirs, options.starts)
    rate = live_bench.frame_rate([*live_bench.ONE_CORE, *peer, 200])
    name = "process start to first reading, s (less is better)"
    rows = [sides.row(name, *starts, bar="", met=True, less_is_better=True)]
    for detector in ("haar", "yunet"):
        found = live_bench.one_core(console, "pipeline", detector, clip, "--detector-model", options.data / sides.YUNET)
        name = f"pipeline with {detector}, 640×480, one core, frames/s"
        rows.append(sides.row(name, found["frames_per_second"], rate, bar="", met=True))
    return rows


def _markdown(rows: sides.Rows) -> str:
    lines = [f"| measured | ours | {PACKAGE} | ratio |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {row['name']} | {row['ours']:,.3g} | {row['plain']:,.3g} | {row['ratio']:.1f} × |" for row in rows]
    return "\n".join(lines) + f"\n\n`make bench-peers` on {sides.machine()}, {datetime.now(UTC):%Y-%m-%d}.\n"


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=sides.TEST_DATA, help="a folder with faces/ and YuNet's file")
    parser.add_argument("--starts", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
