import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from fer_core.errors import ArtifactError, DatasetError
from fer_core.evaluation.metrics import (
    Evaluation,
    class_scores,
    confusion_matrix,
    difference_interval,
    evaluate_probabilities,
    macro_f1_interval,
    precision_recall,
    resampled_scores,
    summary,
    wilson_interval,
)
from tests.evaluation.conftest import scores_by_hand


def evaluated(probabilities, labels, names=("happy", "sad"), **options):
    return evaluate_probabilities(np.array(probabilities), np.array(labels), label_names=names, split="test", **options)


def test_the_scores_are_those_worked_out_by_hand_and_a_class_without_images_is_left_out():
    confusion = confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 2]), 4)
    assert confusion.tolist() == [[2, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert summary(confusion) == pytest.approx((2 / 4, 1 / 2, 1 / 3, 0.8 / 2))
    scores = [(score.precision, score.recall, score.f1, score.images) for score in class_scores(confusion)]
    assert scores == [pytest.approx((1, 2 / 3, 0.8, 3)), (0, 0, 0, 1), (0, 0, 0, 0), (0, 0, 0, 0)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60))
def test_the_scores_of_many_resamples_at_once_are_those_of_each(pairs):
    confusion = confusion_matrix(*np.array(pairs).T, 5)
    truths, guesses = np.nonzero(confusion)
    ((macro_f1, *recalls),) = resampled_scores(confusion[truths, guesses][np.newaxis].astype(float), truths, guesses, 5)
    assert macro_f1 == pytest.approx(summary(confusion).macro_f1)
    assert recalls == pytest.approx([score.recall for score in class_scores(confusion)])


def test_a_curve_has_a_point_for_each_probability_and_a_class_without_images_has_none():
    happy, sad = precision_recall(np.array([[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.2, 0.8]]), np.array([0, 1, 0, 1]))
    assert (happy.recall.tolist(), happy.precision.tolist()) == ([0.5, 1, 1], [1, pytest.approx(2 / 3), 0.5])
    assert happy.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert sad.average_precision == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    happy, sad = precision_recall(np.array([[0.9, 0.1], [0.4, 0.6]]), np.array([0, 0]))
    assert happy.average_precision == 1.0
    assert (len(sad.recall), sad.average_precision) == (0, None)


def test_a_class_number_that_there_is_not_is_named_and_an_empty_matrix_scores_zero():
    with pytest.raises(DatasetError, match=r"Class numbers are 0 to 1, found 0 to 2"):
        confusion_matrix(np.array([0, 2]), np.array([0, 1]), 2)
    assert summary(np.zeros((3, 3), int)) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (81, 263, 0.2553, 0.3662), (0, 0, 0, 1)],
)
def test_the_interval_is_wilsons(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-4)
    low, high = wilson_interval(600, 1000, confidence=0.99)
    assert low < wilson_interval(600, 1000)[0] < 0.6 < wilson_interval(600, 1000)[1] < high


def test_the_interval_of_macro_f1_is_that_of_drawing_the_images_again(truth, probabilities):
    predictions = probabilities.argmax(axis=1)
    random = np.random.default_rng(1)
    drawn = (random.integers(0, len(truth), len(truth)) for _ in range(400))
    scores = [scores_by_hand(truth[images], predictions[images], 7)[0] for images in drawn]
    found = macro_f1_interval(confusion_matrix(truth, predictions, 7))
    assert found == pytest.approx(np.quantile(scores, (0.025, 0.975)), abs=0.004)


@pytest.mark.parametrize(
    ("confusion", "low", "high"),
    [
        ([[1, 0], [0, 1]], 0.4389, 1.0),
        ([[140, 0], [0, 140]], 0.9811, 1.0),
        ([[1000, 0], [0, 2]], 0.6711, 1.0),  # the two images of the rare class carry no certainty
        ([[0, 5], [5, 0]], 0.0, 0.3073),
    ],
)
def test_what_was_always_or_never_right_is_not_certain_for_that(confusion, low, high):
    assert macro_f1_interval(np.array(confusion)) == pytest.approx((low, high), abs=1e-4)


def test_one_class_without_an_error_adds_to_what_the_others_vary():
    low, high = macro_f1_interval(np.array([[30, 10, 0], [10, 30, 0], [0, 0, 4]]))
    middle = 2.5 / 3
    of_rest = 0.75 - macro_f1_interval(np.array([[30, 10], [10, 30]]))[0]
    assert middle - low == pytest.approx(np.hypot(2 * of_rest, 1 - wilson_interval(4, 4)[0]) / 3, abs=0.01)
    assert middle < high < 1


def test_the_interval_of_a_difference_is_newcombes():
    def interval(*shares):
        return difference_interval(*((right / n, wilson_interval(right, n)) for right, n in shares))

    assert interval((56, 70), (48, 80)) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert interval((10, 10), (0, 10)) == pytest.approx((0.6075, 1.0), abs=1e-4)


def test_an_evaluation_says_what_it_is_of(evaluation, truth, probabilities):
    assert (evaluation.split, evaluation.images) == ("PublicTest", 3589)
    assert evaluation.accuracy == pytest.approx((probabilities.argmax(axis=1) == truth).mean())
    assert evaluation.loss == pytest.approx(log_loss(truth, probabilities), rel=1e-5)
    for score, (low, high) in (
        (evaluation.accuracy, evaluation.accuracy_interval),
        (evaluation.macro_f1, evaluation.macro_f1_interval),
    ):
        assert low < score < high
        assert 0.02 < high - low < 0.05
    assert evaluation.labels[3] == "happy"
    assert evaluation.per_class["happy"].images == 895
    assert np.sum(evaluation.confusion) == 3589
    assert macro_f1_interval(evaluation.confusion) == evaluation.macro_f1_interval
    assert macro_f1_interval(evaluation.confusion, seed=1) != evaluation.macro_f1_interval


def test_images_that_also_occur_in_training_are_left_out_of_the_second_score():
    probabilities, copies = [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]], np.array([True, False, False])
    found = evaluated(probabilities, [0, 1, 1], is_training_copy=copies).without_training_copies
    assert (found.images, found.accuracy, found.accuracy_interval) == (2, 0.5, wilson_interval(1, 2))
    for unknown_or_all in (None, np.array([True])):
        assert evaluated([[0.9, 0.1]], [0], is_training_copy=unknown_or_all).without_training_copies is None


def test_a_probability_of_zero_gives_a_finite_loss():
    assert evaluated([[1.0, 0.0]], [1]).loss == pytest.approx(16.118, abs=1e-3)


def test_an_evaluation_survives_json_and_a_field_that_is_missing_is_named(evaluation):
    values = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert Evaluation.from_json(values) == evaluation
    del values["accuracy"]
    with pytest.raises(ArtifactError, match="no evaluation of ours: accuracy: field required"):
        Evaluation.from_json(values)


@pytest.mark.parametrize(
    ("outputs", "labels", "error", "words"),
    [
        ([[np.nan, 0.1], [0.5, 0.5], [np.inf, 0]], [0, 1, 1], ArtifactError, r"NaN or infinite\) for 2 of 3 images"),
        ([[0.2, 0.3, 0.5]], [0], ArtifactError, r"gave 1 × 3 probabilities for 1 images × 2 classes \(happy, sad\)"),
        (np.zeros((0, 2)), [], DatasetError, "no images to evaluate on"),
    ],
    ids=["nan", "other classes", "none"],
)
def test_outputs_that_cannot_be_scored_are_named(outputs, labels, error, words):
    with pytest.raises(error, match=words) as caught:
        evaluated(outputs, labels)
    assert caught.value.hint
