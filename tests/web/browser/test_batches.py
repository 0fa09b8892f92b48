"""Videos and many pictures in a real browser: sent over a broken line, read, looked at along the timeline, saved."""

import re

import av
import cv2
import pandas
import pytest
from playwright.sync_api import expect

from tests.conftest import paths_in
from tests.jobs.conftest import wait_until
from tests.photographs import photograph
from tests.study.test_study import save_video
from tests.web.browser.test_accessibility import MOST_SHIFT, WATCH_SHIFTS, serious_problems, wider_than_its_window
from tests.web.conftest import served

PICTURES = 26
"""More than are shown before they are sent."""
READ_MS = 240_000
LONG = f"{'a_video_whose_name_has_seventy_characters_' * 2}"[:70]


@pytest.fixture(scope="module")
def site(web_settings, tmp_path_factory):
    with served(web_settings, paths_in(tmp_path_factory.mktemp("web")), model="tiny") as site:
        yield site


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Many pictures and a video that browsers play; a film in MPEG-4 Part 2, which they do not."""
    folder = tmp_path_factory.mktemp("recordings")
    save_video(folder / f"{LONG}.mp4", 3)
    with av.open(str(folder / "old.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 400, 300, "yuv420p"
        picture = cv2.cvtColor(photograph(0, (120, 60)), cv2.COLOR_GRAY2RGB)
        for _ in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    for number in range(PICTURES):
        cv2.imwrite(str(folder / f"{number}.jpg"), photograph(number, (120, 60 + number % 40)))
    return folder


def test_many_pictures_and_two_videos_are_sent_read_watched_saved_and_deleted(page, folder, site):
    broken = []

    def break_once(route) -> None:
        if len(broken) < 2 and "/7?" in route.request.url:
            broken.append(route.abort())
        elif len(broken) == 2 and route.request.url.endswith("/start"):
            route.fetch()  # it arrives, and its answer does not
            broken.append(route.abort())
        else:
            route.continue_()

    page.route("**/api/v1/uploads/*/*", break_once)
    files = sorted(folder.iterdir())
    page.add_init_script(WATCH_SHIFTS)
    page.goto("/")
    page.set_input_files("#image", [str(file) for file in files])
    expect(page.get_by_text(f"{PICTURES + 2} files are ready to be read, into a table.")).to_be_visible()
    expect(page.locator("#previews img")).to_have_count(
        24 - sum(file.suffix in (".avi", ".mp4") for file in files[:24])
    )
    page.get_by_role("button", name="Read the faces").click()
    page.wait_for_url("**/uploads/*", timeout=READ_MS)
    assert len(broken) == 3
    expect(page.get_by_role("heading", name="Results")).to_be_visible(timeout=READ_MS)
    expect(page.get_by_role("heading", name="2 videos")).to_be_visible()

    page.get_by_role("link", name=f"{LONG}.mp4").click()
    timeline = page.get_by_role("slider")
    expect(page.locator("#moment-words")).to_contain_text("person 1")
    box = timeline.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    wait_until(lambda: page.evaluate("Math.abs(player.currentTime - 1.5) < 0.2"))
    expect(page.locator("#moment")).to_have_text(re.compile("0:0[12]"))
    marked = page.locator("#lane-now").bounding_box()
    assert abs(marked["x"] - box["x"] - box["width"] / 2) < box["width"] / 10
    timeline.press("ArrowRight")
    wait_until(lambda: page.evaluate("Math.abs(player.currentTime - 2.5) < 0.2"))
    timeline.press("Home")
    wait_until(lambda: page.evaluate("player.currentTime === 0"))
    expect(timeline).to_have_attribute("aria-valuetext", re.compile("0:00, person 1: "))
    assert page.evaluate("shift") < MOST_SHIFT
    assert not wider_than_its_window(page, "result")
    assert not serious_problems(page, "result")

    page.get_by_role("button", name="Confidence").click()
    confident = [float(one.get_attribute("data-value")) for one in page.locator("table td[data-value]").all()[8:40]]
    assert confident == sorted(confident, reverse=True)
    with page.expect_download() as saved:
        page.get_by_role("link", name="CSV").click()
    table = pandas.read_csv(saved.value.path())
    assert len(table[table["file"].str.endswith(".jpg")]) == PICTURES

    page.get_by_role("link", name="old.avi").click()
    expect(page.get_by_text("This is the annotated version")).to_be_visible(timeout=READ_MS)
    wait_until(lambda: page.evaluate("player.readyState > 0 && player.videoWidth === 400"))
    expect(page.get_by_role("link", name="Annotated video")).to_be_visible()

    other = page.context.new_page()
    other.goto(page.url)
    other.get_by_role("button", name="Delete it all now").click()
    expect(other.get_by_text("The upload and its result are deleted.")).to_be_visible()
    page.reload()
    expect(page.get_by_text("There is no such upload, or it is deleted already.")).to_be_visible()
    assert not list((site.paths.models / "uploads").iterdir())


def test_a_refusal_that_is_not_the_server_s_own_is_said_and_not_tried_again(page, folder):
    page.route("**/api/v1/uploads/*/0?*", lambda route: route.fulfill(status=413, body="<h1>Too large</h1>"))
    page.goto("/")
    page.set_input_files("#image", [str(folder / "old.avi")])
    page.get_by_role("button", name="Read the faces").click()
    expect(page.get_by_text("The answer was 413. A proxy in front of the server may have given it.")).to_be_visible()
    page.evaluate("fetch(`/api/v1/uploads/${JSON.parse(sessionStorage.upload).upload}`, {method: 'DELETE'})")


def test_sending_is_cancelled_and_what_was_sent_is_gone(page, folder, site):
    waiting = []
    page.route("**/api/v1/uploads/*/*", lambda route: waiting.append(route))
    page.goto("/")
    page.set_input_files("#image", [str(folder / "old.avi")])
    page.get_by_role("button", name="Read the faces").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("Cancelled: what was sent is deleted.")).to_be_visible()
    wait_until(lambda: not list((site.paths.models / "uploads").iterdir()))
    expect(page.get_by_role("button", name="Read the faces")).to_be_enabled()
