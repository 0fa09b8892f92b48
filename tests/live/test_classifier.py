"""Classifiers: LiteRT and Keras give the same, calibrated, also for models from elsewhere; another one is promoted."""

from dataclasses import replace

import numpy as np
import pytest

from fer_core.data.face_picture import decode_picture, network_input
from fer_core.errors import ArtifactError
from fer_core.faces.framing import Framing
from fer_core.live import classifier
from fer_core.live.classifier import Classifier, ModelWatch, framing_for, make_classifier
from fer_core.store.model_files import find_model, litert_file
from fer_core.store.promotion import promote
from fer_core.store.run import Run
from fer_core.store.runtimes import LiteRTModel
from tests.jobs.conftest import wait_until
from tests.live.fakes import ScriptedDetector, fer_faces, shipped_model
from tests.web.conftest import finished_run


@pytest.fixture(scope="module")
def faces(test_data) -> np.ndarray:
    return np.stack([network_input(decode_picture(data), side=48) for data in fer_faces(test_data, 24)])


def test_the_models_temperature_is_applied(faces, paths):
    model = replace(shipped_model(paths), temperature=2.0)
    raw = LiteRTModel(litert_file(model, paths)).probabilities(faces)
    expected = np.sqrt(raw) / np.sqrt(raw).sum(axis=1, keepdims=True)
    assert np.abs(make_classifier(model, paths).classify(faces) - expected).max() < 1e-5


def test_keras_and_litert_agree(faces, paths):
    """Imports TensorFlow: some seconds."""
    model = find_model("tiny", paths)
    by_litert = make_classifier(model, paths).classify(faces)
    assert (by_litert.shape, by_litert.dtype) == ((24, 7), np.float32)
    assert np.allclose(by_litert.sum(axis=1), 1, atol=1e-5)
    assert np.abs(make_classifier(model, paths, runtime="keras").classify(faces) - by_litert).max() < 1e-3


@pytest.mark.parametrize(
    ("outputs", "value", "sentence"),
    [(7, np.nan, "no numbers"), (7, np.inf, "no numbers"), (8, 1 / 8, "7 labels, the model has 8 outputs")],
)
def test_a_model_that_answers_with_no_numbers_or_too_many_is_refused_when_it_is_loaded(outputs, value, sentence, paths):
    with pytest.raises(ArtifactError, match=sentence):
        Classifier(shipped_model(paths), lambda images: np.full((len(images), outputs), value, np.float32))


def test_a_model_that_ends_in_logits_is_found_out_when_it_is_loaded_and_said_once(faces, paths):
    model = replace(shipped_model(paths), temperature=1.0)
    raw = LiteRTModel(litert_file(model, paths)).probabilities
    said = []
    found = Classifier(model, lambda images: np.log(raw(images)), report=said.append)
    assert np.abs(found.classify(faces) - raw(faces)).max() < 1e-5
    assert said == ["The outputs of shipped/best are no probabilities but logits: softmax is applied to them."]


def test_the_models_own_framing_of_a_detector_goes_before_the_detectors(paths):
    detector = ScriptedDetector(lambda call: [])
    model = replace(shipped_model(paths), framing={"scripted": {"scale": 1.3, "right": 0.1, "down": -0.1}})
    assert framing_for(detector, make_classifier(model, paths)) == Framing(1.3, 0.1, -0.1)
    for other in (None, {"yunet": {"scale": 2.0}}):
        assert framing_for(detector, make_classifier(replace(model, framing=other), paths)) == detector.framing


@pytest.fixture
def two_runs(paths) -> list[Run]:
    """Two finished runs, the first in use."""
    runs = [finished_run(paths, f"2026010{day}-000000-compact-000{day}") for day in (1, 2)]
    promote(paths, runs[0])
    return runs


@pytest.fixture
def watch(two_runs, paths, monkeypatch):
    """Returns start(): a watch that looks often, and what it has reported."""
    monkeypatch.setattr(classifier, "CHECK_SECONDS", 0.01)
    watches, reports = [], []

    def load() -> Classifier:
        return make_classifier(find_model(None, paths), paths)

    def start(**options) -> tuple[ModelWatch[Classifier], list[str]]:
        watches.append(ModelWatch(paths, load(), load, report=reports.append, **options))
        return watches[0], reports

    yield start
    for one in watches:
        one.close()


def test_a_promoted_model_is_loaded_beside_the_old_one_which_stays_as_it_was(two_runs, paths, watch):
    watched, reports = watch()
    before = watched.loaded
    promote(paths, two_runs[1])
    wait_until(lambda: watched.loaded.name == two_runs[1].id)
    assert before.name == two_runs[0].id
    assert reports == []


def test_one_that_could_not_be_read_is_tried_again_later(two_runs, paths, watch, monkeypatch):
    watched, reports = watch()
    whole = two_runs[1].model_h5.read_bytes()
    promote(paths, two_runs[1])
    two_runs[1].model_h5.unlink()
    wait_until(lambda: watched.problem or watched.loaded.name == two_runs[1].id)
    if not watched.problem:  # it was loaded before its file was gone
        return
    assert reports == [watched.problem] and "cannot be read with" in watched.problem
    two_runs[1].model_h5.write_bytes(whole)
    watched.look()
    assert watched.loaded.name == two_runs[0].id, "not yet"
    monkeypatch.setattr(classifier.time, "monotonic", lambda: float("inf"))
    watched.look()
    assert (watched.loaded.name, watched.problem) == (two_runs[1].id, "")


def test_a_broken_pointer_and_a_model_that_was_asked_for_change_nothing(two_runs, paths, watch):
    watched, reports = watch(is_fixed=True)
    (paths.models / "current.json").write_text("{")
    watched.look()
    assert (watched.loaded.name, reports) == (two_runs[0].id, [])
