"""The static site: any web server serves it, it reads on the device, and works without a network after one visit."""

import contextlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from fer_core.web.__main__ import main
from tests.conftest import paths_in
from tests.web.browser.conftest import visitor, watched
from tests.web.browser.test_accessibility import serious_problems, wider_than_its_window
from tests.web.browser.test_live import AGREE, wait_for
from tests.web.conftest import Site

MOST_BYTES = 30_000_000


@pytest.fixture(scope="module")
def folder(runtime, tmp_path_factory) -> Path:
    """A site with the model `tiny`, in a folder below the server's, as on GitHub Pages."""
    folder, said = tmp_path_factory.mktemp("site"), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setenv("FER_CACHE_DIR", str(folder / "cache"))
        patch.setattr(sys, "argv", ["fer-web", "--export-site", str(folder / "faces"), "--model", "tiny"])
        main()
    assert re.search(r"The site is in .*: \d+\.\d MB\. Try it: python -m http\.server", said.getvalue())
    return folder


@pytest.fixture(scope="module")
def site(folder) -> Iterator[Site]:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    port = re.search(r"port (\d+)", process.stdout.readline())[1]
    yield Site(f"http://127.0.0.1:{port}/faces/", paths_in(folder), process=process)
    process.kill()
    process.communicate()


@pytest.fixture
def page(browser, site) -> Iterator[Page]:
    with visitor(browser, site, reads_on="device") as context, watched(context) as page:
        context.grant_permissions(["camera"])
        yield page


def test_it_is_small_and_names_no_other_address(folder):
    files = [file for file in folder.rglob("*") if file.is_file() and "cache" not in file.parts]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    for one in files:
        if one.suffix in (".html", ".webmanifest") or one.name == "sw.js":
            assert not re.search(r"https?://|=\"/", one.read_text()), one


def test_after_one_visit_both_pages_read_without_a_network(page, site, test_data):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto("index.html")
    wait_for(page, "navigator.serviceWorker.controller !== null")
    assert all(url.startswith((site.url, "blob:", "data:")) for url in asked)
    site.process.kill()
    site.process.wait()
    page.reload()
    page.get_by_role("button", name=AGREE).click()
    expect(page.get_by_role("heading", name=re.compile("Person 1: "))).to_be_visible()
    expect(page.get_by_text("Read on this device. Nothing leaves it.")).to_be_visible()
    expect(page.locator("#strips li").first).to_be_visible()
    page.get_by_role("link", name="Picture").click()
    page.locator("#image").set_input_files(test_data / "faces" / "photo_surprise.jpg")
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_role("heading", name=re.compile("surprise, "))).to_be_visible()
    assert not serious_problems(page, "picture")
    assert not wider_than_its_window(page, "picture")
