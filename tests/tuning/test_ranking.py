"""Which trials are good."""

import numpy as np
import pytest

from fer_core.tuning.entries import latencies, pareto, ranked, standings, winner
from tests.tuning.made_up import confirmation, failed, trial

F1 = "val_macro_f1"


def numbers(entries) -> list[int]:
    return [entry.number for entry in entries]


def test_the_best_finished_trial_comes_first():
    entries = [trial(0, 0.4), trial(1, 0.6), trial(2, 0.5), failed(3), trial(4), confirmation(5, 0, 0.9)]
    assert numbers(ranked(entries, F1)) == [1, 2, 0]
    assert numbers(ranked(entries, "val_loss")) == [0, 2, 1]


def test_of_equals_the_smaller_comes_first_then_the_one_trained_for_longer_then_the_earlier():
    entries = [trial(0, 0.5), trial(1, 0.5, parameters=900), trial(2, 0.5, parameters=300), trial(3, 0.5)]
    entries.append(trial(4, 0.5, parameters=300, epochs=40))
    assert numbers(ranked(entries, F1)) == [4, 2, 1, 0, 3]
    assert winner(entries, F1).trial.number == 4


def test_the_winner_is_best_on_the_average_of_its_seeds_not_in_a_lucky_one():
    entries = [trial(0, 0.60), trial(1, 0.70), failed(8), trial(9)]
    chosen = winner(entries, F1)
    assert (chosen.trial.number, chosen.score, chosen.best_run(F1).number) == (1, 0.7, 1)
    entries += [confirmation(2 + seed, 0, score) for seed, score in enumerate((0.60, 0.61, 0.62))]
    entries += [confirmation(5 + seed, 1, score) for seed, score in enumerate((0.70, 0.50, 0.51))]
    chosen = winner(entries, F1)
    assert (chosen.trial.number, chosen.score) == (0, pytest.approx(0.61))
    assert chosen.best_run(F1).number == 4
    assert winner(entries[2:4], F1) is None


def test_what_diverged_with_one_seed_stands_behind_what_never_did():
    entries = [trial(0, 0.6), trial(1, 0.9)]
    entries += [confirmation(2, 0, 0.6), confirmation(3, 0, 0.6)]
    entries += [confirmation(4, 1, 0.9), failed(5, kind="confirm", of=1)]
    assert [one.trial.number for one in standings(entries, F1)] == [0, 1]


@pytest.mark.parametrize(("objective", "sign"), [(F1, 1), ("val_loss", -1)])
def test_no_trial_beats_one_of_the_pareto_set_and_each_other_is_beaten(objective, sign):
    random = np.random.default_rng(3)
    entries = [trial(n, float(random.integers(20)) / 20, latency_ms=float(random.integers(1, 15))) for n in range(60)]
    entries.append(trial(60, 1.0 if sign > 0 else 0.0))  # of unknown cost
    front = pareto(entries, objective, lambda entry: entry.latency_ms)

    def beats(one, other) -> bool:
        gains = sign * (one.score - other.score), other.latency_ms - one.latency_ms
        return min(gains) >= 0 and max(gains) > 0

    assert not any(beats(one, other) for other in front for one in entries[:60])
    points = [(entry.score, entry.latency_ms) for entry in front]
    others = [entry for entry in entries[:60] if (entry.score, entry.latency_ms) not in points]
    assert all(any(beats(one, other) for one in front) for other in others)
    assert len(set(points)) == len(front) > 1
    assert [latency for _, latency in points] == sorted(latency for _, latency in points)


def test_the_same_network_takes_the_same_time_whenever_it_was_measured():
    entries = [trial(0, 0.4, parameters=100, latency_ms=0.045), trial(1, 0.5, parameters=100, latency_ms=0.039)]
    entries += [trial(2, parameters=10, latency_ms=0.2), trial(3, 0.5, parameters=7), trial(4, 0.5, latency_ms=3.0)]
    assert latencies(entries) == {0: 0.039, 1: 0.039, 2: 0.2, 4: 3.0}
