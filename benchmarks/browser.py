"""Reading in the browser: readings a second, the first reading, and what a first visit costs.

    python benchmarks/browser.py

Exports the static site with the model `tiny`, serves it with Python's own http.server, and opens it in Chromium whose
camera plays a clip of one face and of five, at 640 x 480 and 30 frames a second.
"""

import contextlib
import functools
import gzip
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import psutil
from harness import ROOT, TEST_DATA
from playwright.sync_api import Page, Playwright, sync_playwright

SECONDS = 10
FRAMES = 30
SIZE = (640, 480)
FIRST = """async () => {
    const began = performance.now();
    document.getElementById("agree").click();
    while (!document.querySelector("#people h3")) await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""
WAIT = "async () => { while (!navigator.serviceWorker.controller) await new Promise((done) => setTimeout(done, 50)); }"


def main() -> None:
    """Prints the table."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        folder = Path(scratch, "site")
        subprocess.run(
            [sys.executable, "-m", "fer_core.web", "--export-site", folder, "--model", "tiny"], cwd=ROOT, check=True
        )
        on_disk = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        print("| measured | value |\n| --- | ---: |")
        with served(folder) as (url, asked):
            faces = TEST_DATA / "faces"
            one, five = cv2.VideoCapture(str(faces / "single_face.mp4")), cv2.imread(str(faces / "multi_face.jpg"))
            for count, picture in ((1, one.read()[1]), (5, five)):
                clip = Path(scratch, f"{count}.y4m")
                _write_clip(clip, cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA))
                with visited(playwright, url, clip) as page:
                    if count == 1:
                        print(f"| files on disk, MB | {on_disk / 1e6:.1f} |")
                        print(f"| first visit, sent compressed, MB | {_compressed(folder, asked) / 1e6:.1f} |")
                    page.reload()
                    page.wait_for_timeout(3000)
                    first = page.evaluate(FIRST)
                    worked = _cpu_seconds()
                    before = int(page.locator("#session-frames").text_content().replace(",", ""))
                    page.wait_for_timeout(1000 * SECONDS)
                    read = int(page.locator("#session-frames").text_content().replace(",", "")) - before
                    people = page.locator("#people h3").count()
                    print(f"| {people} of {count} faces: first reading after consent, ms | {first:.0f} |")
                    print(f"| {people} of {count} faces: readings/s | {read / SECONDS:.1f} |")
                    milliseconds = 1000 * (_cpu_seconds() - worked) / read
                    print(f"| {people} of {count} faces: processor time a reading, ms | {milliseconds:.0f} |")


@contextlib.contextmanager
def served(folder: Path) -> Iterator[tuple[str, set[str]]]:
    """Yields the address of the site, and the set of paths that have been asked for."""
    asked: set[str] = set()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.add(self.path.lstrip("/"))

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", asked
    server.shutdown()


@contextlib.contextmanager
def visited(playwright: Playwright, url: str, clip: Path) -> Iterator[Page]:
    """Yields the live page, after the browser has kept all of the site."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={clip}"]
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *camera])
    page = browser.new_context(permissions=["camera"]).new_page()
    page.goto(url)
    page.evaluate(WAIT)
    yield page
    browser.close()


def _cpu_seconds() -> float:
    """Returns what the browser's processes have worked: of two cores there are two seconds a second."""
    seconds = 0.0
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            seconds += sum(process.cpu_times()[:2]) if "chrom" in process.name() else 0
    return seconds


def _compressed(folder: Path, asked: set[str]) -> int:
    files = [folder / (path or "index.html") for path in asked]
    return sum(len(gzip.compress(file.read_bytes(), 6)) for file in files if file.is_file())


def _write_clip(clip: Path, picture_bgr: np.ndarray) -> None:
    """Writes the picture, a little noisy, as Chromium's fake camera reads it."""
    random = np.random.default_rng(0)
    with clip.open("wb") as file:
        file.write(b"YUV4MPEG2 W%d H%d F30:1 Ip A1:1 C420jpeg\n" % SIZE)
        for _ in range(FRAMES):
            noisy = np.clip(picture_bgr + random.normal(0, 3, picture_bgr.shape), 0, 255).astype(np.uint8)
            file.write(b"FRAME\n" + cv2.cvtColor(noisy, cv2.COLOR_BGR2YUV_I420).tobytes())


if __name__ == "__main__":
    main()
