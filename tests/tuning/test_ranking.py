"""Which trials are good."""

import numpy as np
import pytest

from fer_core.tuning.ranking import latencies, milliseconds_text, pareto, ranked, standings, winner
from tests.tuning.made_up import confirmation, failed, trial

F1 = "val_macro_f1"


def numbers(entries) -> list[int]:
    return [entry.number for entry in entries]


def test_the_best_trial_comes_first():
    assert numbers(ranked([trial(0, 0.4), trial(1, 0.6), trial(2, 0.5)], F1)) == [1, 2, 0]


def test_less_loss_is_better():
    assert numbers(ranked([trial(0, 1.4), trial(1, 0.6), trial(2, 0.9)], "val_loss")) == [1, 2, 0]


def test_of_equals_the_smaller_comes_first_then_the_one_trained_for_longer_then_the_earlier():
    entries = [trial(0, 0.5), trial(1, 0.5, parameters=900), trial(2, 0.5, parameters=300), trial(3, 0.5)]
    entries.append(trial(4, 0.5, parameters=300, epochs=40))
    assert numbers(ranked(entries, F1)) == [4, 2, 1, 0, 3]


def test_what_has_no_score_and_what_confirms_is_not_ranked():
    entries = [trial(0, 0.5), failed(1), trial(2), confirmation(3, 0, 0.9)]
    assert numbers(ranked(entries, F1)) == [0]


def test_the_winner_is_best_on_the_average_of_its_seeds_not_in_a_lucky_one():
    entries = [trial(0, 0.60), trial(1, 0.70)]
    entries += [confirmation(2 + seed, 0, score) for seed, score in enumerate((0.60, 0.61, 0.62))]
    entries += [confirmation(5 + seed, 1, score) for seed, score in enumerate((0.70, 0.50, 0.51))]
    chosen = winner(entries, F1)
    assert (chosen.trial.number, chosen.score) == (0, pytest.approx(0.61))
    assert chosen.best_run(F1).number == 4


def test_without_confirmations_the_best_trial_has_won():
    chosen = winner([trial(0, 0.6), trial(1, 0.7), failed(2)], F1)
    assert (chosen.trial.number, chosen.score, chosen.best_run(F1).number) == (1, 0.7, 1)


def test_what_diverged_with_one_seed_stands_behind_what_never_did():
    entries = [trial(0, 0.6), trial(1, 0.9)]
    entries += [confirmation(2, 0, 0.6), confirmation(3, 0, 0.6)]
    entries += [confirmation(4, 1, 0.9), failed(5, kind="confirm", of=1)]
    assert [one.trial.number for one in standings(entries, F1)] == [0, 1]


def test_of_equal_means_the_smaller_network_has_won():
    entries = [trial(0, 0.6, parameters=900), trial(1, 0.6, parameters=300)]
    assert winner(entries, F1).trial.number == 1


def test_nobody_has_won_where_nothing_was_finished():
    assert winner([failed(0), trial(1)], F1) is None


@pytest.mark.parametrize(("objective", "sign"), [(F1, 1), ("val_loss", -1)])
def test_no_trial_beats_one_of_the_pareto_set_and_each_other_is_beaten(objective, sign):
    random = np.random.default_rng(3)
    entries = [trial(n, float(random.integers(20)) / 20, latency_ms=float(random.integers(1, 15))) for n in range(60)]
    front = pareto(entries, objective, lambda entry: entry.latency_ms)

    def beats(one, other) -> bool:
        gains = sign * (one.score - other.score), other.latency_ms - one.latency_ms
        return min(gains) >= 0 and max(gains) > 0

    assert not any(beats(one, other) for other in front for one in entries)
    points = {(entry.score, entry.latency_ms) for entry in front}
    others = [entry for entry in entries if (entry.score, entry.latency_ms) not in points]
    assert all(any(beats(one, other) for one in front) for other in others)
    assert len(points) == len(front) > 1
    assert [entry.latency_ms for entry in front] == sorted(entry.latency_ms for entry in front)


def test_a_trial_of_unknown_cost_is_in_no_pareto_set():
    entries = [trial(0, 0.9), trial(1, 0.5, latency_ms=1.0), trial(2, 0.4, latency_ms=0.5)]
    assert numbers(pareto(entries, F1, lambda entry: entry.latency_ms)) == [2, 1]


def test_the_same_network_takes_the_same_time_whenever_it_was_measured():
    entries = [trial(0, 0.4, parameters=100, latency_ms=0.045), trial(1, 0.5, parameters=100, latency_ms=0.039)]
    entries += [trial(2, parameters=10, latency_ms=0.2), trial(3, 0.5, parameters=7), trial(4, 0.5, latency_ms=3.0)]
    assert latencies(entries) == {0: 0.039, 1: 0.039, 2: 0.2, 4: 3.0}


@pytest.mark.parametrize(("milliseconds", "text"), [(0.0391, "0.039"), (0.5, "0.5"), (9.94, "9.9"), (123.4, "123")])
def test_a_latency_has_two_digits_that_count(milliseconds, text):
    assert milliseconds_text(milliseconds) == text
