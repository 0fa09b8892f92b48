"""`compare` and `best`: runs side by side, and what a search has found."""

import json
import re
import shutil
import sys

import pytest

from fer_core.store.files import write_json
from fer_core.store.promotion import current
from fer_core.store.runs import open_run
from fer_core.tuning.state import changing
from tests.conftest import paths_in
from tests.jobs.parts import asking, make_finished_run, make_run, make_search


@pytest.fixture
def two_runs(paths):
    settings = {"data": "photographs.zip", "epochs": 5}
    first = make_finished_run(paths, quality=0.6, settings=settings)
    return first, make_finished_run(paths, quality=0.8, minutes=1, settings=settings | {"learning_rate": 1e-4})


def test_settings_that_differ_and_scores_stand_side_by_side(ask, two_runs):
    ids = [run.id for run in two_runs]
    text = ask("compare", *ids, "--no-paired").out
    assert re.search(r"^learning_rate +0\.003 +0\.0001", text, re.MULTILINE)
    assert "batch_size" not in text
    assert re.search(r"^accuracy +\d\d\.\d% \(\d.* to .*\) +\d\d\.\d% \(.*\) +\+\d+\.\d points", text, re.MULTILINE)
    assert re.search(r"^macro f1 +\d\d\.\d% \(", text, re.MULTILINE)
    for label in ("angry", "happy", "sad"):
        assert re.search(rf"^{label} +\d\d\.\d% +\d\d\.\d% +\+\d", text, re.MULTILINE)
    assert "different images" not in text
    told = json.loads(ask("compare", *ids, "--json", "--no-paired").out)
    assert told["settings"] == {"learning_rate": [0.003, 0.0001]}
    assert [run["run"] for run in told["runs"]] == ids
    assert told["runs"][1]["evaluation"]["accuracy"] > told["runs"][0]["evaluation"]["accuracy"]
    ask("promote", ids[0])
    assert ids[0] in ask("compare", "current", ids[1], "--no-paired").out


def test_scores_that_are_missing_or_on_different_images_are_said_to_be_no_measure(ask, paths):
    first, second = make_finished_run(paths, split="aaaa"), make_finished_run(paths, split="bbbb", minutes=1)
    assert "different images" in ask("compare", first.id, second.id).out
    unfinished = make_run(paths, minutes=2, settings={"epochs": 9, "data": "x.zip"})
    text = ask("compare", first.id, unfinished.id).out
    assert re.search(r"^epochs +5 +9", text, re.MULTILINE)
    assert f"Not scored yet: {unfinished.id}." in text


def test_models_are_asked_about_the_same_images(trained_run, session_paths, tmp_path, monkeypatch, capsys):
    paths = paths_in(tmp_path)
    for folder in ("models", "history", "cache"):
        shutil.copytree(getattr(session_paths, folder), getattr(paths, folder))
    training_model = trained_run.id.replace("smoke", "twin")
    shutil.copytree(paths.models / "runs" / trained_run.id, paths.models / "runs" / training_model)
    manifest = json.loads((paths.models / "runs" / training_model / "manifest.json").read_text())
    write_json(paths.models / "runs" / training_model / "manifest.json", manifest | {"run_id": training_model})
    open_run(paths, training_model).answers_npz.unlink()  # else these would say it, without the models
    ask = asking(paths, monkeypatch, capsys, without=("celery", "keras", "tensorflow"))
    told = json.loads(ask("compare", trained_run.id, training_model, "--json").out)
    assert told["not_paired"] == ""
    paired, own = told["paired"], open_run(paths, training_model).manifest.scores
    assert (paired["only_first"], paired["only_second"], paired["images"]) == (0, 0, own["images"])
    low, high = paired["macro_f1"]["interval"]
    assert low < 0 < high  # so few images that differ say nothing
    assert paired["macro_f1"]["first"] == pytest.approx(own["macro_f1"], abs=0.02)
    shutil.rmtree(paths.cache / "decoded", ignore_errors=True)
    assert "no more than chance" in ask("compare", trained_run.id, training_model).out
    assert list((paths.cache / "answers").iterdir())


def test_why_models_cannot_be_asked_is_said(ask, two_runs, monkeypatch):
    monkeypatch.delitem(sys.modules, "cv2")  # the images are looked for
    text = ask("compare", *(run.id for run in two_runs)).out
    assert "No difference image by image: " in text


def test_the_best_of_a_search_are_shown_with_settings_and_next_step(ask, paths):
    search = make_search(paths, [0.40, 0.55, 0.50])
    text = ask("best", search.id).out
    assert re.search(r"^Winner: trial 1, run \S+", text, re.MULTILINE)
    assert "val_macro_f1 0.5500 of a single training" in text
    assert "learning_rate=0.002" in text
    assert re.findall(r"^ +([012]) +0\.\d{4} +1 ", text, re.MULTILINE) == ["1", "2", "0"]
    assert re.search(r"Use it: +python -m jobs promote \S+", text)


def test_the_spread_over_seeds_is_shown(ask, paths):
    search = make_search(paths, [0.40, 0.55], status="RUNNING")
    with changing(search) as state:
        trial = state.entries[1]
        for number, score in enumerate((0.52, 0.56), start=2):
            fields = {"number": number, "kind": "confirm", "of": 1, "score": score}
            state.entries.append(trial.model_copy(update=fields))
    text = ask("best", search.id).out
    assert "the mean of 2 trainings with other seeds (0.5200 to 0.5600)" in text
    assert text.startswith("Best so far (the search is running): trial 1")
    told = json.loads(ask("best", search.id, "--json").out)
    assert told["standings"][0]["confirmations"] == [0.52, 0.56]
    assert told["pareto"] == [0, 1]


def test_a_search_without_a_score_says_so_and_a_run_is_no_search(ask, paths):
    search = make_search(paths, [None], status="RUNNING")
    assert "No trial" in ask("best", search.id).out
    answer = ask("best", make_run(paths).id)
    assert (answer.code, "is no search" in answer.problem) == (2, True)


def test_a_finished_run_is_put_into_use_and_the_one_before_it_again(ask, paths):
    first, second = make_finished_run(paths), make_finished_run(paths, minutes=1)
    assert f"Run {first.id} is the model in use now" in ask("promote", first.id).out
    ask("promote", second.id)
    assert current(paths).run == second.id
    assert f"Run {first.id} is in use again" in ask("rollback").out
    assert current(paths).run == first.id
    assert "The project's own model is in use again" in ask("rollback").out
    assert current(paths) is None
    for arguments, problem in ((("rollback",), "no model"), (("promote", make_run(paths).id), "not finished")):
        answer = ask(*arguments)
        assert (answer.code, problem in answer.problem) == (2, True)
