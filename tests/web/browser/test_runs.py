"""Runs in a real browser: the list, one that is being trained, one that has ended, and several side by side."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from fer_core.labels import FER2013_LABELS
from fer_core.paths import shipped_models
from fer_core.store.model_files import find_model
from tests.jobs.parts import make_run, write_epochs
from tests.shipped import EPOCHS, RECIPE, SCORES, VALIDATION_ACCURACY
from tests.web.browser.conftest import go_back
from tests.web.conftest import finished_run

OWN_SERVER = True
HAPPY = FER2013_LABELS.index("happy")
LOW, HIGH = (f"{end:.1%}" for end in SCORES["accuracy_interval"])
OF_CLASSES = re.compile("^F1 of each class, validation: ")
FIRST, SECOND = "20260101-120000-compact-aaaa", "20260102-120000-compact-bbbb"

NOTE_NOTIFICATIONS = """
const Real = Notification;
window.Notification = class extends Real {
    constructor(title, options) {
        super(title, options);
        localStorage.told = `${title}: ${options.body}`;
    }
};
"""


@pytest.fixture(scope="module", autouse=True)
def two_runs(site):
    first = finished_run(site.paths, FIRST)
    finished_run(site.paths, SECOND, config=first.manifest.config.model_dump(mode="json") | {"learning_rate": 0.001})
    site.paths.history.mkdir(parents=True, exist_ok=True)
    rows = [f"{epoch},{2 / epoch},{epoch / 10},{2.2 / epoch},{epoch / 12}" for epoch in range(1, 6)]
    text = "\n".join(["epoch,loss,accuracy,val_loss,val_accuracy", *rows])
    (site.paths.history / "training_history_20240310_101500.csv").write_text(text + "\n")


def test_the_list_is_sorted_by_a_click_and_filtered_by_what_is_typed(page):
    page.goto("/runs")
    accuracy = page.get_by_role("columnheader", name="Accuracy")
    accuracy.get_by_role("link").click()
    expect(accuracy).to_have_attribute("aria-sort", "descending")
    shares = page.locator("#runs tbody td[data-cell=accuracy] > span").all_inner_texts()
    shares = [float(share.partition("%")[0]) for share in shares]
    assert shares == sorted(shares, reverse=True)
    expect(page.locator("#found")).to_have_text(f"{len(shipped_models()) + 3} runs")
    page.get_by_label("Search").fill("bbbb")
    page.get_by_label("Search").press("Enter")
    expect(page.locator("#runs tbody tr")).to_have_count(1)
    expect(page.locator("#found")).to_have_text("1 run of your choice")
    expect(page).to_have_url(re.compile(r"/runs\?search=bbbb&sort=accuracy$"))


def test_after_back_the_list_and_its_filters_say_the_same_and_two_runs_and_a_history_are_compared(page):
    page.goto("/runs")
    page.get_by_label("Kind").select_option("train")
    expect(page).to_have_url(re.compile("kind=train"))
    for run_id in (FIRST, SECOND):
        page.get_by_label(f"Compare {run_id}").check()
    page.get_by_role("button", name="Compare 2").click()
    expect(page.get_by_role("heading", name="Compare 2 runs")).to_be_visible()
    go_back(page)
    expect(page.get_by_label("Kind")).to_have_value("train")
    expect(page.get_by_label("Search")).to_have_value("")
    expect(page.locator("#runs input:checked")).to_have_count(2)
    expect(page.locator("#compare")).to_have_text("Compare 2")
    go_back(page)
    expect(page.get_by_label("Kind")).to_have_value("")
    expect(page.locator("#compare")).to_have_text("Compare 2")
    page.get_by_label("Compare training_history_20240310_101500.csv").check()
    page.get_by_role("button", name="Compare 3").click()
    expect(page.get_by_role("heading", name="Compare 3 runs")).to_be_visible()
    differing = page.get_by_role("region", name="Settings that differ").get_by_role("row")
    expect(differing).to_have_count(2)
    expect(differing.nth(1)).to_contain_text("learning rate")
    for title in ("Loss", "Accuracy", "Macro F1", "Learning rate"):
        expect(page.get_by_role("img", name=re.compile(f"^{title}: "))).to_be_visible()
    expect(page.get_by_role("table", name="happy")).to_contain_text(f"{SCORES['per_class']['happy']['f1']:.1%}")


def test_a_run_shows_its_figures_gives_its_files_and_its_curves_can_be_looked_at_closely(page):
    page.goto(f"/runs/{FIRST}")
    expect(page.get_by_text(f"95%: {LOW} to {HIGH}")).to_be_visible()
    expect(page.get_by_role("cell", name=str(SCORES["confusion"][HAPPY][HAPPY]))).to_be_visible()
    with page.expect_download() as saving:
        page.get_by_role("link", name="model_int8.tflite").click()
    assert saving.value.suggested_filename == f"{FIRST}_model_int8.tflite"

    chart = page.locator(".chart").filter(has_text="Accuracy").first
    chart.locator("svg[tabindex]").press("End")
    expect(chart.locator(".readout")).to_contain_text(f"epoch {EPOCHS}")
    expect(chart.locator(".readout")).to_contain_text(f"validation: {VALIDATION_ACCURACY:.0%}")
    line = page.get_by_role("img", name=re.compile("^Accuracy: "))
    rough = line.locator("path.series").last.get_attribute("d")
    page.get_by_label("Smoothing").fill("0.9")
    assert line.locator("path.series").last.get_attribute("d") != rough
    box = line.bounding_box()
    page.mouse.move(box["x"] + 80, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.up()
    expect(line).not_to_have_attribute("aria-label", re.compile(f" to {EPOCHS}\\."))
    page.get_by_role("button", name="Show the whole").click()
    expect(line).to_have_attribute("aria-label", re.compile(f"epoch 1 to {EPOCHS}\\."))
    page.get_by_label("Across").select_option("time")
    expect(line).to_have_attribute("aria-label", re.compile("by after [0-9.]+ to [0-9.]+"))
    page.get_by_label("Logarithmic loss").check()
    expect(page.get_by_role("img", name=re.compile("^Loss: ")).locator("text").first).to_have_text(
        re.compile("^(0.1|1)$")
    )
    chart.get_by_text("As a table").click()
    expect(chart.get_by_role("row")).to_have_count(EPOCHS + 1)
    chart.get_by_role("button", name="training").click()
    expect(chart.locator("path.series")).to_have_count(1)
    page.goto("/runs/shipped-tiny")
    expect(line).to_be_visible()
    expect(page.get_by_role("img", name=OF_CLASSES)).to_be_hidden()


def test_a_training_begins_again_with_changes(page, site):
    run = make_run(site.paths, minutes=80, settings={"data": "sample", "epochs": 5, "learning_rate": 0.00321})
    run.update_state(status="FAILED")
    page.goto(f"/runs/{run.id}")
    page.get_by_role("link", name="Train again with changes").click()
    page.locator("summary", has_text="The training").click()
    expect(page.get_by_label("learning rate", exact=True)).to_have_value("0.00321")
    page.get_by_label("seed", exact=True).fill("9")
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("The job is stored.")).to_be_visible()
    settings = page.get_by_role("region", name="Settings")
    expect(settings).to_contain_text("0.00321")
    expect(settings).to_contain_text("9")


def test_the_curves_of_a_training_grow_and_who_asked_for_it_is_told_of_its_end(page, context, site):
    run = make_run(site.paths)
    write_epochs(run, 2)
    page.goto("/runs")
    card = page.get_by_role("article").filter(has_text=run.id)
    expect(card).to_contain_text("epoch 2 of 5")
    context.grant_permissions(["notifications"])
    with page.add_init_script(NOTE_NOTIFICATIONS):
        page.goto(f"/runs/{run.id}")
    line = page.get_by_role("img", name=re.compile("^Accuracy: "))
    expect(line).to_have_attribute("aria-label", re.compile("epoch 1 to 2"))
    expect(page.get_by_role("img", name=OF_CLASSES).locator("path.series")).to_have_count(2)
    page.get_by_role("button", name="Tell me when it ends").click()
    expect(page.get_by_role("button", name="You will be told")).to_be_disabled()
    write_epochs(run, 4)
    expect(line).to_have_attribute("aria-label", re.compile("epoch 1 to 4"))
    expect(page.locator("#progress-words")).to_contain_text("Epoch 4 of 5")
    run.update_state(status="SUCCEEDED", epoch=5)
    expect(page.locator("#status")).to_have_text("succeeded")
    expect(page.locator("#progress")).to_have_count(0)
    assert page.evaluate("localStorage.told") == "smoke: succeeded"


def test_a_run_is_promoted_after_a_look_at_both_and_the_model_before_it_comes_back(page):
    page.goto("/model")
    page.get_by_role("link", name=f"Promote {FIRST}").click()
    expect(page.get_by_role("heading", name=f"Promote {RECIPE}?")).to_be_visible()
    both = page.get_by_role("region", name="The two models").get_by_role("row")
    expect(both).to_have_count(3)
    expect(both.nth(1)).to_contain_text("shipped-best")
    for row in (both.nth(1), both.nth(2)):
        expect(row).to_contain_text(f"{LOW} – {HIGH}")
    page.get_by_role("link", name="Keep the one in use").click()
    expect(page.get_by_role("contentinfo")).to_contain_text("shipped/best")
    page.get_by_role("link", name=f"Promote {FIRST}").click()
    page.get_by_role("button", name=f"Promote {RECIPE}").click()
    expect(page.get_by_role("contentinfo")).to_contain_text(FIRST)
    page.get_by_role("link", name="Roll back").click()
    page.get_by_role("button", name="Roll back to").click()
    expect(page.get_by_text("is the model in use again.")).to_be_visible()
    expect(page.get_by_role("contentinfo")).to_contain_text("shipped/best")


def test_scores_on_different_images_stand_apart_with_their_intervals(page, site):
    drawn = {"split": "test", "images": 280, "accuracy": 0.98, "accuracy_interval": [0.956, 0.991], "macro_f1": 0.98}
    other = finished_run(
        site.paths, "20260103-120000-smoke-cccc", scores=drawn, data_name="sample", split_fingerprint="d"
    )
    page.goto(f"/compare?run={other.id}&run={FIRST}&run={SECOND}")
    table = page.get_by_role("region", name="Scores", exact=True)
    groups = table.get_by_role("rowgroup").filter(has=page.get_by_role("rowheader"))
    expect(groups).to_have_count(2)
    expect(groups.nth(0)).to_contain_text("test: 280 images of sample")
    expect(groups.nth(0)).to_contain_text("95.6% – 99.1%")
    expect(groups.nth(1)).to_contain_text("PublicTest: 3,589 images of FER-2013")
    expect(groups.nth(1)).to_contain_text(f"{LOW} – {HIGH}")
    expect(page.get_by_text("a higher score in one of them does not mean a better model")).to_be_visible()
    page.get_by_role("button", name="Compare image by image").click()
    expect(page.get_by_text(f"{RECIPE} aaaa to {RECIPE} bbbb:")).to_be_visible()
    expect(page.get_by_text("No difference image by image: FER-2013 (fer2013.zip) is not here.")).to_be_visible()
    model = find_model(FIRST, site.paths)
    answers = site.paths.cache / "answers" / f"{model.sha256}-{model.manifest.split_fingerprint[:16]}.npz"
    answers.parent.mkdir(parents=True)
    numbers = np.arange(700, dtype=np.uint64)
    said = {"truth": numbers % 7, "predicted": numbers % 7, "probabilities": np.ones((700, 7))}
    np.savez(answers, labels=np.array(model.labels), hashes=numbers, **said)
    page.reload()
    expect(page.get_by_text("On the same 700 images: macro F1 100.0% to 100.0%")).to_be_visible()


def test_more_runs_than_can_be_compared_are_not_offered(page, site):
    for number in range(8):
        make_run(site.paths, minutes=number)
    page.goto("/runs")
    for box in page.locator("#runs input[type=checkbox]").all()[:9]:
        box.check()
    expect(page.locator("#compare")).to_have_text("Compare: 8 at most")
    expect(page.locator("#compare")).to_be_disabled()
    page.get_by_role("button", name="Choose none").click()
    expect(page.locator("#compare")).to_have_text("Compare: choose two or more")
