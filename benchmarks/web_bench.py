"""The web section of `make bench`: start, one request, 16 clients, memory, overload, beside a tutorial's Flask app.

The server is a process of its own, and so is the load generator (web_load.py); all three share the machine's cores.
"""

import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import live_bench
import psutil
from rich.console import Console

ROOT = Path(__file__).parent.parent
PICTURES = 5
CLIENTS = 16
_START_SECONDS = 60

Rows = list[dict[str, object]]


@dataclass(frozen=True)
class Scene:
    """What the rows are measured with."""

    pictures: list[Path]
    """640 x 480 JPEGs with one face each."""
    yunet: Path
    models: Path
    console: Console
    starts: int
    soak_requests: int


def web(
    data: Path, scratch: Path, console: Console, *, rows: list[str] | None, starts: int, soak_requests: int
) -> Rows:
    """Returns the rows of the web section, or those of these names. `data` has faces/ and YuNet's file."""
    clip = live_bench.clip_640(data / "faces" / "single_face_2.mp4", scratch / "clip.mp4")
    scene = Scene(
        pictures=_pictures(clip, scratch),
        yunet=data / "face_detection_yunet_2026may.onnx",
        models=scratch / "models",
        console=console,
        starts=starts,
        soak_requests=soak_requests,
    )
    return [row for name in rows or ROWS for row in ROWS[name](scene)]


def _pictures(clip: Path, folder: Path) -> list[Path]:
    capture = cv2.VideoCapture(str(clip))
    step = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // PICTURES
    paths = []
    for number in range(PICTURES):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number * step)
        path = folder / f"face_{number}.jpg"
        cv2.imwrite(str(path), capture.read()[1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        paths.append(path)
    return paths


def _start(scene: Scene) -> Rows:
    """From the start of the process to the first answer; the first try brings the files into memory."""
    seconds = [_seconds_to_first_answer(scene) for _ in range(scene.starts + 1)][1:]
    scene.console.print(f"start: {seconds}")
    median = statistics.median(seconds)
    return [_row("process start to first answer, s", median, None, bar="≤ 1.5", met=median <= 1.5)]


def _seconds_to_first_answer(scene: Scene) -> float:
    began = time.perf_counter()
    with served(scene) as server:
        load(scene, server.url, clients=1, requests=1)
        return time.perf_counter() - began


def _alone(scene: Scene) -> Rows:
    with served(scene) as server:
        load(scene, server.url, clients=1, requests=50)
        found = load(scene, server.url, clients=1, requests=400)
    median = found["median_ms"]
    met = median <= 15 and _all_read(found)
    return [_row("one request alone, 640×480, median, ms", median, None, bar="≤ 15", met=met)]


def _load(scene: Scene) -> Rows:
    """16 clients, and the same against the tutorial's application, with the same pictures and network."""
    with served(scene) as server:
        load(scene, server.url, clients=CLIENTS, requests=100)
        ours = load(scene, server.url, clients=CLIENTS, requests=2000)
    with _tutorial() as url:
        load(scene, url, clients=CLIENTS, requests=32, path="/predict")
        theirs = load(scene, url, clients=CLIENTS, requests=200, path="/predict")
    rate, p95 = ours["rate"], ours["p95_ms"]
    is_whole = _all_read(ours)
    return [
        _row(
            f"{CLIENTS} clients, requests/s",
            rate,
            theirs["rate"],
            bar="≥ 80, ≥ 5 ×",
            met=rate >= 80 and rate >= 5 * theirs["rate"] and is_whole,
            ratio=rate / theirs["rate"],
        ),
        _row(
            f"{CLIENTS} clients, 95th percentile, ms",
            p95,
            theirs["p95_ms"],
            bar="≤ 300",
            met=p95 <= 300 and is_whole,
            ratio=theirs["p95_ms"] / p95,
        ),
    ]


def _memory(scene: Scene) -> Rows:
    with served(scene) as server:
        load(scene, server.url, clients=CLIENTS, requests=1000)
        after_1000 = server.megabytes
        load(scene, server.url, clients=CLIENTS, requests=scene.soak_requests - 1000)
        grown = server.megabytes - after_1000
    name = f"memory grown from request 1,000 to {scene.soak_requests:,}, MB"
    row = _row(name, grown, None, bar="≤ 10", met=grown <= 10)
    return [row | {"note": f"{after_1000:.0f} MB after 1,000 requests"}]


def _overload(scene: Scene) -> Rows:
    """Far more clients than may wait: those that are too many are told to come again, and then all is as before."""
    with served(scene, "--waiting", "8") as server:
        found = load(scene, server.url, clients=200, requests=4000)
        after = load(scene, server.url, clients=4, requests=100)
    refused = found["statuses"].get("503", 0)
    met = set(found["statuses"]) == {"200", "503"} and found["told_when"] == refused and _all_read(after)
    share = 100 * refused / found["requests"]
    row = _row("200 clients, 8 may wait: answers with 503, %", share, None, bar="> 0", met=met)
    return [row | {"note": "all others were answered, and all 100 requests of 4 clients right after it"}]


ROWS: dict[str, Callable[[Scene], Rows]] = {
    "start": _start,
    "alone": _alone,
    "load": _load,
    "memory": _memory,
    "overload": _overload,
}


@dataclass(frozen=True)
class Server:
    """A server process that answers."""

    url: str
    process: psutil.Process

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        return self.process.memory_info().rss / 2**20


@contextlib.contextmanager
def served(scene: Scene, *flags: str) -> Iterator[Server]:
    """Yields `python -m fer_core.web` with the project's own model and yunet, once it answers."""
    port = str(free_port())
    command = [sys.executable, "-m", "fer_core.web", "--models-dir", str(scene.models), "--port", port, *flags]
    detector = ["--detector", "yunet", "--detector-model", str(scene.yunet)]
    with _process([*command, *detector], f"http://127.0.0.1:{port}") as server:
        yield server


@contextlib.contextmanager
def _tutorial() -> Iterator[str]:
    port = free_port()
    command = [sys.executable, str(ROOT / "benchmarks" / "tutorial_web.py"), "--port", str(port)]
    with _process([*command, "--model", str(live_bench.SHIPPED)], f"http://127.0.0.1:{port}") as server:
        yield server.url


@contextlib.contextmanager
def _process(command: list[str], url: str) -> Iterator[Server]:
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.Popen(command, cwd=ROOT, env=quiet, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_it_answers(url, process)
        yield Server(url, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


def _wait_until_it_answers(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=5).close()
            return
        except urllib.error.HTTPError:  # the tutorial's application answers, but has no such path
            return
        except OSError:
            time.sleep(0.01)
    raise SystemExit(f"{url} does not answer.")


def load(scene: Scene, url: str, *, clients: int, requests: int, path: str = "/api/v1/predict") -> dict:
    """Returns what web_load.py measures, in a process of its own."""
    amount = ["--clients", str(clients), "--requests", str(requests), "--path", path]
    command = [sys.executable, "-m", "benchmarks.web_load", url, *map(str, scene.pictures), *amount]
    output = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    scene.console.print(f"{clients} clients, {path}: {output.strip()}", markup=False)
    return json.loads(output)


def _all_read(found: dict) -> bool:
    """Whether each request was answered, with the one face that is in each picture."""
    return found["statuses"] == {"200": found["requests"]} and found["faces"] == found["requests"]


def free_port() -> int:
    """Returns a TCP port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _row(name: str, ours: float, plain: float | None, *, bar: str, met: bool, ratio: float | None = None) -> dict:
    return {"name": name, "ours": ours, "plain": plain, "ratio": ratio, "bar": bar, "met": met}
