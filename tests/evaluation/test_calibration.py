"""Temperatures, the prior taken out of the answers, and the accuracy of those that are sure."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from fer_core.errors import ArtifactError, DatasetError
from fer_core.evaluation.calibration import (
    COLDEST,
    HOTTEST,
    MANY_IMAGES,
    Answered,
    Bin,
    answered_at,
    as_probabilities,
    expected_calibration_error,
    fit_temperature,
    meaning_of,
    prior_of,
    reliability,
    risk_coverage,
    thinned,
    useful_power,
    useful_temperature,
    with_prior,
    with_temperature,
    without_prior,
)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def honest() -> tuple[np.ndarray, np.ndarray]:
    """Logits of 4,000 images, and labels that occur exactly as often as softmax(logits) says."""
    random = np.random.default_rng(0)
    logits = random.normal(scale=2, size=(4000, 7))
    return logits, np.array([random.choice(7, p=row) for row in softmax(logits)])


@given(st.floats(0.25, 10), st.integers(0, 2**32 - 1))
def test_a_temperature_divides_the_logits(temperature, seed):
    logits = np.random.default_rng(seed).normal(scale=3, size=(5, 4))
    found = with_temperature(softmax(logits).astype(np.float32), temperature)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(logits / temperature), atol=2e-6)


def test_a_temperature_keeps_shape_order_and_finite_numbers_and_one_changes_nothing_at_all():
    probabilities = softmax(np.random.default_rng(1).normal(size=(200, 7))).astype(np.float32)
    assert (with_temperature(probabilities, 1.0) == probabilities).all()
    assert with_temperature(np.full((3, 2, 4), 0.25), 2).shape == (3, 2, 4)
    for temperature in (0.25, 0.5, 4.0, 10.0):
        assert (with_temperature(probabilities, temperature).argmax(axis=1) == probabilities.argmax(axis=1)).all()
        rounded = with_temperature(np.array([1.0, 0.0, 0.0], np.float32), temperature)  # by float32
        assert (rounded.sum(), rounded.argmax(), np.isfinite(rounded).all()) == (pytest.approx(1, abs=1e-6), 0, True)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ArtifactError, match="must be above 0"):
        with_temperature(np.array([[0.5, 0.5]]), temperature)


@pytest.mark.parametrize("made", [0.5, 1.0, 1.7, 3.0])
def test_the_temperature_that_logits_were_divided_by_is_found_again(honest, made):
    logits, labels = honest
    assert fit_temperature(softmax(logits * made).astype(np.float32), labels) == pytest.approx(made, rel=0.06)


def test_no_other_temperature_is_more_likely(honest):
    logits, labels = honest
    probabilities = softmax(2.5 * logits)
    best = fit_temperature(probabilities, labels)
    losses = [log_loss(labels, with_temperature(probabilities, best * factor)) for factor in (0.98, 1.0, 1.02)]
    assert losses[1] == min(losses)


def test_images_that_are_all_right_or_all_wrong_ask_for_no_extreme_and_a_few_for_little():
    sure, right = np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0, 1])
    assert 0.85 < fit_temperature(sure, right) < 1
    assert 1 < fit_temperature(sure, 1 - right) < 1.5
    many = np.tile(sure, (50_000, 1))
    assert fit_temperature(many, np.tile(right, 50_000)) == pytest.approx(COLDEST)
    assert fit_temperature(many, np.tile(1 - right, 50_000)) == pytest.approx(HOTTEST)


def test_what_a_few_hundred_images_ask_for_by_chance_is_not_taken(honest):
    """Of 861 images each, of a model whose confidence is right as it is."""
    logits, labels = honest
    draws = [np.random.default_rng(seed).choice(len(labels), 861, replace=False) for seed in range(8)]
    fitted = [fit_temperature(softmax(logits[drawn]), labels[drawn]) for drawn in draws]
    assert max(fitted) - min(fitted) > 0.1
    assert {useful_temperature(softmax(logits[drawn]), labels[drawn]) for drawn in draws} == {1.0}


@pytest.mark.parametrize(("images", "factor"), [(150, 3.0), (861, 0.5), (861, 1.5), (MANY_IMAGES, 1.15)])
def test_a_temperature_that_helps_on_other_images_is_taken(honest, images, factor):
    logits, labels = honest
    probabilities = softmax(logits * factor)
    found = useful_temperature(probabilities[:images], labels[:images])
    assert found == fit_temperature(probabilities[:images], labels[:images]) != 1.0
    others = with_temperature(probabilities[MANY_IMAGES:], found)
    errors = [expected_calibration_error(part, labels[MANY_IMAGES:]) for part in (others, probabilities[MANY_IMAGES:])]
    assert errors[0] < errors[1]


def test_of_many_images_too_a_temperature_must_help_where_it_was_not_fitted(honest):
    logits, labels = honest
    probabilities = softmax(logits * fit_temperature(softmax(logits), labels))  # so that 1.0 is what all ask for
    assert fit_temperature(probabilities, labels) != 1.0 == useful_temperature(probabilities, labels)


def test_under_a_hundred_images_tell_nothing(honest):
    logits, labels = honest
    assert fit_temperature(softmax(5 * logits[:99]), labels[:99]) > 2
    assert useful_temperature(softmax(5 * logits[:99]), labels[:99]) == 1.0
    for fit in (useful_temperature, fit_temperature):
        with pytest.raises(DatasetError, match="no images to fit a temperature"):
            fit(np.empty((0, 7)), np.empty(0, int))


def test_the_bins_and_the_error_are_those_worked_out_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.65, 0.35], [0.05, 0.95]])
    labels = np.array([0, 0, 1, 1])
    bins = reliability(probabilities, labels, bins=5)
    assert bins[:3] == [Bin(0.0, 0.0, 0)] * 3
    assert bins[3] == pytest.approx(Bin(0.675, 0.5, 2))
    assert bins[4] == pytest.approx(Bin(0.925, 1.0, 2))
    by_hand = 2 / 4 * abs(0.5 - 0.675) + 2 / 4 * abs(1 - 0.925)
    assert expected_calibration_error(probabilities, labels, bins=5) == pytest.approx(by_hand)
    fifteen = reliability(np.array([[1.0, 0.0]]), np.array([0]))
    assert (len(fifteen), fifteen[14]) == (15, Bin(1.0, 1.0, 1))
    assert expected_calibration_error(np.empty((0, 3)), np.empty(0, int)) == 0.0


def row(*values: float) -> np.ndarray:
    return np.array([values], np.float32)


@pytest.mark.parametrize(
    ("outputs", "meaning"),
    [
        (row(0.2, 0.3, 0.5), "probabilities"),
        (row(0.2, 0.3, 0.505), "probabilities"),
        (row(0.9, 0.8, 0.1), "scores"),
        (row(-0.1, 0.6, 0.5), "logits"),
        (row(4.0, 0.0, 1.0), "logits"),
    ],
)
def test_what_outputs_are_is_told_from_their_values(outputs, meaning):
    assert meaning_of(outputs) == meaning


@pytest.mark.parametrize("outputs", [row(900, 899, -900), row(0, 0, 0), row(-1, 2, 0.5)])
def test_logits_become_probabilities_by_softmax_and_scores_by_their_sum(outputs):
    assert np.allclose(as_probabilities(outputs, "logits"), softmax(outputs.astype(np.float64)), atol=1e-6)
    assert np.allclose(as_probabilities(row(0.5, 0.3, 0.2) * 1.5, "scores"), row(0.5, 0.3, 0.2))
    assert np.array_equal(as_probabilities(row(0, 0, 0), "scores"), row(0, 0, 0))


def test_coverage_rises_with_each_confidence_that_occurs():
    confidence = np.array([0.9, 0.8, 0.8, 0.6])
    probabilities, labels = np.stack([confidence, 1 - confidence], axis=1), np.array([0, 0, 1, 1])
    rows = risk_coverage(probabilities, labels)
    assert rows == [Answered(0.9, 0.25, 1.0), Answered(0.8, 0.75, 2 / 3), Answered(0.6, 1.0, 0.5)]
    assert answered_at(rows, 0.6) == rows[1]
    assert answered_at(rows, 0.5) == rows[2]
    assert answered_at(rows[1:], 0.85) is None


def test_a_drawn_curve_keeps_both_ends():
    confidence = np.linspace(0.99, 0.51, 997)
    rows = risk_coverage(np.stack([confidence, 1 - confidence], axis=1), np.zeros(997, int))
    few = thinned(rows)
    assert (few[0], few[-1]) == (rows[0], rows[-1]) and 40 <= len(few) <= 60


def test_the_prior_is_that_of_the_targets_trained_on(drawn):
    train = drawn.train
    counts = np.bincount(train.labels)
    np.testing.assert_allclose(prior_of(train, np.ones(len(counts)), is_of_votes=False), counts / counts.sum())
    doubled = np.array([2.0, *[1.0] * (len(counts) - 1)])
    np.testing.assert_allclose(prior_of(train, doubled, is_of_votes=False), counts * doubled / (counts * doubled).sum())
    shares = np.random.default_rng(0).dirichlet(np.ones(len(counts)), len(train)).astype(np.float32)
    by_votes = prior_of(replace(train, shares=shares), np.ones(len(counts)), is_of_votes=True)
    np.testing.assert_allclose(by_votes, shares.mean(axis=0), rtol=1e-5)


def test_a_network_that_leans_to_the_frequent_class_gets_the_power_that_undoes_it():
    rng, prior = np.random.default_rng(0), np.array([0.9, 0.1])
    labels = (rng.random(4000) < 0.5).astype(int)
    logits = np.stack([-2.0 * labels, 2.0 * labels - 2.0], axis=1) + rng.normal(0, 1, (4000, 2))
    fair = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    leaning = without_prior(fair, prior, -1.0)
    assert leaning.argmax(axis=1).mean() < 0.4 < fair.argmax(axis=1).mean()
    assert useful_power(leaning, labels, prior) >= 0.8
    np.testing.assert_allclose(without_prior(leaning, prior, 1.0), fair, rtol=1e-4, atol=1e-6)


def test_no_power_is_taken_that_costs_accuracy():
    prior, labels = np.array([0.8, 0.2]), np.array([0] * 80 + [1] * 20)
    probabilities = np.where(labels[:, None] == 0, [[0.55, 0.45]], [[0.6, 0.4]])
    # Any power that turns the rare class right turns more of the frequent one wrong.
    assert without_prior(probabilities, prior, 0.4).argmax(axis=1).mean() == 1
    assert useful_power(probabilities, labels, prior) == 0


def test_only_a_model_that_knows_its_prior_is_used_with_another(make_model, drawn):
    own = make_model(drawn)
    in_part = replace(own, manifest=own.manifest.model_copy(update={"prior": {"happy": 1.0}}))
    for model in (make_model(), own, in_part):
        with pytest.raises(ArtifactError, match="how often it saw each emotion"):
            with_prior(model, 0.5)
