"""Successive halving across trials: who is stopped, and that the answer stays the same."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fer_core.errors import Interrupted
from fer_core.tuning.halving import is_stopped
from fer_core.tuning.stage import rungs_up_to
from fer_core.tuning.state import changing, load_state
from tests.tuning.made_up import confirmation, made_up_search, minutes, rows, trial


@pytest.fixture
def make_search(paths):
    """A function that makes a search whose trials all run."""

    def make(trials: int = 9, **spec):
        return made_up_search(paths, [trial(number) for number in range(trials)], **spec)

    return make


def why_stopped(search, number: int) -> str:
    return load_state(search).stopped.get(number, "")


def asked_in_order(search, scores: dict[int, float]) -> dict[int, bool]:
    """Returns who is stopped when trials come to the end of the first epoch one after the other, with these scores."""
    return {number: is_stopped(search, number, rows(score)) for number, score in scores.items()}


def test_the_first_three_at_a_rung_go_on_however_bad_they_are(make_search):
    assert asked_in_order(make_search(), {1: 0.5, 2: 0.1, 3: 0.3}) == {1: False, 2: False, 3: False}


def test_who_comes_later_goes_on_in_the_best_third_alone(make_search):
    search = make_search()
    asked_in_order(search, {1: 0.5, 2: 0.6, 3: 0.7})
    assert asked_in_order(search, {4: 0.65, 5: 0.8, 6: 0.75, 7: 0.74}) == {4: True, 5: False, 6: False, 7: True}


def test_equals_are_not_played_off_against_each_other(make_search):
    assert not any(asked_in_order(make_search(), dict.fromkeys(range(9), 0.5)).values())


def test_of_a_loss_the_lowest_are_the_best(make_search):
    search = make_search(objective="val_loss")
    losses = enumerate((9.0, 1.0, 2.0, 3.0, 2.5, 0.5))
    stopped = {number: is_stopped(search, number, rows(loss, objective="val_loss")) for number, loss in losses}
    assert stopped == {0: False, 1: False, 2: False, 3: True, 4: True, 5: False}
    assert "val_loss 3.000 is not among the best third of the 4 trials" in why_stopped(search, 3)


def test_the_best_epoch_so_far_counts(make_search):
    search = make_search()
    for number in (1, 2, 3):
        is_stopped(search, number, rows(0.1, 0.2, 0.5))
    assert not is_stopped(search, 4, rows(0.1, 0.9, 0.2))


def test_the_recipes_own_settings_are_trained_to_their_end(make_search):
    search = make_search()
    asked_in_order(search, {1: 0.5, 2: 0.6, 3: 0.7})
    assert not is_stopped(search, 0, rows(0.01))


@pytest.mark.parametrize(
    ("recipe", "rungs"), [("smoke", [1, 3, 9]), ("compact", [2, 6]), ("resnet", [3, 9, 27]), ("quick", [2, 6])]
)
def test_the_first_rung_lies_after_the_warm_up(make_search, recipe, rungs):
    search = make_search(recipe=recipe, settings={})
    assert list(rungs_up_to(search.plan.base.epochs, search.plan.base)) == rungs
    history = rows(*[0.5] * search.plan.base.epochs)
    for number in (1, 2, 3):
        is_stopped(search, number, history)
    stopped = [epochs for epochs in range(1, rungs[-1] + 1) if is_stopped(search, 4, rows(*[0.1] * epochs))]
    assert stopped[0] == rungs[0] > search.plan.base.warmup_epochs


def test_nobody_is_stopped_between_the_rungs(make_search):
    search = make_search()
    for number in (1, 2, 3, 4):
        is_stopped(search, number, rows(0.5))
    for number, score in ((1, 0.9), (2, 0.9), (3, 0.9)):
        assert not is_stopped(search, number, rows(0.5, score))
        assert not is_stopped(search, number, rows(0.5, score, score))
    assert not is_stopped(search, 4, rows(0.5, 0.1))
    assert is_stopped(search, 4, rows(0.5, 0.1, 0.1))
    assert why_stopped(search, 4).startswith("Stopped after epoch 3: val_macro_f1 0.500 is not among the best third")


def test_a_resumed_trial_is_told_the_same_again_whoever_came_meanwhile(make_search):
    search = make_search()
    asked_in_order(search, {1: 0.5, 2: 0.6, 3: 0.7, 4: 0.65})
    asked_in_order(search, {5: 0.9, 6: 0.9, 7: 0.9, 8: 0.1})
    again = {number: is_stopped(search, number, rows(score)) for number, score in ((1, 0.5), (2, 0.6), (4, 0.65))}
    assert again == {1: False, 2: False, 4: True}
    assert is_stopped(search, 4, rows(0.99))


def test_a_trial_killed_between_two_rungs_and_resumed_is_asked_about_both(make_search):
    search = make_search()
    for number in (1, 2, 3):
        is_stopped(search, number, rows(0.9, 0.9, 0.9))
    assert is_stopped(search, 4, rows(0.1, 0.1, 0.1))
    assert why_stopped(search, 4).startswith("Stopped after epoch 1: ")


@pytest.mark.parametrize("spec", [{"stop_early": False}, {"oracle": "hyperband"}])
def test_nobody_is_compared_where_that_was_not_asked_for(make_search, spec):
    search = make_search(**spec)
    assert not any(asked_in_order(search, {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.1, 5: 0.1}).values())
    assert load_state(search).rungs == {}


def test_a_confirmation_is_trained_to_its_end(paths):
    search = made_up_search(paths, [*(trial(n, 0.9) for n in range(4)), confirmation(4, 0)], max_hours=0.1)
    assert not is_stopped(search, 4, rows(0.01), clock=lambda: minutes(60))


def test_when_the_hours_are_over_every_trial_ends_and_says_why(make_search):
    search = make_search(max_hours=0.5, oracle="hyperband")
    assert not is_stopped(search, 0, rows(0.5), clock=lambda: minutes(29))
    assert is_stopped(search, 0, rows(0.5, 0.6), clock=lambda: minutes(31))
    assert why_stopped(search, 0) == "Stopped after epoch 2: the 0.5 hours of the search are over."


def test_a_cancelled_search_interrupts_its_trials_so_that_they_can_go_on(make_search):
    search = make_search()
    with changing(search) as state:
        state.status = "CANCELLED"
    with pytest.raises(Interrupted):
        is_stopped(search, 1, rows(0.5))
    with changing(search) as state:
        state.status = "RUNNING"
    assert not is_stopped(search, 1, rows(0.5))


def test_many_trials_that_come_at_once_are_all_noted(make_search):
    search = make_search(24)
    with ThreadPoolExecutor(8) as pool:
        stopped = list(pool.map(lambda number: is_stopped(search, number, rows(number / 24)), range(24)))
    state = load_state(search)
    assert sorted(state.rungs[1]) == list(range(24))
    assert sorted(state.stopped) == [number for number in range(24) if stopped[number]]
    assert not stopped[23]


def test_the_best_of_many_trials_is_found_with_a_fraction_of_the_epochs(make_search):
    search, epochs = make_search(81), 27
    random = np.random.default_rng(1)
    heights = random.uniform(0.2, 0.7, 81)
    trained = {}
    for number, height in enumerate(heights):
        curve = [height * (1 - 0.5 * 0.8**epoch) for epoch in range(epochs)]
        ends = (epoch for epoch in range(1, epochs) if is_stopped(search, number, rows(*curve[:epoch])))
        trained[number] = next(ends, epochs)
    best = int(heights.argmax())
    assert trained[best] == epochs
    assert sum(trained.values()) < 0.35 * 81 * epochs
