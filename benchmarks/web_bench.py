"""The web section of `make bench`: start, one request, 16 clients, memory, overload, beside a tutorial's Flask app.

    python benchmarks/web_bench.py http://127.0.0.1:5000 picture.jpg --clients 16 --requests 2000

The server is a process of its own, and so is the load generator, which this file is when it is run: so many clients,
each sending its next picture when the last is answered. All three processes share the machine's cores.
"""

import contextlib
import json
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import tyro
from harness import HERE, SHIPPED, Bench, Row, Server, measured, row, serving
from live_bench import clip_640
from tyro.conf import Positional
from urllib3 import encode_multipart_formdata

PICTURES, CLIENTS, STARTS, SOAK_REQUESTS = 5, 16, 5, 20_000


class Scene:
    """What the rows are measured with: the servers, and pictures of one face each."""

    def __init__(self, bench: Bench):
        self._yunet, folder = bench.yunet, bench.fresh_folder("web")
        self._models = folder / "models"
        capture = cv2.VideoCapture(str(clip_640(bench.clip, folder / "clip.mp4")))
        step = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // PICTURES
        self.pictures = tuple(folder / f"face_{number}.jpg" for number in range(PICTURES))
        for number, path in enumerate(self.pictures):
            capture.set(cv2.CAP_PROP_POS_FRAMES, number * step)
            cv2.imwrite(str(path), capture.read()[1], [cv2.IMWRITE_JPEG_QUALITY, 90])

    def load(self, server: Server, *, clients: int, requests: int, path: str = "/api/v1/predict") -> dict:
        """Returns what the load generator measures, in a process of its own."""
        amount = ("--clients", clients, "--requests", requests, "--path", path)
        return measured(HERE / "web_bench.py", server.url, *self.pictures, *amount)

    def served(self, *flags: str) -> contextlib.AbstractContextManager[Server]:
        """Yields `python -m fer_core.web` with the project's own model and yunet, once it answers."""
        detector = ("--detector", "yunet", "--detector-model", self._yunet)
        return serving("-m", "fer_core.web", "--models-dir", self._models, *detector, *flags, "--port")


def web(bench: Bench) -> list[Row]:
    """Start, answers, load, memory and overload of the web page, beside an application as tutorials write it."""
    scene = Scene(bench)
    return [found for rows in (_start, _alone, _load, _memory, _overload) for found in rows(scene)]


def _start(scene: Scene) -> list[Row]:
    """From the start of the process to the first answer; the first try brings the files into memory.

    Asked from this process: a generator's own start is none of the server's.
    """
    seconds = []
    for _ in range(STARTS + 1):
        began = time.perf_counter()
        with scene.served() as server:
            load(server.url, scene.pictures[:1], requests=1)
            seconds.append(time.perf_counter() - began)
    median = statistics.median(seconds[1:])
    return [row("process start to first answer, s", median, bar="≤ 1.5", met=median <= 1.5)]


def _alone(scene: Scene) -> list[Row]:
    with scene.served() as server:
        scene.load(server, clients=1, requests=50)
        found = scene.load(server, clients=1, requests=400)
    median = found["median_ms"]
    met = median <= 15 and _all_read(found)
    return [row("one request alone, 640×480, median, ms", median, bar="≤ 15", met=met)]


def _load(scene: Scene) -> list[Row]:
    """16 clients, and the same against the tutorial's application, with the same pictures and network."""
    with scene.served() as server:
        scene.load(server, clients=CLIENTS, requests=100)
        ours = scene.load(server, clients=CLIENTS, requests=2000)
    with serving(HERE / "tutorial.py", SHIPPED, "web") as server:
        scene.load(server, clients=CLIENTS, requests=32, path="/predict")
        theirs = scene.load(server, clients=CLIENTS, requests=200, path="/predict")
    rate, p95, whole = ours["rate"], ours["p95_ms"], _all_read(ours)
    is_fast = rate >= 80 and rate >= 5 * theirs["rate"]
    name = f"{CLIENTS} clients, 95th percentile, ms"
    return [
        row(f"{CLIENTS} clients, requests/s", rate, theirs["rate"], bar="≥ 80, ≥ 5 ×", met=is_fast and whole),
        row(name, p95, theirs["p95_ms"], bar="≤ 300", met=p95 <= 300 and whole, less_is_better=True),
    ]


def _memory(scene: Scene) -> list[Row]:
    with scene.served() as server:
        scene.load(server, clients=CLIENTS, requests=1000)
        after_1000 = server.megabytes
        scene.load(server, clients=CLIENTS, requests=SOAK_REQUESTS - 1000)
        grown = server.megabytes - after_1000
    name = f"memory grown from request 1,000 to {SOAK_REQUESTS:,}, MB"
    return [row(name, grown, bar="≤ 10", met=grown <= 10) | {"note": f"{after_1000:.0f} MB after 1,000 requests"}]


def _overload(scene: Scene) -> list[Row]:
    """Far more clients than may wait: those that are too many are told to come again, and then all is as before."""
    with scene.served("--waiting", "8") as server:
        found = scene.load(server, clients=200, requests=4000)
        after = scene.load(server, clients=4, requests=100)
    refused = found["statuses"].get("503", 0)
    met = set(found["statuses"]) == {"200", "503"} and found["told_when"] == refused and _all_read(after)
    note = "all others were answered, and all 100 requests of 4 clients right after it"
    fraction = 100 * refused / found["requests"]
    return [row("200 clients, 8 may wait: answers with 503, %", fraction, bar="> 0", met=met) | {"note": note}]


def _all_read(found: dict) -> bool:
    """Whether each request was answered, with the one face that is in each picture."""
    return found["statuses"] == {"200": found["requests"]} and found["faces"] == found["requests"]


def load(
    url: Positional[str],
    pictures: Positional[tuple[Path, ...]],
    path: str = "/api/v1/predict",
    clients: int = 1,
    requests: int = 300,
) -> dict:
    """Returns requests a second, milliseconds, how many answers of each status, faces in them."""
    forms = [encode_multipart_formdata({"image": ("a.jpg", file.read_bytes(), "image/jpeg")}) for file in pictures]
    numbers, seconds, answers = iter(range(requests)), [], Counter()

    def client(_: int) -> None:
        connection = HTTPConnection(urlsplit(url).netloc)
        for number in numbers:  # which all clients share
            body, content_type = forms[number % len(forms)]
            began = time.perf_counter()
            connection.request("POST", path, body, {"Content-Type": content_type})
            answer = connection.getresponse()
            text = answer.read()
            seconds.append(time.perf_counter() - began)
            told_when = answer.getheader("Retry-After") is not None
            answers.update({str(answer.status): 1, "faces": text.count(b'"label"'), "told_when": told_when})

    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))
    rate = len(seconds) / (time.perf_counter() - began)
    milliseconds = [1000 * value for value in sorted(seconds)]
    figures = {"requests": len(seconds), "rate": rate, "median_ms": statistics.median(milliseconds)}
    figures |= {"p95_ms": milliseconds[int(len(seconds) * 0.95)]}
    figures |= {name: answers.pop(name, 0) for name in ("faces", "told_when")}
    return figures | {"statuses": dict(sorted(answers.items()))}


if __name__ == "__main__":
    print(json.dumps(tyro.cli(load, description=__doc__)))
