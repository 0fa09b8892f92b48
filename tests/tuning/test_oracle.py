"""What is tried next: each of Keras Tuner's oracles, asked afresh for every trial."""

import itertools
import json
import math
from collections import Counter

import pytest

from fer_core.tuning.entries import Entry, Plan
from fer_core.tuning.oracle import propose
from fer_core.tuning.space import with_values
from tests.tuning.made_up import hill, plan_of

EVERY_ORACLE = pytest.mark.parametrize("oracle", ["random", "hyperband", "bayesian", "grid"])
SPACE = ("learning_rate", "optimizer", "weight_decay", "batch_size", "flip", "filters")


def make_plan(**settings) -> Plan:
    return plan_of(**{"space": SPACE, "max_trials": 30} | settings)


def entry(number: int, values: dict, status: str = "COMPLETED", score: float | None = None) -> Entry:
    score = hill(values) if score is None and status == "COMPLETED" else score
    return Entry(number=number, seed=0, values=values, run=f"run-{number}", status=status, score=score)


def tried(plan: Plan, count: int) -> list[Entry]:
    """Returns the first trials of a search."""
    trials: list[Entry] = []
    while len(trials) < count and not isinstance(values := propose(plan, trials), str):
        trials.append(entry(len(trials), values))
    return trials


def settings_of(trials: list[Entry]) -> list[str]:
    return [json.dumps(trial.settings, sort_keys=True) for trial in trials]


@EVERY_ORACLE
def test_the_recipes_own_values_come_first_and_then_what_is_given(oracle):
    given = ({"learning_rate": 0.005, "flip": True}, {"optimizer": "sgd"})
    plan = make_plan(oracle=oracle, start_from=given)
    trials = tried(plan, 5)
    assert tuple(trial.settings for trial in trials[:3]) == plan.first_values


@EVERY_ORACLE
def test_each_proposal_is_json_of_valid_settings_and_has_only_values_that_are_of_use(oracle):
    plan = make_plan(oracle=oracle)
    for trial in tried(plan, 12):
        assert with_values(plan.base, trial.values)
        assert json.loads(json.dumps(trial.values)) == trial.values
        assert ("weight_decay" in trial.values) == (trial.values["optimizer"] in ("adamw", "sgd"))


@EVERY_ORACLE
def test_the_same_search_proposes_the_same_and_another_seed_something_else(oracle):
    first, second = (settings_of(tried(make_plan(oracle=oracle), 8)) for _ in range(2))
    assert first == second
    others = settings_of(tried(make_plan(oracle=oracle, seed=1), 8))
    assert (others == first) == (oracle == "grid")


@EVERY_ORACLE
def test_nothing_is_tried_twice_until_there_is_nothing_left(oracle):
    plan = make_plan(oracle=oracle, space=("flip", "batch_size"), settings={"epochs": 1}, max_trials=9)
    trials = tried(plan, 30)
    found = [(trial.values["flip"], trial.values["batch_size"]) for trial in trials]
    assert len(found) == len(set(found)) and set(found) <= set(itertools.product((False, True), (32, 64, 128)))
    assert propose(plan, trials) == "exhausted"
    assert len(found) == 6 or oracle != "grid"


def test_a_grid_tries_every_combination_with_both_ends_of_each_range():
    plan = make_plan(oracle="grid", space=("learning_rate", "optimizer", "weight_decay"), max_trials=1000)
    trials = tried(plan, 1000)
    rates = {trial.values["learning_rate"] for trial in trials}
    decays = {trial.values["weight_decay"] for trial in trials if "weight_decay" in trial.values}
    assert rates == {1e-5, 5.62341e-5, 0.000316228, 0.00177828, 0.01, plan.base.learning_rate}
    assert decays == {1e-6, 1e-5, 1e-4, 1e-3, 1e-2}
    # adam without a decay, adamw and sgd with each
    assert len(set(settings_of(trials))) == len(trials) == len(rates) * (1 + 2 * len(decays))


def test_a_grid_goes_on_after_what_was_given():
    alone = tried(make_plan(oracle="grid", space=("batch_size", "flip")), 10)
    given = ({"batch_size": 128, "flip": True},)
    trials = tried(make_plan(oracle="grid", space=("batch_size", "flip"), start_from=given), 10)
    assert settings_of(trials)[1] == settings_of([entry(0, given[0])])[0]
    assert sorted(settings_of(trials)) == sorted(settings_of(alone)) and len(alone) == 6


