"""`make bench-peers`: the live view beside the package `fer`, in a throw-away environment of its own.

    python benchmarks/peers.py --data ../shared/data

`fer` brings its weights (mini-Xception) and by default finds faces with OpenCV's Haar cascade on the full frame. Both
read the same 640×480 clip on one core. Writes peers.md beside this file.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path

import live_bench
import sides
from rich.console import Console

HERE = Path(__file__).parent
ROOT = HERE.parent
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
        scratch = Path(folder)
        python = _installed(scratch / "environment", console)
        clip = live_bench.clip_640(options.data / "faces" / "single_face_2.mp4", scratch / "clip.mp4")
        rows = _rows(python, clip, options, console)
    text = _markdown(rows)
    (HERE / "peers.md").write_text(text, encoding="utf-8")
    console.print(text, markup=False)


def _installed(folder: Path, console: Console) -> Path:
    console.print(f"Installing {PACKAGE} into a throw-away environment …")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", ROOT / "requirements.lock", *BESIDE], check=True)
    subprocess.run([*pip, SETUPTOOLS], check=True)
    subprocess.run([*pip, "--no-deps", PACKAGE], check=True)
    return python


def _rows(python: Path, clip: Path, options: argparse.Namespace, console: Console) -> list[tuple[str, float, float]]:
    theirs = [python, "-c", READER, clip, 10**9]
    ours = live_bench.live_command(clip)
    starts = [
        (live_bench.seconds_to_first_face(ours, "faces"), live_bench.seconds_to_first_face(theirs, "labels"))
        for _ in range(options.starts + 1)
    ][1:]
    console.print(f"start: {starts}")
    mine, peer = (statistics.median(seconds) for seconds in zip(*starts, strict=True))
    rate = _peer_rate([*live_bench.ONE_CORE, python, "-c", READER, clip, 200])
    yunet = options.data / "face_detection_yunet_2026may.onnx"
    rows = [("process start to first reading, s (less is better)", mine, peer)]
    for detector in ("haar", "yunet"):
        found = live_bench.one_core(console, "pipeline", detector, clip, "--detector-model", yunet)
        rows.append((f"pipeline with {detector}, 640×480, one core, frames/s", found["frames_per_second"], rate))
    return rows


def _peer_rate(command: list) -> float:
    output = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = [json.loads(line)["seconds"] for line in output.splitlines() if line.startswith("{")][10:]
    return len(seconds) / sum(seconds)


def _markdown(rows: list[tuple[str, float, float]]) -> str:
    lines = [f"| measured | ours | {PACKAGE} | ratio |", "| --- | ---: | ---: | ---: |"]
    for name, ours, theirs in rows:
        ratio = theirs / ours if "less" in name else ours / theirs
        lines.append(f"| {name} | {ours:,.3g} | {theirs:,.3g} | {ratio:.1f} × |")
    machine = f"{sides.processor()}, {os.cpu_count()} threads, Python {sys.version.split()[0]}"
    return "\n".join(lines) + f"\n\n`make bench-peers` on {machine}, {datetime.now(UTC):%Y-%m-%d}.\n"


def parse_options() -> argparse.Namespace:
    """Returns the command line."""
    default = Path(os.environ.get("FER_TEST_DATA") or ROOT.parent / "shared" / "data")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default, help="a folder with faces/ and YuNet's file")
    parser.add_argument("--starts", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
