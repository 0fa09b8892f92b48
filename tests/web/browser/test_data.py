"""The page of a data set in a real browser, on drawn faces: found, looked at, relabelled with the keyboard; and a
confusion matrix that is clicked."""

import itertools
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from fer_core.data.sample import draw_face
from tests.photographs import written
from tests.web.conftest import folder_contents

OWN_SERVER = True
PER_CLASS = 65


@pytest.fixture(scope="module", autouse=True)
def run(site, trained_run):
    """A run of drawn faces, with its answers."""
    shutil.copytree(trained_run.folder, site.paths.models / "runs" / trained_run.id)
    return trained_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Two classes, of more faces than a page shows."""
    faces = itertools.product(("happy", "sad"), range(PER_CLASS))
    drawn = {f"{label}/{number}.png": draw_face(label, np.random.default_rng(number)) for label, number in faces}
    return written(tmp_path_factory.mktemp("data") / "drawn", drawn)


def test_drawn_faces_are_opened_looked_at_and_one_is_relabelled_with_the_keyboard(page, site, folder):
    page.goto("/data")
    page.get_by_label("Folder or file on this server").fill(str(folder))
    page.get_by_label("Folder or file on this server").press("Enter")
    expect(page.get_by_role("heading", name="What the audit found")).to_be_visible()
    expect(page.locator(".counts")).to_contain_text(str(2 * PER_CLASS))
    page.get_by_label("Class", exact=True).select_option("happy")
    expect(page.locator(".card-head", has_text="Images")).to_contain_text(str(PER_CLASS))
    expect(page.locator(".thumbs > li")).to_have_count(60)
    assert page.locator(".thumb image").first.evaluate("one => one.getBoundingClientRect().width > 48")
    bar = page.locator(".relabel")
    expect(bar).to_have_css("position", "static")
    box = page.get_by_role("checkbox").first
    box.press(" ")
    expect(bar).to_contain_text("1 ticked")
    expect(bar).to_have_css("position", "sticky")
    page.get_by_label("It is", exact=True).select_option("sad")
    page.get_by_role("button", name="Keep for retraining").press("Enter")
    expect(page.get_by_text("1 waits in the inbox for the next retraining.")).to_be_visible()
    expect(page.locator(".thumbs .badge")).to_have_text("sad")
    (kept,) = folder_contents(site.paths.inbox)
    assert kept.parent.name == "sad"
    page.get_by_role("link", name="1 Relabelled, waiting").click()
    expect(page.locator(".thumbs > li")).to_have_count(1)


def test_the_pages_of_images_follow_each_other_and_pictures_come_in_one_request(page):
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "sheet.png" in request.url else None)
    page.goto("/data")
    page.get_by_role("link", name="drawn").first.click()
    expect(page.locator(".thumbs > li")).to_have_count(60)
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".pager")).to_contain_text("61 to 120 of")
    page.wait_for_load_state("networkidle")
    assert len(asked) == 2


def test_a_click_on_a_cell_of_the_confusion_matrix_shows_its_images(page, run):
    page.goto(f"/runs/{run.id}")
    cell = page.locator(".confusion td a").first
    count = int(cell.inner_text())
    cell.click()
    expect(page.get_by_text(f"{count} test image")).to_be_visible()
    expect(page.locator(".thumbs > li")).to_have_count(min(count, 60))
    shares = [float(text.rstrip("%")) for text in page.locator(".thumb-label strong").all_inner_texts()]
    assert shares == sorted(shares, reverse=True)
    page.get_by_label("Read as", exact=True).select_option("happy")
    expect(page).to_have_url(re.compile("predicted=happy"))
