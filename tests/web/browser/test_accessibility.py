"""No page has a serious accessibility problem, in light and in dark, and none is wider than its window."""

import itertools
import json
import re
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from fer_core.labels import FER2013_LABELS
from fer_core.store.artifacts import save_labels
from fer_core.store.promotion import promote
from fer_core.store.run import save_notes
from tests.jobs.conftest import wait_until
from tests.jobs.parts import end_job, make_job, make_run, make_search, write_epochs
from tests.photographs import save_photographs
from tests.web.browser.conftest import DESKTOP
from tests.web.conftest import finished_run

OWN_SERVER = True
LONG_RECIPE = "recipe_with_a_long_name_" * 3
LONG_LABELS = [f"{'an_emotion_with_a_name_of_seventy_characters_' * 2}"[:68] + f"_{number}" for number in range(7)]
RUN, OTHER = f"20260105-120000-{LONG_RECIPE}"[:70] + "-eeee", "20260101-120000-tiny-aaaa"
JOB, FAILED = "train-20260131-120000-aaaa", f"train-20260131-120000-{'x' * 50}"
CSV = "training_history_20240310_101500.csv"
THEMES = ("light", "dark")
MOST_SHIFT = 0.1
"""What web.dev calls good."""
WATCH_SHIFTS = """
    window.shift = 0;
    new PerformanceObserver((list) => {
      for (const one of list.getEntries()) if (!one.hadRecentInput) window.shift += one.value;
    }).observe({ type: "layout-shift", buffered: true });
"""
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
AXE = Axe().axe_script


def make_long_run(paths) -> None:
    """Has a run in use whose every name is long."""
    run = finished_run(paths, RUN, recipe=LONG_RECIPE, labels=LONG_LABELS)
    renamed = dict(zip(FER2013_LABELS, LONG_LABELS, strict=True))
    evaluation = json.loads(run.evaluation_json.read_text())
    evaluation["per_class"] = {renamed[label]: scores for label, scores in evaluation["per_class"].items()}
    run.evaluation_json.write_text(json.dumps(evaluation))
    lines = run.metrics_jsonl.read_text().splitlines(keepends=True)
    run.metrics_jsonl.write_text("".join(line for line in lines if json.loads(line).get("epoch", 0) <= 5))
    save_labels(run.labels_json, LONG_LABELS)
    save_notes(run, name="n" * 70, tags=["t" * 40, "u" * 40], notes="o" * 70, archived=False)
    promote(paths, run)


@pytest.fixture(scope="module")
def addresses(site, trained_run, tmp_path_factory) -> list[str]:
    """Every page, each with something to show; classes, runs and jobs have the longest names that there may be."""
    scored = trained_run.id
    shutil.copytree(trained_run.folder, site.paths.models / "runs" / scored)
    finished_run(site.paths, OTHER, of="tiny")
    make_long_run(site.paths)
    site.service.pool.look()
    photographs = save_photographs(tmp_path_factory.mktemp("faces"), per_class=6)
    data = site.change("/api/v1/data", {"data": str(photographs)}).json()["id"]
    cell = f"/runs/{scored}/images?truth=happy&predicted=happy"
    without_images = f"/runs/{RUN}/images?truth={LONG_LABELS[3]}&predicted={LONG_LABELS[5]}"
    for address in (f"/data/{data}", cell, without_images):  # else their pages would load anew meanwhile
        wait_until(lambda address=address: not site.get(f"/api/v1{address}").json().get("progress"))
    running = make_run(site.paths)
    write_epochs(running, 3)
    make_job(site.paths, job_id=JOB)
    end_job(make_job(site.paths, job_id=FAILED), "FAILED", "n" * 70)
    search = make_search(site.paths, [0.2, 0.5, 0.4, 0.1, 0.3, 0.6, 0.5, 0.4, None], status="RUNNING")
    study = make_job(site.paths, "read", source=str(site.paths.models))
    (study.folder / "study.json").write_text(json.dumps({"source": "x", "settings": {}}))
    for name in ("report.html", "files.csv"):
        (study.folder / name).write_text("")
    end_job(study)
    site.paths.history.mkdir(parents=True, exist_ok=True)
    (site.paths.history / CSV).write_text("epoch,loss,accuracy\n1,2.0,0.2\n2,1.5,0.4\n")
    return [
        *("/", "/live", "/runs", f"/runs/{RUN}", f"/runs/{running.id}", f"/compare?run={RUN}&run={running.id}"),
        *(f"/histories/{CSV}", "/jobs", f"/jobs/{JOB}", "/jobs/new/tune", f"/jobs/new/train?like={RUN}"),
        *(f"/searches/{search.id}", "/jobs/new/read", f"/jobs/{study.id}", f"/jobs/{JOB}/cancel", "/model"),
        *(f"/model/promote?run={OTHER}", "/corrections", "/data", f"/data/{data}", cell, without_images, "/nowhere"),
    ]


