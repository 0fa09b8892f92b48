import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from fer_core.evaluation.precision_recall import precision_recall


@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.sampled_from([1, 2, 6]))
def test_the_average_precision_is_that_of_scikit_learn(seed, images, digits):
    """With one digit many images have the same probability."""
    random = np.random.default_rng(seed)
    probabilities, labels = random.random((images, 3)).round(digits), random.integers(0, 3, images)
    for number, curve in enumerate(precision_recall(probabilities, labels)):
        is_class = labels == number
        if is_class.any():
            expected = sklearn_metrics.average_precision_score(is_class, probabilities[:, number])
            assert curve.average_precision == pytest.approx(expected)


def test_the_curve_is_that_of_scikit_learn(truth, probabilities):
    for number, curve in enumerate(precision_recall(probabilities, truth)):
        precision, recall, _ = sklearn_metrics.precision_recall_curve(truth == number, probabilities[:, number])
        np.testing.assert_allclose(curve.recall[::-1], recall[:-1])
        np.testing.assert_allclose(curve.precision[::-1], precision[:-1])


def test_a_class_without_images_has_no_curve():
    happy, sad = precision_recall(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    assert happy.average_precision == 1.0
    assert (len(sad.recall), sad.average_precision) == (0, None)
