"""The live section of `make bench`: start, classification, the whole pipeline and memory, beside a tutorial's loop.

    python benchmarks/live_bench.py --data ../shared/data

`make bench-peers` runs this file itself: the live view beside the package `fer`, in a throw-away environment of its
own. `fer` brings its weights (mini-Xception) and by default finds faces with OpenCV's Haar cascade on the full frame.
Both read the same 640×480 clip on one core. Writes peers.md beside this file.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import cv2
import tyro
from harness import HERE, ROOT, SHIPPED, TEST_DATA, Bench, Row, conditions, measured, row, saved_network, table

SIZE, STARTS, SOAK_FRAMES = (640, 480), 5, 20_000
ONE_CORE = ("taskset", "-c", "0")
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


def live(bench: Bench) -> list[Row]:
    """Start, classification, pipeline and memory of the live view, beside a loop as tutorials write it."""
    folder = bench.fresh_folder("live")
    clip = clip_640(bench.clip, folder / "clip.mp4")
    loop = [sys.executable, HERE / "tutorial.py", SHIPPED, "loop", clip]
    mine, theirs = median_starts(clip, loop, STARTS)
    start = row("process start to first reading, s", mine, theirs, bar="≤ 1.0", met=mine <= 1.0, less_is_better=True)
    model = saved_network("baseline", folder)  # with fresh weights: the network's speed does not depend on them
    classify = (HERE / "measure.py", "classify")
    ours, peer = (measured(*classify, what, model, prefix=ONE_CORE) for what in ("ours", "predict"))
    rows = [start]
    for count, bar in {"one": 1, "eight": 5}.items():
        name, verdict = f"classify {count}, baseline, one core, ms", {"bar": f"≤ {bar}", "met": ours[count] <= bar}
        rows.append(row(name, ours[count], peer[count], **verdict, less_is_better=True))
    soak = ("soak", "--faces", bench.clip.parent, "--frames", SOAK_FRAMES)
    found = measured(HERE / "measure.py", *soak)
    grown = found["megabytes_at_end"] - found["megabytes_after_1000"]
    memory = row(f"memory grown from frame 1,000 to {found['frames']:,}, MB", grown, bar="≤ 5", met=grown <= 5)
    return [*rows, *_pipeline_rows(bench, clip, frame_rate([*ONE_CORE, *loop, 90])), memory]


def _pipeline_rows(bench: Bench, clip: Path, peer: float) -> list[Row]:
    rows = []
    for detector, bar in (("haar", 30), ("yunet", 60)):
        arguments = ("pipeline", detector, clip, "--detector-model", bench.yunet)
        found = measured(HERE / "measure.py", *arguments, prefix=ONE_CORE)
        rate = found["frames_per_second"]
        name = f"pipeline with {detector}, 640×480, one core, frames/s"
        note = f"a face was read in {found['with_face'] / found['frames']:.0%} of its {found['frames']} frames"
        met = rate >= bar and rate >= 5 * peer
        rows.append(row(name, rate, peer, bar=f"≥ {bar}, ≥ 5 ×", met=met) | {"note": note})
    return rows


def median_starts(clip: Path, peer: list, times: int) -> tuple[float, float]:
    """Returns the seconds to the first face of ours and the peer, in turn; the first try only fills the page cache."""
    ours = [sys.executable, ROOT / "realtime_emotion_detector.py", "--source", clip, "--no-display", "--json"]
    pairs = [(seconds_to_first_face(ours, "faces"), seconds_to_first_face(peer, "labels")) for _ in range(times + 1)]
    print(f"start: {pairs[1:]}", flush=True)
    return tuple(statistics.median(seconds) for seconds in zip(*pairs[1:], strict=True))


def seconds_to_first_face(command: list, key: str) -> float:
    """Returns the seconds from the start of a process to its first JSON line with a face under `key`."""
    began = time.perf_counter()
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, **quiet)
    try:
        for line in process.stdout:
            if line.startswith("{") and json.loads(line)[key]:
                return time.perf_counter() - began
    finally:
        process.kill()
        process.communicate()
    raise SystemExit(f"No face was found by {' '.join(map(str, command))}.")


def frame_rate(command: list) -> float:
    """Returns the frames a second of a loop that prints the seconds of each as JSON, without its first ten."""
    ended = subprocess.run(list(map(str, command)), cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    seconds = [json.loads(line)["seconds"] for line in ended.stdout.splitlines() if line.startswith("{")][10:]
    return len(seconds) / sum(seconds)


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


def peers(data: Path = TEST_DATA, starts: int = 3) -> None:
    """Installs the package `fer`, measures both and writes the table.

    Args:
        data: a folder with faces/ and YuNet's file.
    """
    with tempfile.TemporaryDirectory(prefix="fer-peers-") as folder:
        bench = Bench(data / "fer2013.zip", Path(folder))
        clip = clip_640(bench.clip, Path(folder) / "clip.mp4")
        environment = Path(folder) / "environment"
        venv.create(environment, with_pip=True)
        python = environment / "bin" / "python"
        for packages in (["-c", ROOT / "requirements.lock", *BESIDE], [SETUPTOOLS], ["--no-deps", PACKAGE]):
            subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
        peer = [python, "-c", READER, clip]
        first = row("", *median_starts(clip, [*peer, 10**9], starts), bar="", met=True, less_is_better=True)
        rows = [first | {"name": "process start to first reading, s (less is better)"}]
        rows += [row | {"bar": ""} for row in _pipeline_rows(bench, clip, frame_rate([*ONE_CORE, *peer, 200]))]
    where = conditions()
    text = f"{table(rows, PACKAGE)}\n`make bench-peers` on {where['machine']}, {where['measured'][:10]}.\n"
    (HERE / "peers.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    tyro.cli(peers, description=__doc__)
