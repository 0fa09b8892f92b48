"""The images of a confusion matrix: those that the run was scored on, in the cells that it counted them in."""

import json

import pytest

from fer_core.store.runs import open_run
from tests.jobs.conftest import wait_until
from tests.web.conftest import Site, finished_run, served


@pytest.fixture
def site(web_settings, in_use, paths):
    with served(web_settings, paths) as site:
        yield site


def cell(site: Site, run_id: str, truth: str, predicted: str) -> dict:
    def answer() -> dict | None:
        found = site.get(f"/api/v1/runs/{run_id}/images", params={"truth": truth, "predicted": predicted})
        assert found.status_code == 200, found.text
        return None if found.json()["progress"] else found.json()

    return wait_until(answer)


def test_each_cell_has_the_images_that_were_counted_in_it_the_surest_first(site, in_use):
    scores = json.loads(in_use.evaluation_json.read_text())
    labels = list(scores["per_class"])
    for truth, row in zip(labels, scores["confusion"], strict=True):
        for predicted, count in zip(labels, row, strict=True):
            found = cell(site, in_use.id, truth, predicted)
            shares = [one["confidence"] for one in found["images"]]
            assert (found["count"], shares) == (count, sorted(shares, reverse=True))
            assert all(one["name"].startswith(f"{truth}/") for one in found["images"])
    truth = labels[next(number for number, row in enumerate(scores["confusion"]) if row[number])]
    page = site.get(f"/runs/{in_use.id}").text
    assert f"/runs/{in_use.id}/images?truth={truth}&amp;predicted={truth}" in page
    page = site.get(f"/runs/{in_use.id}/images", params={"truth": truth, "predicted": truth}).text
    assert f'aria-label="Labelled {truth}, read as {truth}"' in page
    wrong = {"truth": "angry", "predicted": "nobody"}
    assert site.get(f"/api/v1/runs/{in_use.id}/images", params=wrong).status_code == 404


def test_other_images_are_never_shown_by_mistake_and_missing_ones_are_said(site, in_use, paths):
    other = finished_run(paths, "20260101-120000-compact-aaaa")
    found = cell(site, other.id, "angry", "sad")
    assert "does not say what it answered" in found["problem"]
    assert "--analyze" in found["hint"]
    manifest = json.loads((in_use.folder / "manifest.json").read_text())
    manifest["config"]["seed"] = 5  # holds out other test images
    (in_use.folder / "manifest.json").write_text(json.dumps(manifest))
    found = cell(site, in_use.id, "angry", "sad")
    assert (found["images"], found["problem"]) == (
        [],
        "Its answers are about other images than those that are there now.",
    )


def test_damaged_answers_and_data_that_is_gone_end_in_a_sentence(site, in_use, paths):
    answers = in_use.answers_npz.read_bytes()
    in_use.answers_npz.write_bytes(answers[:200])
    assert "cannot be read" in cell(site, in_use.id, "angry", "angry")["problem"]
    in_use.answers_npz.write_bytes(answers)
    manifest = json.loads((in_use.folder / "manifest.json").read_text())
    manifest["data_source"] = manifest["config"]["data"] = "/nowhere/faces"
    (in_use.folder / "manifest.json").write_text(json.dumps(manifest))
    assert "is not here" in cell(site, open_run(paths, in_use.id).id, "angry", "angry")["problem"]
    page = site.get(f"/runs/{in_use.id}/images", params={"truth": "angry", "predicted": "angry"})
    assert "Open that data set on the page Data" in page.text