@pytest.mark.parametrize("some_fail", [False, True])
def test_hyperband_trains_the_best_of_each_bracket_longer_and_comes_to_an_end(some_fail):
    plan = make_plan(oracle="hyperband", max_epochs=9, max_trials=100)
    trials: list[Entry] = []
    while not isinstance(values := propose(plan, trials), str):
        trials.append(entry(len(trials), values, "FAILED" if some_fail and len(trials) % 4 == 1 else "COMPLETED"))
    assert values == "exhausted" and 15 < len(trials) < 25
    places = [tuple(trial.values[f"tuner/{name}"] for name in ("bracket", "round", "epochs")) for trial in trials]
    sizes = {(2, 0, 1): 9, (2, 1, 3): 3, (2, 2, 9): 1, (1, 0, 3): 5, (1, 1, 9): 2, (0, 0, 9): 3}
    assert some_fail or Counter(places) == sizes
    continued: set[int] = set()
    for trial in (trial for trial in trials if "tuner/trial_id" in trial.values):
        source = trials[int(trial.values["tuner/trial_id"])]
        rivals = [
            other
            for other in trials[: trial.number]
            if (places[other.number][:2], other.status) == (places[source.number][:2], "COMPLETED")
        ]
        assert source.score == max(other.score for other in rivals if other.number not in continued)
        assert places[source.number][:2] == (trial.values["tuner/bracket"], trial.values["tuner/round"] - 1)
        assert trial.settings == source.settings
        assert trial.values["tuner/initial_epoch"] == source.values["tuner/epochs"] < trial.values["tuner/epochs"]
        continued.add(source.number)


def test_hyperband_waits_for_trials_that_are_needed_to_choose():
    plan = make_plan(oracle="hyperband", max_epochs=9, max_trials=100)
    trials: list[Entry] = []
    while not isinstance(values := propose(plan, trials), str):
        trials.append(entry(len(trials), values, "RUNNING"))
    assert (values, len(trials)) == ("wait", 9 + 5 + 3)
    told = [entry(trial.number, trial.values) for trial in trials]
    assert propose(plan, told[:6] + trials[6:]) == "wait"
    best = max(told[:7], key=lambda trial: trial.score)
    assert propose(plan, told[:7] + trials[7:])["tuner/trial_id"] == str(best.number)


def valley(values: dict) -> float:
    """Returns a score, at most 0, that is best at a learning rate of 1e-3 and a rotation of 10."""
    return -((math.log10(values["learning_rate"]) + 3) ** 2) - ((values["rotation"] - 10) / 30) ** 2


def best_of(oracle: str) -> float:
    """Returns the best score of a search of 14 trials."""
    space = ("learning_rate", "rotation")
    plan = make_plan(oracle=oracle, seed=3, space=space, recipe="weighted_loss", max_trials=14)
    trials: list[Entry] = []
    while len(trials) < 14:
        values = propose(plan, trials)
        trials.append(entry(len(trials), values, score=valley(values)))
    return max(trial.score for trial in trials)


def test_bayesian_comes_closer_to_the_best_settings_than_chance():
    assert 0.2 * best_of("random") < best_of("bayesian") <= 0


def test_bayesian_repeats_no_running_trial_and_bears_equal_scores_and_trials_that_fail():
    plan = make_plan(oracle="bayesian", max_trials=12, space=("learning_rate", "batch_size"))
    trials = tried(plan, 4)
    for status in ("COMPLETED", "FAILED", "RUNNING", "RUNNING", "RUNNING", "RUNNING"):
        trials.append(entry(len(trials), propose(plan, trials), status, 0.5 if status == "COMPLETED" else None))
    assert len(set(settings_of(trials))) == 10


def test_a_loss_is_made_small():
    plan = make_plan(oracle="hyperband", max_epochs=3, objective="val_loss", space=("learning_rate",))
    trials: list[Entry] = []
    for number, score in enumerate((0.9, 0.2, 0.5)):
        trials.append(entry(number, propose(plan, trials), score=score))
    assert propose(plan, trials)["tuner/trial_id"] == "1"
