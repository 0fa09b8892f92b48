"""The prior: how often a class was the target, and what its removal does to rare classes."""

from dataclasses import replace

import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import prior_of, useful_power, with_prior, without_prior


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


def test_only_a_model_that_knows_its_prior_is_used_with_another(make_model):
    with pytest.raises(ArtifactError, match="how often it saw each emotion"):
        with_prior(make_model(), 0.5)
