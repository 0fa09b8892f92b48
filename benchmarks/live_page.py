"""Readings per second of the live page, server and browser on this machine: `python -m benchmarks.live_page`.

Debian's Chromium shows a clip as its camera, 640 x 480 at 30 frames a second, and the page does all that it does for
people: JPEG, request, boxes and bars over the frame, timeline. Needs Chromium and playwright.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
from playwright.sync_api import sync_playwright

SIZE = (640, 480)
FRAMES = 48
SETTLING_SECONDS = 3
NEEDED = 15


def main() -> None:
    """Measures, prints, and ends with 1 where it is too slow."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder, served(Path(folder), options.data) as address:
        clip = Path(folder) / "camera.y4m"
        write_camera_clip(clip, options.data / "faces" / "single_face.mp4")
        rate, people = measured(address, clip, options.seconds)
    print(f"{rate:.1f} readings per second over {options.seconds:.0f} s, {people} person at the end ({NEEDED} needed)")
    sys.exit(rate < NEEDED)


def parse_options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    data = Path(os.environ.get("FER_TEST_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=data, help="folder with faces/ and the YuNet file")
    parser.add_argument("--seconds", type=float, default=15, help="how long is measured")
    return parser.parse_args()


@contextmanager
def served(folder: Path, data: Path) -> Iterator[str]:
    """Yields the address of a server in a process of its own."""
    command = [sys.executable, "-m", "fer_core.web", "--port", "0", "--models-dir", str(folder / "models")]
    environment = os.environ | {"FER_YUNET": str(data / "face_detection_yunet_2026may.onnx")}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield next(line.split()[2] for line in process.stderr if line.startswith("Serving on "))
    finally:
        process.kill()
        process.communicate()


def write_camera_clip(clip: Path, video: Path) -> None:
    """Writes the beginning of a video as Chromium's fake camera reads it."""
    source = cv2.VideoCapture(str(video))
    with clip.open("wb") as file:
        file.write(f"YUV4MPEG2 W{SIZE[0]} H{SIZE[1]} F30:1 Ip A1:1 C420jpeg\n".encode())
        for _ in range(FRAMES):
            frame_bgr = cv2.resize(source.read()[1], SIZE, interpolation=cv2.INTER_AREA)
            file.write(b"FRAME\n" + cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2YUV_I420).tobytes())


def measured(address: str, clip: Path, seconds: float) -> tuple[float, int]:
    """Returns readings per second, and how many people are shown at the end."""
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={clip}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", *camera])
        page = browser.new_page(viewport={"width": 1280, "height": 900}, permissions=["camera"])
        answers = []
        page.on("response", lambda answer: answers.append(answer) if "/api/v1/live" in answer.url else None)
        page.goto(f"{address}/live")
        page.get_by_role("button", name="I agree, start the camera").click()
        page.wait_for_timeout(1000 * SETTLING_SECONDS)
        answers.clear()
        began = time.perf_counter()
        page.wait_for_timeout(1000 * seconds)
        rate = sum(answer.ok for answer in answers) / (time.perf_counter() - began)
        people = page.locator("#people li").count()
        browser.close()
    return rate, people


if __name__ == "__main__":
    main()
