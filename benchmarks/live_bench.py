"""The live section of `make bench`: start, classification, the whole pipeline and memory, beside a tutorial's loop."""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
from rich.console import Console
from sides import HERE, ROOT, SHIPPED, YUNET, Bench, Rows, measured, row

SIZE = (640, 480)
ONE_CORE = ("taskset", "-c", "0")
SAVE_BASELINE = """
import json, pathlib, sys
from fer_core import networks
from fer_core.recipes import recipe_config
folder, labels = pathlib.Path(sys.argv[1]), "angry disgust fear happy neutral sad surprise".split()
networks.build(recipe_config("baseline"), tuple(labels)).save(folder / "baseline.h5")
(folder / "labels.json").write_text(json.dumps(labels))
"""
"""With fresh weights: the network's speed does not depend on them."""


def live(bench: Bench, options: argparse.Namespace) -> Rows:
    """Start, classification, pipeline and memory of the live view, beside a loop as tutorials write it."""
    folder = bench.fresh_folder("live")
    clip = clip_640(bench.data / "faces" / "single_face_2.mp4", folder / "clip.mp4")
    return [
        _start_row(bench.console, clip, options.starts),
        *_classify_rows(bench.console, folder),
        *_pipeline_rows(bench, clip),
        _memory_row(bench, options.soak_frames),
    ]


def _start_row(console: Console, clip: Path, starts: int) -> dict:
    tutorial = [sys.executable, HERE / "tutorial_loop.py", clip, "--model", SHIPPED]
    mine, theirs = median_starts(console, (live_command(clip), "faces"), (tutorial, "labels"), starts)
    return row("process start to first reading, s", mine, theirs, bar="≤ 1.0", met=mine <= 1.0, less_is_better=True)


def median_starts(console: Console, ours: tuple, peer: tuple, times: int) -> tuple[float, float]:
    """Returns the seconds to the first face of both sides, in turn; the first try only fills the page cache."""
    pairs = [(seconds_to_first_face(*ours), seconds_to_first_face(*peer)) for _ in range(times + 1)][1:]
    console.print(f"start: {pairs}")
    return tuple(statistics.median(seconds) for seconds in zip(*pairs, strict=True))


def live_command(clip: Path) -> list:
    """Returns the command line that reads a clip with the project's own model and prints JSON."""
    return [sys.executable, ROOT / "realtime_emotion_detector.py", "--source", clip, "--no-display", "--json"]


def seconds_to_first_face(command: list, key: str) -> float:
    """Returns the seconds from the start of a process to its first JSON line with a face under `key`."""
    began = time.perf_counter()
    process = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, text=True
    )
    try:
        for line in process.stdout:
            if line.startswith("{") and json.loads(line)[key]:
                return time.perf_counter() - began
        raise SystemExit(f"{command} found no face.")
    finally:
        process.kill()
        process.wait()


def _classify_rows(console: Console, folder: Path) -> Rows:
    subprocess.run([sys.executable, "-c", SAVE_BASELINE, folder], cwd=ROOT, check=True, capture_output=True)
    ours, theirs = (one_core(console, "classify", side, folder / "baseline.h5") for side in ("ours", "predict"))
    bars = {"one": 1.0, "eight": 5.0}
    return [
        row(
            f"classify {name}, baseline, one core, ms",
            ours[name],
            theirs[name],
            bar=f"≤ {bar:.0f}",
            met=ours[name] <= bar,
            less_is_better=True,
        )
        for name, bar in bars.items()
    ]


def _pipeline_rows(bench: Bench, clip: Path) -> Rows:
    loop = [sys.executable, HERE / "tutorial_loop.py", clip, "--model", SHIPPED, "--frames", 90]
    tutorial = frame_rate([*ONE_CORE, *loop])
    bench.console.print(f"tutorial loop: {tutorial:.1f} frames/s")
    rows = []
    for detector, bar in (("haar", 30.0), ("yunet", 60.0)):
        found = one_core(bench.console, "pipeline", detector, clip, "--detector-model", bench.data / YUNET)
        rate = found["frames_per_second"]
        name = f"pipeline with {detector}, 640×480, one core, frames/s"
        met = rate >= bar and rate >= 5 * tutorial
        note = f"a face was read in {found['with_face'] / found['frames']:.0%} of its {found['frames']} frames"
        rows.append(row(name, rate, tutorial, bar=f"≥ {bar:.0f}, ≥ 5 ×", met=met) | {"note": note})
    return rows


def frame_rate(command: list) -> float:
    """Returns the frames a second of a loop that prints the seconds of each as JSON, without its first ten."""
    ended = subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds = [json.loads(line)["seconds"] for line in ended.stdout.splitlines() if line.startswith("{")][10:]
    return len(seconds) / sum(seconds)


def _memory_row(bench: Bench, frames: int) -> dict:
    soak = ("-m", "benchmarks.live_soak", "--faces", bench.data / "faces", "--frames", frames)
    found = measured(bench.console, *soak)
    grown = found["megabytes_at_end"] - found["megabytes_after_1000"]
    name = f"memory grown from frame 1,000 to {found['frames']:,}, MB"
    return row(name, grown, bar="≤ 5", met=grown <= 5)


def one_core(console: Console, *arguments: object) -> dict:
    """Returns what one_core.py measures, in a process on one core."""
    return measured(console, HERE / "one_core.py", *arguments, prefix=ONE_CORE)


def clip_640(source: Path, target: Path) -> Path:
    """Writes the clip as 640×480: enlarged, its sides cut off."""
    capture = cv2.VideoCapture(str(source))
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), capture.get(cv2.CAP_PROP_FPS), SIZE)
    while (read := capture.read())[0]:
        scale = SIZE[1] / read[1].shape[0]
        larger = cv2.resize(read[1], None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        left = (larger.shape[1] - SIZE[0]) // 2
        writer.write(larger[: SIZE[1], left : left + SIZE[0]])
    writer.release()
    return target
