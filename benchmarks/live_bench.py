"""The live section of `make bench`: start, classification, the whole pipeline and memory, beside a tutorial's loop."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cv2
from rich.console import Console

HERE = Path(__file__).parent
ROOT = HERE.parent
SHIPPED = ROOT / "models" / "shipped" / "best" / "model.h5"
SIZE = (640, 480)
ONE_CORE = ("taskset", "-c", "0")

Rows = list[dict[str, object]]


def live(data: Path, scratch: Path, console: Console, *, starts: int, soak_frames: int) -> Rows:
    """Returns the rows of the live section. `data` has faces/ and YuNet's file."""
    clip = clip_640(data / "faces" / "single_face_2.mp4", scratch / "clip.mp4")
    yunet = data / "face_detection_yunet_2026may.onnx"
    return [
        _start_row(clip, starts, console),
        *_classify_rows(scratch, console),
        *_pipeline_rows(clip, yunet, console),
        _memory_row(data, soak_frames, console),
    ]


def _start_row(clip: Path, starts: int, console: Console) -> dict:
    ours = live_command(clip)
    tutorial = [sys.executable, HERE / "tutorial_loop.py", clip, "--model", SHIPPED]
    seconds_to_first_face(ours, "faces"), seconds_to_first_face(tutorial, "labels")  # files in the page cache
    pairs = [(seconds_to_first_face(ours, "faces"), seconds_to_first_face(tutorial, "labels")) for _ in range(starts)]
    console.print(f"start: {pairs}")
    mine, theirs = (statistics.median(seconds) for seconds in zip(*pairs, strict=True))
    return _row("process start to first reading, s", mine, theirs, bar="≤ 1.0", met=mine <= 1.0, ratio=theirs / mine)


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


def _classify_rows(scratch: Path, console: Console) -> Rows:
    """The baseline network with fresh weights: its speed does not depend on them."""
    folder = scratch / "baseline"
    folder.mkdir()
    code = (
        "import sys, json, pathlib; from fer_core import networks; from fer_core.recipes import recipe_config;"
        "folder = pathlib.Path(sys.argv[1]); labels = tuple('angry disgust fear happy neutral sad surprise'.split());"
        "networks.build(recipe_config('baseline'), labels).save(folder / 'baseline.h5');"
        "(folder / 'labels.json').write_text(json.dumps(labels))"
    )
    subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, check=True, capture_output=True)
    ours = one_core(console, "classify", "ours", folder / "baseline.h5")
    theirs = one_core(console, "classify", "predict", folder / "baseline.h5")
    return [
        _row(
            f"classify {name}, baseline, one core, ms",
            ours[name],
            theirs[name],
            bar=f"≤ {bar:.0f}",
            met=ours[name] <= bar,
            ratio=theirs[name] / ours[name],
        )
        for name, bar in (("one", 1.0), ("eight", 5.0))
    ]


def _pipeline_rows(clip: Path, yunet: Path, console: Console) -> Rows:
    tutorial = _tutorial_rate(clip, console)
    rows = []
    for detector, bar in (("haar", 30.0), ("yunet", 60.0)):
        found = one_core(console, "pipeline", detector, clip, "--detector-model", yunet)
        rate = found["frames_per_second"]
        met = rate >= bar and rate >= 5 * tutorial
        note = f"a face was read in {found['with_face'] / found['frames']:.0%} of its {found['frames']} frames"
        name = f"pipeline with {detector}, 640×480, one core, frames/s"
        row = _row(name, rate, tutorial, bar=f"≥ {bar:.0f}, ≥ 5 ×", met=met, ratio=rate / tutorial)
        rows.append(row | {"note": note})
    return rows


def _tutorial_rate(clip: Path, console: Console) -> float:
    command = [
        "taskset",
        "-c",
        "0",
        sys.executable,
        HERE / "tutorial_loop.py",
        clip,
        "--model",
        SHIPPED,
        "--frames",
        90,
    ]
    output = subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True, text=True).stdout
    seconds = [json.loads(line)["seconds"] for line in output.splitlines()][10:]
    rate = len(seconds) / sum(seconds)
    console.print(f"tutorial loop: {rate:.1f} frames/s")
    return rate


def _memory_row(data: Path, frames: int, console: Console) -> dict:
    command = [sys.executable, "-m", "benchmarks.live_soak", "--faces", data / "faces", "--frames", frames]
    output = subprocess.run(list(map(str, command)), cwd=ROOT, check=True, capture_output=True, text=True).stdout
    console.print(output)
    found = json.loads(output.splitlines()[-1])
    grown = found["megabytes_at_end"] - found["megabytes_after_1000"]
    return _row(
        f"memory grown from frame 1,000 to {found['frames']:,}, MB", grown, None, bar="≤ 5", met=grown <= 5, ratio=None
    )


def one_core(console: Console, *arguments: object) -> dict:
    """Returns what benchmarks/one_core.py measures, in a process on one core."""
    command = [*ONE_CORE, sys.executable, "-m", "benchmarks.one_core", *arguments]
    output = subprocess.run(list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    console.print(f"{' '.join(map(str, arguments[:2]))}: {output.splitlines()[-1]}", markup=False)
    return json.loads(output.splitlines()[-1])


def clip_640(source: Path, target: Path) -> Path:
    """Writes the clip as 640×480: enlarged, its sides cut off."""
    capture = cv2.VideoCapture(str(source))
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), capture.get(cv2.CAP_PROP_FPS), SIZE)
    while True:
        readable, frame_bgr = capture.read()
        if not readable:
            break
        scale = SIZE[1] / frame_bgr.shape[0]
        larger = cv2.resize(frame_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        left = (larger.shape[1] - SIZE[0]) // 2
        writer.write(larger[: SIZE[1], left : left + SIZE[0]])
    writer.release()
    return target


def _row(name: str, ours: float, plain: float | None, *, bar: str, met: bool, ratio: float | None) -> dict:
    return {"name": name, "ours": ours, "plain": plain, "ratio": ratio, "bar": bar, "met": met}
