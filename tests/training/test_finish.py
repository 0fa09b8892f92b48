"""What a finished training saves: the average, its calibration, and its exports, as the validation images decide."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core import networks
from fer_core.errors import ArtifactError
from fer_core.evaluation.predict import predict
from fer_core.live.classifier import make_classifier
from fer_core.store.artifacts import load_model
from fer_core.store.files import file_sha256
from fer_core.store.model_files import find_model
from fer_core.training import finish
from fer_core.training.train import train
from fer_core.training.training_model import MovingAverage

PROJECT = Path(__file__).parents[2]


def test_what_is_saved_is_the_average_and_its_int8_export_is_nearly_as_good(begun, paths, monkeypatch):
    averages, arrays = [], MovingAverage.arrays
    monkeypatch.setattr(MovingAverage, "arrays", lambda layer: averages.append(arrays(layer)) or averages[-1])
    run, dataset = begun(eight_bit=True, ema=0.9, keep="last", epochs=1)
    train(run, dataset, paths=paths)
    for saved, average in zip(load_model(run.model_h5).get_weights(), averages[-1], strict=True):
        np.testing.assert_array_equal(saved, average)
    assert run.model_int8.stat().st_size < 0.5 * run.model_tflite.stat().st_size
    assert run.manifest.int8.sha256 == file_sha256(run.model_int8)
    model = find_model(run.id, paths)
    faces = dataset.test.images(slice(None))
    by_int8 = make_classifier(replace(model, temperature=1.0), paths, runtime="int8").classify(faces)
    assert (by_int8.argmax(axis=1) == dataset.test.labels).mean() == run.manifest.int8.accuracy
    run.model_int8.write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=f"{run.id} has no int8 export") as caught:
        make_classifier(model, paths, runtime="int8")
    assert caught.value.hint == "Train with --eight-bit, or leave --runtime out."
    assert run.manifest.scores["chosen_on"] == (
        f"Chosen on validation ({len(dataset.validation)} images): the temperature, and whether the int8 export is"
        " kept; the test images chose nothing. The last epoch is kept."
    )


def test_the_validation_images_decide_about_the_int8_export(begun, monkeypatch):
    run, dataset = begun(eight_bit=True)
    run.update_manifest(scores={"accuracy": 0.5})
    network = networks.build(run.manifest.config, dataset.labels)
    events = []
    report = SimpleNamespace(event=events.append)
    monkeypatch.setattr(finish, "_int8_accuracy", lambda run, part: 0.0)
    part = dataset.train
    accuracy = (predict(network, part).argmax(axis=1) == part.labels).mean()
    assert accuracy > 0.005
    finish.export(run, network, replace(dataset, validation=part), report)
    assert events[-1] == f"No int8 export: it loses {100 * accuracy:.1f} points on train ({len(part):,} images)."
    assert not run.model_int8.exists() and run.manifest.int8 is None
    finish.export(run, network, replace(dataset, validation=None), report)
    assert events[-1] == "Int8 export: kept unseen, without validation images; 0.00% of test right, -50.00 points."
    assert run.manifest.int8.sha256 == file_sha256(run.model_int8)


def test_a_converter_that_fails_costs_an_export_and_not_the_training(begun, monkeypatch):
    run, dataset = begun(eight_bit=True)
    run.model_int8.write_bytes(b"of an attempt before")
    events = []

    def refuse(*_):
        raise ArtifactError("The converter refuses the model: no.")

    monkeypatch.setattr(finish, "export_checked", refuse)
    monkeypatch.setattr(finish, "export_int8", refuse)
    finish.export(run, None, dataset, SimpleNamespace(event=events.append))
    assert events == [f"No {name} export: The converter refuses the model: no." for name in ("LiteRT", "int8")]
    assert not run.model_int8.exists()


def test_the_prior_is_taken_out_of_the_saved_weights_and_can_be_put_back(begun, paths, monkeypatch):
    monkeypatch.setattr(finish, "useful_power", lambda outputs, labels, prior: 0.5)
    runs = []
    for adjust_prior in (False, True):
        run, dataset = begun(epochs=1, adjust_prior=adjust_prior, class_weights="angry=5")
        train(run, dataset, paths=paths)
        runs.append(run)
    priors = [np.array(list(run.manifest.prior.values())) for run in runs]
    np.testing.assert_array_equal(*priors)
    assert priors[0].argmax() == dataset.labels.index("angry") and priors[0].sum() == pytest.approx(1)
    faces = dataset.test.images(slice(None))
    plain, adjusted = (find_model(run.id, paths) for run in runs)
    as_trained = make_classifier(replace(plain, temperature=1.0), paths).classify(faces)
    divided = as_trained / priors[0] ** 0.5
    bare = replace(adjusted, temperature=1.0)
    expected = {None: divided / divided.sum(axis=1, keepdims=True), 0.0: as_trained}
    for prior, answers in expected.items():
        np.testing.assert_allclose(make_classifier(bare, paths, prior=prior).classify(faces), answers, atol=1e-4)


def test_a_run_whose_test_images_are_not_scored_is_scored_on_its_validation_images(begun, paths):
    run, dataset = begun(epochs=1, score_test=False, eight_bit=True)
    asked_about = dataset.test._rows.copy()
    dataset.test.labels[:] = -1  # any look at a test label is an error
    evaluation = train(run, dataset, paths=paths).evaluation
    assert (evaluation.split, evaluation.images) == ("validation", len(dataset.validation))
    assert run.manifest.scores["split"] == "validation" and len(asked_about) == len(dataset.test)


def test_the_plots_of_a_trial_that_were_begun_by_a_killed_process_are_completed(in_use):
    run = in_use
    (run.plots / "confusion_matrix.png").unlink()
    code = "import pathlib, sys; from fer_core.store.files import temporary_beside as beside"
    code += "; print(beside(pathlib.Path(sys.argv[1])))"
    command = [sys.executable, "-c", code, run.plots / "training_loss.png"]
    leftover = Path(subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT).stdout.strip())
    leftover.write_bytes(b"half of it")
    finish.complete(run)
    assert (run.plots / "confusion_matrix.png").is_file() and not leftover.exists()
