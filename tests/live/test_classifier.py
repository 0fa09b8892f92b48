"""Classifiers: LiteRT and Keras give the same, calibrated, also for models from elsewhere."""

from dataclasses import replace

import numpy as np
import pytest

from fer_core.data.face_picture import decode_picture, network_input
from fer_core.errors import ArtifactError
from fer_core.faces.framing import Framing
from fer_core.live.classifier import Classifier, framing_for, make_classifier
from fer_core.store.litert import LiteRTModel
from fer_core.store.model_files import litert_file
from tests.live.prediction_parts import ScriptedDetector, fer_faces, shipped_classifier, shipped_model


@pytest.fixture(scope="module")
def faces(test_data) -> np.ndarray:
    return np.stack([network_input(decode_picture(data), side=48) for data in fer_faces(test_data, 24)])


def test_the_shipped_model_gives_probabilities_of_its_labels(faces, paths):
    classifier = shipped_classifier(paths)
    shares = classifier.classify(faces)
    assert shares.shape == (24, 7)
    assert shares.dtype == np.float32
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    assert (classifier.name, classifier.side, classifier.channels) == ("shipped/best", 48, 1)
    assert classifier.outputs == "probabilities"
    assert classifier.model == shipped_model(paths)


def test_the_models_temperature_is_applied(faces, paths):
    model = replace(shipped_model(paths), temperature=2.0)
    raw = LiteRTModel(litert_file(model, paths)).probabilities(faces)
    expected = np.sqrt(raw) / np.sqrt(raw).sum(axis=1, keepdims=True)
    assert np.abs(make_classifier(model, paths).classify(faces) - expected).max() < 1e-5


def test_keras_and_litert_agree(faces, paths):
    """Imports TensorFlow: some seconds."""
    model = shipped_model(paths)
    by_keras = make_classifier(model, paths, runtime="keras")
    difference = by_keras.classify(faces) - make_classifier(model, paths).classify(faces)
    assert np.abs(difference).max() < 1e-3
    assert np.array_equal(by_keras.classify(faces[:1])[0], by_keras.classify(faces[:1])[0])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_model_that_answers_with_no_numbers_is_refused_when_it_is_loaded(value, paths):
    with pytest.raises(ArtifactError, match="no numbers"):
        Classifier(shipped_model(paths), lambda images: np.full((len(images), 7), value, np.float32))


def test_a_model_with_more_outputs_than_labels_is_refused_when_it_is_loaded(paths):
    with pytest.raises(ArtifactError, match="7 labels, the model has 8 outputs"):
        Classifier(shipped_model(paths), lambda images: np.full((len(images), 8), 1 / 8, np.float32))


def test_a_model_that_ends_in_logits_is_found_out_when_it_is_loaded_and_said_once(faces, paths):
    model = replace(shipped_model(paths), temperature=1.0)
    raw = LiteRTModel(litert_file(model, paths)).probabilities
    said = []
    classifier = Classifier(model, lambda images: np.log(raw(images)), report=said.append)
    assert said == ["The outputs of shipped/best are no probabilities but logits: softmax is applied to them."]
    assert np.abs(classifier.classify(faces) - raw(faces)).max() < 1e-5
    assert len(said) == 1


@pytest.mark.parametrize(("pixels", "low", "high"), [("0..255", 0, 255), ("0..1", 0, 1), ("-1..1", -1, 1)])
def test_a_foreign_model_gets_the_grey_values_that_it_wants(pixels, low, high, paths):
    seen = []

    def answers(images: np.ndarray) -> np.ndarray:
        seen.append((float(images.min()), float(images.max())))
        return np.full((len(images), 7), 1 / 7, np.float32)

    classifier = Classifier(replace(shipped_model(paths), pixels=pixels), answers)
    classifier.classify(np.array([0, 255], np.uint8).reshape(1, 1, 2, 1))
    assert seen[-1] == pytest.approx((low, high), abs=1e-6)


def test_the_models_own_framing_of_a_detector_goes_before_the_detectors(paths):
    detector = ScriptedDetector(lambda call: [])
    model = replace(shipped_model(paths), framing={"scripted": {"scale": 1.3, "right": 0.1, "down": -0.1}})
    assert framing_for(detector, make_classifier(model, paths)) == Framing(1.3, 0.1, -0.1)
    for other in (None, {"yunet": {"scale": 2.0}}):
        assert framing_for(detector, make_classifier(replace(model, framing=other), paths)) == detector.framing
