"""No page has a serious accessibility problem, in light and in dark, and none is wider than its window."""

import itertools
import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from fer_core.emotions import FER2013_LABELS
from fer_core.store.artifacts import save_labels
from tests.conftest import paths_in
from tests.jobs.parts import end_job, make_job, make_run, make_search, write_epochs
from tests.web.browser.conftest import watched, web_server
from tests.web.conftest import finished_run

RUN, JOB = "20260101-120000-compact-aaaa", "train-20260131-120000-aaaa"
SERIOUS = ("serious", "critical")
THEMES = ("light", "dark")
WINDOW = {"width": 1280, "height": 900}
TAGS = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def addresses(site) -> dict[str, str]:
    """Every page, each with something to show."""
    finished_run(site.paths, RUN)
    running = make_run(site.paths)
    write_epochs(running, 3)
    make_job(site.paths, job_id=JOB)
    end_job(make_job(site.paths, job_id="train-20260131-120000-bbbb"), "FAILED", "The disk is full.")
    search = make_search(site.paths, [0.2, 0.5, 0.4, None], status="RUNNING")
    site.paths.history.mkdir(parents=True, exist_ok=True)
    (site.paths.history / "training_history_20240310_101500.csv").write_text(
        "epoch,loss,accuracy\n1,2.0,0.2\n2,1.5,0.4\n"
    )
    return {
        "upload": "/",
        "live": "/live",
        "runs": "/runs",
        "run": f"/runs/{RUN}",
        "running": f"/runs/{running.id}",
        "compare": f"/compare?run={RUN}&run=shipped-best",
        "history": "/histories/training_history_20240310_101500.csv",
        "jobs": "/jobs",
        "job": f"/jobs/{JOB}",
        "tune": "/jobs/new/tune",
        "train": "/jobs/new/train",
        "search": f"/searches/{search.id}",
        "model": "/model",
        "promote": f"/model/promote?run={RUN}",
        "cancel": f"/jobs/{JOB}/cancel",
        "kept": "/corrections",
        "missing": "/nowhere",
    }


def test_every_page_can_be_used_by_everybody_and_fits_into_every_window(browser, site, addresses):
    context = browser.new_context(base_url=site.url, viewport=WINDOW)
    page = context.new_page()
    found, wide = {}, {}
    with watched(page):
        for name, address in addresses.items():
            page.goto(address)
            found |= serious_problems(page, name)
            wide |= wider_than_its_window(page, name)
    context.close()
    assert not found
    assert not wide


def test_results_a_correction_and_the_camera_can_be_used_by_everybody(browser, site, test_data):
    context = browser.new_context(base_url=site.url, permissions=["camera"])
    page = context.new_page()
    with watched(page):
        page.goto("/")
        page.set_input_files(
            "#image", [str(test_data / "faces" / name) for name in ("photo_happy.jpg", "mountain.jpg")]
        )
        page.get_by_role("button", name="Read the faces").click()
        page.get_by_role("button", name="Heat map").click()
        page.get_by_text("This is wrong").click()
        found = serious_problems(page, "results")
        page.get_by_label("It is …").select_option("sad")
        page.get_by_role("button", name="Keep for retraining").click()
        expect(page.get_by_text("Kept as “sad”.")).to_be_visible()
        found |= serious_problems(page, "corrected")
        page.goto("/corrections")
        found |= serious_problems(page, "kept")
        page.goto("/live")
        page.get_by_role("button", name="I agree, start the camera").click()
        expect(page.locator("#people h3")).to_be_visible()
        found |= serious_problems(page, "live, running")
    context.close()
    assert not found


