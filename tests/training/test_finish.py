"""What a finished training saves: the average, its calibration, and its exports, as the validation images decide."""

import os
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core import networks
from fer_core.errors import ArtifactError
from fer_core.evaluation.predict import predict
from fer_core.live.classifier import make_classifier
from fer_core.store.artifacts import load_model
from fer_core.store.files import file_sha256, temporary_beside
from fer_core.store.model_files import find_model
from fer_core.training import finish
from fer_core.training.train import train
from fer_core.training.training_model import MovingAverage
from tests.conftest import paths_in
from tests.training.parts import begin_run


@pytest.fixture(scope="module")
def saved(tmp_path_factory, small_config, session_paths):
    """A run of one epoch with all that its end may do, its places and images, and the average of its weights."""
    averages, arrays = [], MovingAverage.arrays
    paths = paths_in(tmp_path_factory.mktemp("saved"))
    own = {"ema": 0.9, "keep": "last", "epochs": 1, "adjust_prior": True, "class_weights": "angry=5"}
    run, dataset = begin_run(paths, session_paths, small_config, **own, eight_bit=True, score_test=False)
    truth = dataset.test.labels.copy()
    dataset.test.labels[:] = -1  # any look at a test label is an error
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MovingAverage, "arrays", lambda layer: averages.append(arrays(layer)) or averages[-1])
        patch.setattr(finish, "useful_power", lambda outputs, labels, prior: 0.5)
        evaluation = train(run, dataset, paths=paths).evaluation
    dataset.test.labels[:] = truth
    return SimpleNamespace(run=run, paths=paths, dataset=dataset, average=averages[-1], evaluation=evaluation)


def test_the_average_is_saved_and_a_run_whose_test_images_are_not_scored_is_scored_on_its_validation_images(saved):
    weights = load_model(saved.run.model_h5).get_weights()
    for found, average in zip(weights[:-1], saved.average[:-1], strict=True):  # the last has the prior taken out
        np.testing.assert_array_equal(found, average)
    part = saved.dataset.validation
    assert (saved.evaluation.split, saved.evaluation.images) == ("validation", len(part))
    assert saved.run.manifest.scores["split"] == "validation"


def test_the_prior_is_taken_out_of_the_saved_weights_and_can_be_put_back(saved, trained_run):
    prior, labels = saved.run.manifest.prior, saved.dataset.labels
    assert max(prior, key=prior.get) == "angry" and sum(prior.values()) == pytest.approx(1)
    assert sum(trained_run.manifest.prior.values()) == pytest.approx(1)
    network = networks.build(saved.run.manifest.config, labels)
    network.set_weights(saved.average)
    part = saved.dataset.test
    as_trained = predict(network, part)
    divided = as_trained / np.array([prior[label] for label in labels]) ** 0.5
    bare = replace(find_model(saved.run.id, saved.paths), temperature=1.0)
    expected = {None: divided / divided.sum(axis=1, keepdims=True), 0.0: as_trained}
    for power, answers in expected.items():
        found = make_classifier(bare, saved.paths, prior=power).classify(part.images(slice(None)))
        np.testing.assert_allclose(found, answers, atol=1e-4)


def test_the_int8_export_is_nearly_as_good_and_one_that_is_damaged_is_not_read(saved):
    run, part = saved.run, saved.dataset.validation
    assert run.model_int8.stat().st_size < 0.5 * run.model_tflite.stat().st_size
    assert run.manifest.int8.sha256 == file_sha256(run.model_int8)
    model = find_model(run.id, saved.paths)
    by_int8 = make_classifier(replace(model, temperature=1.0), saved.paths, runtime="int8")
    answers = by_int8.classify(part.images(slice(None)))
    assert (answers.argmax(axis=1) == part.labels).mean() == run.manifest.int8.accuracy
    run.model_int8.write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=f"{run.id} has no int8 export") as caught:
        make_classifier(model, saved.paths, runtime="int8")
    assert caught.value.hint == "Train with --eight-bit, or leave --runtime out."


def refuse(*_):
    raise ArtifactError("The converter refuses the model: no.")


def test_the_validation_images_decide_about_the_int8_export(begun, monkeypatch):
    run, dataset = begun(eight_bit=True)
    network, part, events = networks.build(run.manifest.config, dataset.labels), dataset.train, []
    monkeypatch.setattr(finish, "export_checked", refuse)
    monkeypatch.setattr(finish, "_int8_accuracy", lambda run, part: 0.0)
    accuracy = (predict(network, part).argmax(axis=1) == part.labels).mean()
    assert accuracy > 0.005
    finish.export(run, network, replace(dataset, validation=part), SimpleNamespace(event=events.append))
    assert events[-1] == f"No int8 export: it loses {100 * accuracy:.1f} points on train ({len(part):,} images)."
    assert not run.model_int8.exists() and run.manifest.int8 is None


def test_a_converter_that_fails_costs_an_export_and_not_the_training(begun, monkeypatch):
    run, dataset = begun(eight_bit=True)
    run.model_int8.write_bytes(b"of an attempt before")
    events = []
    monkeypatch.setattr(finish, "export_checked", refuse)
    monkeypatch.setattr(finish, "export_int8", refuse)
    finish.export(run, None, dataset, SimpleNamespace(event=events.append))
    assert events == [f"No {name} export: The converter refuses the model: no." for name in ("LiteRT", "int8")]
    assert not run.model_int8.exists()


def test_the_plots_of_a_trial_that_were_begun_by_a_killed_process_are_completed(in_use, monkeypatch):
    run = in_use
    (run.plots / "confusion_matrix.png").unlink()
    with subprocess.Popen("true") as ended, monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: ended.pid)
        leftover = temporary_beside(run.plots / "training_loss.png")
    leftover.write_bytes(b"half of it")
    finish.complete(run)
    assert (run.plots / "confusion_matrix.png").is_file() and not leftover.exists()
