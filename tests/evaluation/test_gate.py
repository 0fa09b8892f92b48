"""The gate: what is better is let through, what is as good or worse is not, and chance is told from gain."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from fer_core.evaluation.gate import Comparison, Limits, Verdict, compare, judge
from tests.evaluation.conftest import scores_by_hand

LIMITS = Limits(min_gain=0.0, max_recall_loss=0.0, max_calibration_loss=0.01, confidence=0.95)
LABELS = ("angry", "happy", "sad")


def guesses(random: np.random.Generator, truth: np.ndarray, *, right: float, classes: int = 3) -> np.ndarray:
    """Returns predictions that are right in about that share of the images."""
    wrong = random.integers(0, classes, len(truth))
    return np.where(random.random(len(truth)) < right, truth, wrong)


def sure(predictions: np.ndarray, *, confidence: float = 0.8, classes: int = 3) -> np.ndarray:
    """Returns probabilities of a model that gives its prediction this confidence."""
    rest = (1 - confidence) / (classes - 1)
    return np.where(np.eye(classes)[predictions] == 1, confidence, rest)


def compared(truth, champion, challenger, *, classes: int = 3, seed: int = 0) -> Comparison:
    return compare(truth, champion, challenger, classes=classes, confidence=0.95, seed=seed)


def judged(truth, champion, challenger, **limits) -> Verdict:
    return judge(truth, sure(champion), sure(challenger), labels=LABELS, limits=LIMITS._replace(**limits))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def truth(random) -> np.ndarray:
    return random.choice(3, 900, p=(0.2, 0.5, 0.3))


@pytest.fixture
def champion(random, truth) -> np.ndarray:
    return guesses(random, truth, right=0.5)


@pytest.fixture
def better(random, truth, champion) -> np.ndarray:
    """Predictions that mend a third of the champion's mistakes."""
    return np.where(random.random(len(truth)) < 0.33, truth, champion)


def test_the_scores_are_those_of_scikit_learn_and_a_class_that_nobody_has_does_not_count(truth, champion, better):
    found = compared(truth, champion, better)
    for name, predictions in (("champion", champion), ("challenger", better)):
        assert getattr(found.macro_f1, name) == pytest.approx(f1_score(truth, predictions, average="macro"))
        recalls = [getattr(recall, name) for recall in found.recall]
        assert recalls == pytest.approx(recall_score(truth, predictions, average=None))
    four = compared(truth, champion, better, classes=4)
    assert four.macro_f1[:2] == found.macro_f1[:2]
    assert four.recall[3] == (0, 0, (-1, 1))


def test_the_intervals_are_those_of_drawing_the_images_again_in_pairs(truth, champion, better):
    found = compared(truth, champion, better)
    random = np.random.default_rng(1)
    gains = []
    for _ in range(500):
        drawn = random.integers(0, len(truth), len(truth))
        before, after = (scores_by_hand(truth[drawn], of_model[drawn], 3) for of_model in (champion, better))
        gains.append(after - before)
    expected = np.quantile(gains, (0.025, 0.975), axis=0).T
    intervals = np.array([found.macro_f1.interval, *(recall.interval for recall in found.recall)])
    widths = expected[:, 1] - expected[:, 0]
    assert np.abs(intervals - expected).max(axis=1) / widths == pytest.approx(np.zeros(4), abs=0.15)


def test_two_that_answer_nearly_all_images_alike_are_not_told_apart():
    truth = np.repeat([0, 1, 2], (10, 500, 490))
    champion = np.where(np.arange(1000) < 5, 1, truth)
    mended = np.where(np.arange(1000) < 1, 1, truth)
    for pair in ((champion, champion), (truth, truth), (champion, mended), (mended, champion)):
        found = compared(truth, *pair)
        assert found.macro_f1.interval[0] < 0 < found.macro_f1.interval[1]
        assert not judged(truth, *pair).better
    low, high = compared(truth, truth, truth).recall[0].interval
    assert (low, high) == pytest.approx((-0.2775, 0.2775), abs=1e-4), "ten images carry no certainty"
    lost = compared(truth, truth, champion).recall[0]
    assert lost[:2] == (1, 0.5) and lost.interval[1] < 0, "but half of a class lost is seen"


def test_the_same_seed_gives_the_same_figures_and_another_one_nearly_the_same(truth, champion, better):
    first, again, other = (compared(truth, champion, better, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert first.macro_f1.interval == pytest.approx(other.macro_f1.interval, abs=0.005)


def test_a_better_model_is_let_through_and_the_gain_is_said(truth, champion, better):
    verdict = judged(truth, champion, better)
    assert verdict.better
    (reason,) = verdict.reasons
    assert reason.startswith("Macro F1 rises from ")
    assert reason.endswith(" on 900 images; no class is measurably worse.")
    assert verdict.figures["macro_f1"]["interval"][0] > 0
    assert list(verdict.figures["recall"]) == list(LABELS)


def test_a_model_that_is_as_good_worse_or_not_better_by_what_is_asked_for_is_not(truth, champion, better):
    for pair in ((champion, champion), (better, champion)):
        verdict = judged(truth, *pair)
        assert not verdict.better
        assert verdict.reasons[0].startswith("Macro F1 is not measurably higher: ")
    verdict = judged(truth, champion, better, min_gain=0.5)
    assert "not measurably higher by more than +50.0 points" in verdict.reasons[0]
    (low, high), (lower, higher) = (
        judged(truth, champion, better, confidence=share).figures["macro_f1"]["interval"] for share in (0.8, 0.99)
    )
    assert lower < low < high < higher, "more confidence asks for more"


def test_one_class_that_is_recognised_worse_or_lost_stops_a_model_that_is_better_on_the_whole(random, truth, champion):
    challenger = np.where(truth == 0, guesses(random, truth, right=0.1), truth)
    verdict = judged(truth, champion, challenger)
    assert verdict.figures["macro_f1"]["interval"][0] > 0
    assert not verdict.better
    assert [reason.partition(" from")[0] for reason in verdict.reasons] == ["The recall of angry falls"]
    assert judged(truth, champion, challenger, max_recall_loss=0.9).better
    lost = judged(truth, champion, np.where(truth == 2, 1, truth), max_recall_loss=0.99)
    assert "The class sad is lost: none of its images is recognised any more." in lost.reasons


def test_a_model_that_is_much_too_sure_is_stopped(truth, champion, better):
    probabilities = sure(champion, confidence=0.67), sure(better, confidence=0.999)
    verdict = judge(truth, *probabilities, labels=LABELS, limits=LIMITS)
    assert [reason.partition(":")[0] for reason in verdict.reasons] == ["Calibration is worse"]
    assert judge(truth, *probabilities, labels=LABELS, limits=LIMITS._replace(max_calibration_loss=0.9)).better


def test_without_images_of_a_class_nothing_can_be_said(truth, champion, better):
    kept = truth != 0
    verdict = judged(truth[kept], champion[kept], better[kept])
    assert (verdict.better, verdict.reasons) == (False, ("No image of angry is left to compare the two on.",))


def test_of_two_equally_good_models_one_in_forty_is_let_through_at_most():
    """By chance the interval lies above zero in 2.5 % of all cases; the other rules make it fewer."""
    random = np.random.default_rng(11)
    let_through = 0
    for _ in range(100):
        truth = random.choice(3, 600, p=(0.1, 0.5, 0.4))
        pair = (guesses(random, truth, right=0.5) for _ in range(2))
        let_through += judged(truth, *pair, max_calibration_loss=1.0).better
    assert let_through <= 5
