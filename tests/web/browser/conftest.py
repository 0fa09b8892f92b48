"""Debian's Chromium, driven by Playwright, with a camera that plays a clip; files' tests share a page and a server."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, expect, sync_playwright

from fer_core.web import assets
from tests.conftest import paths_in
from tests.web.conftest import Site, served

PATIENCE_MS = 15_000
DESKTOP = {"width": 1280, "height": 900}
_CAMERA_FRAMES = 24
_CAMERA_SIZE = (640, 480)


@pytest.fixture(scope="session")
def shared_site(web_settings, tmp_path_factory) -> Iterator[Site]:
    with served(web_settings, paths_in(tmp_path_factory.mktemp("web")), readers=2) as site:
        yield site


@pytest.fixture(scope="module")
def site(request, web_settings, tmp_path_factory) -> Iterator[Site]:
    """A server with the project's own model: of all files, or of one alone that leaves something behind."""
    if not getattr(request.module, "OWN_SERVER", False):
        yield request.getfixturevalue("shared_site")
        return
    with served(web_settings, paths_in(tmp_path_factory.mktemp("web")), readers=2) as site:
        yield site


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program. Where it is not installed the tests are skipped, and say what to install."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("NOT TESTED in a browser: apt-get install chromium brings one.")
    return found


@pytest.fixture(scope="session")
def browser(playwright, chromium, test_data, tmp_path_factory) -> Iterator[Browser]:
    """A browser whose camera shows a face, once a page may see it."""
    clip = tmp_path_factory.mktemp("camera") / "face.y4m"
    write_camera_clip(clip, test_data / "faces" / "single_face.mp4")
    camera = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={clip}"]
    browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *camera])
    yield browser
    browser.close()


@contextlib.contextmanager
def visitor(browser: Browser, site: Site, *, reads_on: str = "server", **options) -> Iterator[BrowserContext]:
    """Yields a visitor of `site` without cookies, in English, on a desktop, who has "server" or "device" read."""
    options = {"viewport": DESKTOP, "reduced_motion": "reduce"} | options
    context = browser.new_context(base_url=site.url, **options)
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(f"if (origin !== 'null') localStorage.setItem('read-on', '{reads_on}')")
    yield context
    context.close()


@pytest.fixture(scope="module")
def reads_on() -> str:
    """Where the visitor of a file's tests has faces read."""
    return "server"


@pytest.fixture(scope="module")
def only_visitor(browser, site, reads_on) -> Iterator[BrowserContext]:
    with visitor(browser, site, reads_on=reads_on) as context:
        yield context


@pytest.fixture
def context(only_visitor) -> Iterator[BrowserContext]:
    """A visitor who has no cookies, no permissions and nothing stored: a new one would take a third of a second."""
    yield only_visitor
    only_visitor.clear_cookies()
    only_visitor.clear_permissions()


@pytest.fixture(scope="session")
def runtime() -> None:
    """What browsers run models with. Where it was not fetched the tests are skipped, and say how."""
    if not assets.are_there():
        pytest.skip(f"NOT TESTED on the device: `{assets.COMMAND}` fetches what browsers run models with.")


@pytest.fixture(scope="module")
def only_page(only_visitor) -> Iterator[tuple[Page, list[str]]]:
    """The page of a file's tests, and what went wrong on it: a new page takes twice the time of another address."""
    page = only_visitor.new_page()
    yield page, noted_problems(page)
    page.close()


@pytest.fixture
def page(context, only_page) -> Iterator[Page]:
    """A page without anything stored, answers of its own, or another size; fails if something went wrong on it."""
    page, problems = only_page
    yield page
    with contextlib.suppress(Error):  # it may have no address of the server's
        page.evaluate("localStorage.clear(); sessionStorage.clear()")
    page.unroute_all(behavior="ignoreErrors")
    page.goto("about:blank")
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    found = problems[:]
    problems.clear()
    assert not found


@contextlib.contextmanager
def watched(context: BrowserContext) -> Iterator[Page]:
    """Yields a page of its own; fails if something went wrong on it."""
    page = context.new_page()
    problems = noted_problems(page)
    yield page
    page.close()
    assert not problems


def noted_problems(page: Page) -> list[str]:
    """Returns a list to which is added which of a page's scripts fail, and what the Content-Security-Policy forbids."""
    problems = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    return problems


def go_back(page: Page) -> None:
    """Goes back once the page is there. Playwright's own way can lose the page while Chromium changes its process."""
    page.wait_for_load_state()
    page.evaluate("history.back()")


def write_camera_clip(clip: Path, video: Path) -> None:
    """Writes the first frames of a video as Chromium's fake camera reads them: YUV4MPEG2, 640 x 480, 10 a second."""
    source = cv2.VideoCapture(str(video))
    width, height = _CAMERA_SIZE
    with clip.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode())
        for _ in range(_CAMERA_FRAMES):
            is_there, frame_bgr = source.read()
            assert is_there, f"{video} is too short"
            frame_bgr = cv2.resize(frame_bgr, _CAMERA_SIZE, interpolation=cv2.INTER_AREA)
            file.write(b"FRAME\n" + cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2YUV_I420).tobytes())
    source.release()
