"""The confusion matrix as a metric."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix

from fer_core.training.compiling import Confusion
from fer_core.training.feed import one_hot


@pytest.fixture
def guesses():
    random = np.random.default_rng(0)
    return random.integers(0, 5, 100), random.random((100, 5)).astype(np.float32)


def test_batches_add_up_to_the_matrix_of_scikit_learn(guesses):
    labels, probabilities = guesses
    metric = Confusion(5)
    for part in (slice(0, 64), slice(64, 100)):
        metric.update_state(one_hot(labels[part], 5), probabilities[part])
    np.testing.assert_array_equal(metric.matrix(), confusion_matrix(labels, probabilities.argmax(axis=1)))
    assert float(metric.result()) == pytest.approx(accuracy_score(labels, probabilities.argmax(axis=1)))


def test_class_weights_do_not_count(guesses):
    labels, probabilities = guesses
    metric = Confusion(5)
    metric.update_state(one_hot(labels, 5), probabilities, sample_weight=np.full(100, 3.0))
    assert metric.matrix().sum() == 100


def test_a_new_epoch_begins_at_nothing(guesses):
    labels, probabilities = guesses
    metric = Confusion(5)
    metric.update_state(one_hot(labels, 5), probabilities)
    metric.reset_state()
    assert (metric.matrix().sum(), float(metric.result())) == (0, 0)


def test_a_mixed_label_counts_as_the_class_that_it_has_most_of(guesses):
    labels, probabilities = guesses
    plain, mixed = Confusion(5), Confusion(5)
    plain.update_state(one_hot(labels, 5), probabilities)
    mixed.update_state(0.6 * one_hot(labels, 5) + 0.4 * one_hot(labels[::-1], 5), probabilities)
    np.testing.assert_array_equal(mixed.matrix(), plain.matrix())