def test_long_names_of_classes_and_runs_fit_into_every_window(browser, test_data, tmp_path):
    paths = paths_in(tmp_path)
    long = [f"{'an_emotion_with_a_name_of_seventy_characters_' * 2}"[:68] + f"_{number}" for number in range(7)]
    run_id = f"20260105-120000-{'recipe_with_a_long_name_' * 3}"[:70] + "-eeee"
    run = finished_run(paths, run_id, recipe="recipe_with_a_long_name_" * 3, labels=long)
    renamed = dict(zip(FER2013_LABELS, long, strict=True))
    evaluation = json.loads(run.evaluation_json.read_text())
    evaluation["per_class"] = {renamed[label]: scores for label, scores in evaluation["per_class"].items()}
    run.evaluation_json.write_text(json.dumps(evaluation))
    save_labels(run.labels_json, long)
    end_job(make_job(paths, job_id=f"train-20260131-120000-{'x' * 50}"), "FAILED", "n" * 70)
    with web_server(paths, test_data, model=run_id) as site:
        context = browser.new_context(base_url=site.url, permissions=["camera"])
        page = context.new_page()
        wide = {}
        of_runs = ("/runs", f"/runs/{run_id}", f"/compare?run={run_id}&run=shipped-best")
        for address in (*of_runs, "/model", "/jobs", f"/model/promote?run={run_id}"):
            page.goto(address)
            wide |= wider_than_its_window(page, address, 390)
        page.goto("/")
        page.set_input_files("#image", str(test_data / "faces" / "photo_happy.jpg"))
        page.get_by_role("button", name="Read the faces").click()
        page.get_by_text("This is wrong").click()
        wide |= wider_than_its_window(page, "results", 390)
        page.goto("/live")
        page.get_by_role("button", name="I agree, start the camera").click()
        expect(page.locator("#people h3")).to_be_visible()
        wide |= wider_than_its_window(page, "live", 390)
        context.close()
    assert not wide


def test_buttons_can_be_read_while_they_are_pointed_at(browser, site):
    context = browser.new_context(base_url=site.url, reduced_motion="reduce")
    page = context.new_page()
    page.goto("/")
    for theme, name in itertools.product(THEMES, ("Choose pictures", "Take one")):
        page.emulate_media(color_scheme=theme)
        button = page.get_by_role("button", name=name)
        button.hover()
        colours = button.evaluate("one => [getComputedStyle(one).color, getComputedStyle(one).backgroundColor]")
        assert contrast(*colours) >= 4.5, (theme, name, colours)
    context.close()


def contrast(first: str, second: str) -> float:
    """Returns the contrast of two colours as the Web Content Accessibility Guidelines define it."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_light_and_dark_are_chosen_by_the_system_or_by_a_button_that_is_remembered(browser, site):
    context = browser.new_context(base_url=site.url, color_scheme="dark")
    page = context.new_page()
    page.goto("/runs")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Show the pages in light colours").press("Enter")
    page.goto("/model")
    expect(page.get_by_role("button", name="Show the pages in dark colours")).to_be_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark
    context.close()


def test_the_first_tab_leads_to_the_content(browser, site):
    page = browser.new_page()
    page.goto(site.url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.close()


def serious_problems(page, name: str) -> dict[str, list[str]]:
    """Returns what axe finds on a page in light and in dark, each with the elements; nothing where all is well."""
    found = {}
    for theme in THEMES:
        page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # colours change at once
        for problem in Axe().run(page, options=TAGS | {"resultTypes": ["violations"]}).response["violations"]:
            if problem["impact"] in SERIOUS:
                elements = [node["html"][:160] for node in problem["nodes"][:5]]
                found[f"{name}, {theme}: {problem['help']}"] = elements
    return found


def wider_than_its_window(page, name: str, narrowest: int = 360) -> dict[str, int]:
    """Returns the windows that are too narrow for a page, each with the width that it needs."""
    wide = {}
    for width in (narrowest, 768, 1000, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 740})
        needed = page.evaluate("document.documentElement.scrollWidth")
        wide |= {f"{name} at {width}": needed} if needed > width else {}
    page.set_viewport_size(WINDOW)
    return wide
