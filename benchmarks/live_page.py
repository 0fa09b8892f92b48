"""Readings per second of the live page, server and browser on this machine: `python -m benchmarks.live_page`.

Debian's Chromium shows a clip as its camera, 640 x 480 at 30 frames a second, and the page does all that it does for
people: JPEG, request, boxes and bars over the frame, timeline. Needs Chromium and playwright.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.sides import TEST_DATA
from tests.conftest import paths_in
from tests.web.browser.conftest import web_server, write_camera_clip

SETTLING_SECONDS = 3
NEEDED = 15


def main() -> None:
    """Measures, prints, and ends with 1 where it is too slow."""
    options = parse_options()
    with tempfile.TemporaryDirectory() as folder, web_server(paths_in(Path(folder)), options.data) as site:
        clip = Path(folder) / "camera.y4m"
        write_camera_clip(clip, options.data / "faces" / "single_face.mp4")
        rate, people = measured(site.url, clip, options.seconds)
    print(f"{rate:.1f} readings per second over {options.seconds:.0f} s, {people} person at the end ({NEEDED} needed)")
    sys.exit(rate < NEEDED)


def parse_options() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=TEST_DATA, help="folder with faces/ and the YuNet file")
    parser.add_argument("--seconds", type=float, default=15, help="how long is measured")
    return parser.parse_args()


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