def test_every_page_can_be_used_by_everybody_and_fits_into_every_window(page, addresses):
    found, wide, moved = {}, {}, {}
    page.add_init_script(WATCH_SHIFTS)
    for address in addresses:
        page.goto(address)
        found |= serious_problems(page, address)
        shift = page.evaluate("shift")
        moved |= {address: round(shift, 3)} if shift >= MOST_SHIFT else {}
        wide |= wider_than_its_window(page, address)
    assert not found
    assert not wide
    assert not moved


def test_results_a_correction_and_the_camera_can_be_used_by_everybody(page, context, addresses, test_data):
    context.grant_permissions(["camera"])
    page.goto("/")
    pictures = [test_data / "faces" / name for name in ("photo_happy.jpg", "mountain.jpg")]
    page.set_input_files("#image", pictures)
    page.get_by_role("button", name="Read the faces").click()
    page.get_by_text("This is wrong").click()
    page.get_by_role("button", name="Heat map").click()
    found, wide = serious_problems(page, "results"), wider_than_its_window(page, "results", 390)
    page.get_by_label("It is …").select_option(LONG_LABELS[5])
    page.get_by_role("button", name="Keep for retraining").click()
    expect(page.get_by_text(f"Kept as “{LONG_LABELS[5]}”.")).to_be_visible()
    found |= serious_problems(page, "corrected")
    page.goto("/corrections")
    found |= serious_problems(page, "kept")
    page.goto("/live")
    page.get_by_role("button", name="I agree, start the camera").click()
    expect(page.locator("#people h3")).to_be_visible()
    found |= serious_problems(page, "live, running")
    wide |= wider_than_its_window(page, "live", 390)
    assert not found
    assert not wide


def test_the_first_tab_leads_to_the_content_and_buttons_can_be_read_while_they_are_pointed_at(page):
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    for theme, name in itertools.product(THEMES, ("Choose files", "Take one")):
        page.emulate_media(color_scheme=theme)
        button = page.get_by_role("button", name=name)
        button.hover()
        colours = button.evaluate("one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]")
        dark, light = sorted(map(luminance, colours))
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (theme, name, colours)


def luminance(colour: str) -> float:
    """Returns the relative luminance of a colour as the Web Content Accessibility Guidelines define it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_light_and_dark_are_chosen_by_the_system_or_by_a_button_that_is_remembered(page):
    page.emulate_media(color_scheme="dark")
    page.goto("/corrections")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Show the pages in light colours").press("Enter")
    page.goto("/nowhere")
    expect(page.get_by_role("button", name="Show the pages in dark colours")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def serious_problems(page: Page, name: str) -> dict[str, list[str]]:
    """Returns what axe finds on a page in light and in dark, each with the elements; nothing where all is well."""
    found = {}
    page.evaluate(AXE)
    colours_alone = {"type": "rule", "values": ["color-contrast"]}  # all else is the same in the dark
    for theme, rules in zip(THEMES, (TAGS, colours_alone), strict=True):
        page.emulate_media(color_scheme=theme)
        options = {"runOnly": rules, "resultTypes": ["violations"], "preload": False}
        for problem in page.evaluate("async (options) => (await axe.run(options)).violations", options):
            if problem["impact"] in ("serious", "critical"):
                elements = [node["html"][:160] for node in problem["nodes"][:5]]
                found[f"{name}, {theme}: {problem['help']}"] = elements
    return found


def wider_than_its_window(page: Page, name: str, narrowest: int = 360) -> dict[str, int]:
    """Returns the windows that are too narrow for a page, each with the width that it needs."""
    wide = {}
    for width in (narrowest, 768, 1000, 1920, DESKTOP["width"]):
        page.set_viewport_size(DESKTOP | {"width": width})
        needed = page.evaluate("document.documentElement.scrollWidth")
        wide |= {f"{name} at {width}": needed} if needed > width else {}
    return wide
