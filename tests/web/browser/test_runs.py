"""Runs in a real browser: the list, one that is being trained, one that has ended, and several side by side."""

import re

import pytest
from playwright.sync_api import expect

from fer_core.emotions import FER2013_LABELS
from fer_core.store.shipped import shipped_models
from tests.jobs.parts import make_run, write_epochs
from tests.shipped import EPOCHS, SCORES, VALIDATION_ACCURACY
from tests.web.conftest import finished_run

HAPPY = FER2013_LABELS.index("happy")
FIRST, SECOND = "20260101-120000-compact-aaaa", "20260102-120000-compact-bbbb"


@pytest.fixture(scope="module", autouse=True)
def two_runs(site):
    first = finished_run(site.places, FIRST)
    finished_run(site.places, SECOND, config=first.manifest.config.model_dump(mode="json") | {"learning_rate": 0.001})
    site.places.history.mkdir(parents=True, exist_ok=True)
    rows = [f"{epoch},{2 / epoch},{epoch / 10},{2.2 / epoch},{epoch / 12}" for epoch in range(1, 6)]
    text = "\n".join(["epoch,loss,accuracy,val_loss,val_accuracy", *rows])
    (site.places.history / "training_history_20240310_101500.csv").write_text(text + "\n")


def test_the_list_is_sorted_by_a_click_and_filtered_by_what_is_typed(page):
    page.goto("/runs")
    accuracy = page.get_by_role("columnheader", name="Accuracy")
    accuracy.get_by_role("button").click()
    expect(accuracy).to_have_attribute("aria-sort", "descending")
    shares = page.locator("#runs tbody td[data-cell=accuracy]").evaluate_all(
        "all => all.map(one => +one.dataset.value)"
    )
    assert shares == sorted(shares, reverse=True)
    page.get_by_label("Search").fill("bbbb")
    expect(page.locator("#runs tbody tr:visible")).to_have_count(1)
    expect(page.locator("#found")).to_have_text(f"1 of {len(shipped_models()) + 3}")


def test_two_runs_and_a_history_are_compared(page):
    page.goto("/runs")
    for name in (FIRST, SECOND, "training_history_20240310_101500.csv"):
        page.get_by_label(f"Compare {name}").check()
    page.get_by_role("button", name="Compare 3").click()
    expect(page.get_by_role("heading", name="Compare 3 runs")).to_be_visible()
    differing = page.get_by_role("region", name="Settings that differ").get_by_role("row")
    expect(differing).to_have_count(2)
    expect(differing.nth(1)).to_contain_text("learning rate")
    for title in ("Loss", "Accuracy", "Macro F1", "Learning rate"):
        expect(page.get_by_role("img", name=re.compile(f"^{title}: "))).to_be_visible()
    expect(page.get_by_role("table", name="happy")).to_contain_text(f"{SCORES['per_class']['happy']['f1']:.1%}")


def test_a_chart_is_read_with_the_keyboard_and_as_a_table(page):
    page.goto("/runs/shipped-best")
    chart = page.locator(".chart").filter(has_text="Accuracy").first
    chart.locator("svg[tabindex]").press("End")
    expect(chart.locator(".readout")).to_contain_text(f"epoch {EPOCHS}")
    expect(chart.locator(".readout")).to_contain_text(f"validation: {VALIDATION_ACCURACY:.0%}")
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("row")).to_have_count(EPOCHS + 1)
    chart.get_by_role("button", name="training").click()
    expect(chart.locator("path.series")).to_have_count(1)


def test_a_run_shows_its_figures_and_gives_its_files(page):
    page.goto(f"/runs/{FIRST}")
    low, high = SCORES["accuracy_interval"]
    expect(page.get_by_text(f"95%: {low:.1%} to {high:.1%}")).to_be_visible()
    expect(page.get_by_role("cell", name=str(SCORES["confusion"][HAPPY][HAPPY]))).to_be_visible()
    with page.expect_download() as saving:
        page.get_by_role("link", name="model.tflite").click()
    assert saving.value.suggested_filename == f"{FIRST}_model.tflite"


def test_the_curves_of_a_training_grow_and_its_end_is_shown(page, site):
    run = make_run(site.places)
    write_epochs(run, 2)
    page.goto("/runs")
    card = page.get_by_role("article").filter(has_text=run.id)
    expect(card).to_contain_text("epoch 2 of 5")
    page.goto(f"/runs/{run.id}")
    line = page.get_by_role("img", name=re.compile("^Accuracy: "))
    expect(line).to_have_attribute("aria-label", re.compile("epoch 1 to 2"))
    write_epochs(run, 4)
    expect(line).to_have_attribute("aria-label", re.compile("epoch 1 to 4"))
    expect(page.locator("#progress-words")).to_contain_text("Epoch 4 of 5")
    run.update_state(status="SUCCEEDED", epoch=5)
    expect(page.locator("#progress")).to_have_count(0)
    expect(page.locator("#status")).to_have_text("succeeded")


def test_a_run_is_promoted_and_the_model_before_it_comes_back(page):
    page.goto("/model")
    page.get_by_role("button", name=f"Promote {FIRST}").click()
    expect(page.get_by_role("status").first).to_contain_text(FIRST)
    page.get_by_role("button", name=f"Promote {SECOND}").click()
    expect(page.get_by_role("contentinfo")).to_contain_text(SECOND)
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text(f"Run {FIRST} is the model in use again.")).to_be_visible()
    expect(page.get_by_role("contentinfo")).to_contain_text(FIRST)
