"""What is said of a training whose model has taken the place of a better one; test_comparing of jobs has the rest."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from fer_core.cli.paired import saved_difference, setback
from fer_core.store.files import read_json, write_json
from fer_core.store.model_files import ModelFiles, find_model
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from tests.jobs.parts import make_finished_run


@pytest.fixture
def before(in_use, paths) -> ModelFiles:
    return find_model(in_use.id, paths)


@pytest.fixture
def run(in_use, paths) -> Run:
    """Another finished run on the same images."""
    folder = shutil.copytree(in_use.folder, in_use.folder.with_name("another"))
    write_json(folder / "manifest.json", read_json(folder / "manifest.json", "manifest") | {"run_id": "another"})
    return open_run(paths, "another")


@pytest.fixture
def said(run, before, paths):
    """A function that returns what is said where both are right in these fractions of the test images."""

    def say(*, now: float, then: float, before: ModelFiles = before) -> str:
        def predict(model, dataset, paths):
            truth = dataset.test.labels
            right = np.arange(len(truth)) % 25 < 25 * (now if model.name == run.id else then)
            return np.eye(7)[np.where(right, truth, (truth + 1) % 7)]

        return setback(run, before, paths, predict=predict)

    return say


def test_a_model_that_is_measurably_worse_is_told_with_the_way_back(said, before, paths, monkeypatch):
    assert f"`FER_MODELS_DIR={paths.models} python -m jobs rollback` goes back." in said(now=0.4, then=0.9)
    monkeypatch.setenv("FER_MODELS_DIR", str(paths.models))
    text = said(now=0.4, then=0.9)
    assert text.startswith(f"It is measurably worse than {before.name}, which was in use before: macro F1 goes from ")
    assert "images of test that neither has seen. `python -m jobs rollback` goes back." in text


@pytest.mark.parametrize(("now", "then"), [(0.9, 0.4), (0.8, 0.8), (0.76, 0.8)])
def test_of_one_that_is_better_or_not_measurably_worse_nothing_is_said(said, now, then):
    assert said(now=now, then=then) == ""


def test_where_no_comparison_is_possible_the_reason_is_said(said, run, before):
    other = replace(before, labels=(*before.labels[:-1], "contempt"))
    assert said(now=0.1, then=0.9, before=other) == (
        f"It cannot be compared with {before.name}, which was in use before: their labels differ."
    )
    foreign = replace(before, manifest=None, run_folder=None)
    assert said(now=0.1, then=0.9, before=foreign).endswith("that one has seen is not known.")
    manifest = read_json(run.folder / "manifest.json", "manifest")
    classic = manifest["config"] | {"validation": "test"}
    write_json(run.folder / "manifest.json", manifest | {"config": classic})
    assert said(now=0.1, then=0.9).endswith(": one of them has seen all of the test images.")


def answered(run: Run, predicted: np.ndarray, *, hashes: np.ndarray, labels=("angry", "happy")) -> Run:
    """Returns the run with these answers to images, of which each second one is the second class."""
    truth = np.arange(len(predicted)) % 2
    content = {"labels": np.array(labels), "probabilities": np.eye(2)[predicted], "truth": truth}
    np.savez(run.answers_npz, **content, predicted=predicted.astype(np.uint16), hashes=hashes.astype(np.uint64))
    return run


def test_answers_that_runs_keep_are_compared_without_images_whatever_their_order(paths):
    first, second, third = (make_finished_run(paths, minutes=minutes) for minutes in range(3))
    truth, hashes = np.arange(200) % 2, np.arange(200) + 1000
    answered(first, np.where(np.arange(200) < 150, truth, 1 - truth), hashes=hashes)
    answered(second, truth, hashes=hashes)
    found = saved_difference(first, second)
    assert (found.images, found.only_first, found.only_second) == (200, 0, 50)
    assert found.comparison.macro_f1.interval[0] > 0
    order = np.argsort(np.random.default_rng(0).permutation(100)).repeat(2) * 2 + truth  # classes stay where they are
    answered(second, truth, hashes=hashes[order])
    assert saved_difference(first, second) == found
    answered(third, truth, hashes=hashes + 1)
    assert saved_difference(first, third) is None
    third.answers_npz.unlink()
    assert saved_difference(first, third) is None
