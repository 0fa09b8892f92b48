"""The web section of `make bench`: start, one request, 16 clients, memory, overload, beside a tutorial's Flask app.

The server is a process of its own, and so is the load generator (web_load.py); all three share the machine's cores.
"""

import argparse
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import psutil
from live_bench import clip_640
from rich.console import Console
from sides import HERE, ROOT, SHIPPED, YUNET, Bench, Rows, measured, row

PICTURES = 5
CLIENTS = 16
_START_SECONDS = 60


class Scene(NamedTuple):
    """What the rows are measured with."""

    pictures: list[Path]
    """640 x 480 JPEGs with one face each."""
    yunet: Path
    models: Path
    console: Console
    options: argparse.Namespace

    def load(self, url: str, *, clients: int, requests: int, path: str = "/api/v1/predict") -> dict:
        """Returns what web_load.py measures, in a process of its own."""
        amount = ("--clients", clients, "--requests", requests, "--path", path)
        return measured(self.console, HERE / "web_load.py", url, *self.pictures, *amount)


def web(bench: Bench, options: argparse.Namespace) -> Rows:
    """Start, answers, load, memory and overload of the web page, beside an application as tutorials write it."""
    folder = bench.fresh_folder("web")
    clip = clip_640(bench.data / "faces" / "single_face_2.mp4", folder / "clip.mp4")
    scene = Scene(_pictures(clip, folder), bench.data / YUNET, folder / "models", bench.console, options)
    return [row for name in options.web_rows or ROWS for row in ROWS[name](scene)]


def _pictures(clip: Path, folder: Path) -> list[Path]:
    capture = cv2.VideoCapture(str(clip))
    step = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // PICTURES
    paths = [folder / f"face_{number}.jpg" for number in range(PICTURES)]
    for number, path in enumerate(paths):
        capture.set(cv2.CAP_PROP_POS_FRAMES, number * step)
        cv2.imwrite(str(path), capture.read()[1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return paths


def _start(scene: Scene) -> Rows:
    """From the start of the process to the first answer; the first try brings the files into memory."""
    seconds = [_seconds_to_first_answer(scene) for _ in range(scene.options.starts + 1)][1:]
    scene.console.print(f"start: {seconds}")
    median = statistics.median(seconds)
    return [row("process start to first answer, s", median, bar="≤ 1.5", met=median <= 1.5)]


def _seconds_to_first_answer(scene: Scene) -> float:
    began = time.perf_counter()
    with served(scene) as server:
        scene.load(server.url, clients=1, requests=1)
        return time.perf_counter() - began


def _alone(scene: Scene) -> Rows:
    with served(scene) as server:
        scene.load(server.url, clients=1, requests=50)
        found = scene.load(server.url, clients=1, requests=400)
    median = found["median_ms"]
    met = median <= 15 and _all_read(found)
    return [row("one request alone, 640×480, median, ms", median, bar="≤ 15", met=met)]


def _load(scene: Scene) -> Rows:
    """16 clients, and the same against the tutorial's application, with the same pictures and network."""
    with served(scene) as server:
        scene.load(server.url, clients=CLIENTS, requests=100)
        ours = scene.load(server.url, clients=CLIENTS, requests=2000)
    with _tutorial() as url:
        scene.load(url, clients=CLIENTS, requests=32, path="/predict")
        theirs = scene.load(url, clients=CLIENTS, requests=200, path="/predict")
    rate, p95, whole = ours["rate"], ours["p95_ms"], _all_read(ours)
    is_fast = rate >= 80 and rate >= 5 * theirs["rate"]
    name = f"{CLIENTS} clients, 95th percentile, ms"
    return [
        row(f"{CLIENTS} clients, requests/s", rate, theirs["rate"], bar="≥ 80, ≥ 5 ×", met=is_fast and whole),
        row(name, p95, theirs["p95_ms"], bar="≤ 300", met=p95 <= 300 and whole, less_is_better=True),
    ]


def _memory(scene: Scene) -> Rows:
    requests = scene.options.soak_requests
    with served(scene) as server:
        scene.load(server.url, clients=CLIENTS, requests=1000)
        after_1000 = server.megabytes
        scene.load(server.url, clients=CLIENTS, requests=requests - 1000)
        grown = server.megabytes - after_1000
    found = row(f"memory grown from request 1,000 to {requests:,}, MB", grown, bar="≤ 10", met=grown <= 10)
    return [found | {"note": f"{after_1000:.0f} MB after 1,000 requests"}]


def _overload(scene: Scene) -> Rows:
    """Far more clients than may wait: those that are too many are told to come again, and then all is as before."""
    with served(scene, "--waiting", "8") as server:
        found = scene.load(server.url, clients=200, requests=4000)
        after = scene.load(server.url, clients=4, requests=100)
    refused = found["statuses"].get("503", 0)
    met = set(found["statuses"]) == {"200", "503"} and found["told_when"] == refused and _all_read(after)
    fraction = 100 * refused / found["requests"]
    note = "all others were answered, and all 100 requests of 4 clients right after it"
    return [row("200 clients, 8 may wait: answers with 503, %", fraction, bar="> 0", met=met) | {"note": note}]


def _all_read(found: dict) -> bool:
    """Whether each request was answered, with the one face that is in each picture."""
    return found["statuses"] == {"200": found["requests"]} and found["faces"] == found["requests"]


ROWS: dict[str, Callable[[Scene], Rows]] = {
    "start": _start,
    "alone": _alone,
    "load": _load,
    "memory": _memory,
    "overload": _overload,
}


class Server(NamedTuple):
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
    folders = ["--models-dir", scene.models, "--detector", "yunet", "--detector-model", scene.yunet]
    with _process("-m", "fer_core.web", *folders, *flags) as server:
        yield server


@contextlib.contextmanager
def _tutorial() -> Iterator[str]:
    with _process(HERE / "tutorial_web.py", "--model", SHIPPED) as server:
        yield server.url


@contextlib.contextmanager
def _process(*arguments: object) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, *map(str, arguments), "--port", str(port)]
    quiet = {"env": os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, **quiet)
    try:
        url = f"http://127.0.0.1:{port}"
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
