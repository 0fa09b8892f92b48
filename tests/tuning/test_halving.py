"""Successive halving across trials: who is stopped, and that the answer stays the same."""

import numpy as np
import pytest

from fer_core.errors import Interrupted
from fer_core.tuning.stage import rungs_up_to
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.trials import is_stopped
from tests.tuning.made_up import confirmation, made_up_search, minutes, rows, trial


@pytest.fixture
def make_search(paths):
    """A function that makes a search whose trials all run."""
    return lambda trials=9, **spec: made_up_search(paths, [trial(number) for number in range(trials)], **spec)


def reason(search, number: int) -> str:
    return load_state(search).stopped.get(number, "")


def stopped_in_order(search, scores: dict[int, float], objective: str = "val_macro_f1") -> list[int]:
    """Returns who is stopped when trials come to the end of the first epoch one after the other, with these scores."""
    return [number for number, score in scores.items() if is_stopped(search, number, rows(score, objective=objective))]


def test_the_first_three_at_a_rung_continue_and_later_ones_in_the_best_third_alone(make_search):
    search = make_search()
    assert stopped_in_order(search, {1: 0.5, 2: 0.1, 3: 0.3}) == []
    assert stopped_in_order(search, {4: 0.4, 5: 0.8, 6: 0.75, 7: 0.74}) == [4, 7]
    # Resumed trials get the same answer, whoever came meanwhile; trial 0, the recipe itself, is trained to its end.
    assert stopped_in_order(search, {1: 0.5, 2: 0.1, 4: 0.99, 0: 0.01}) == [4]


def test_of_a_loss_the_lowest_are_the_best(make_search):
    search = make_search(objective="val_loss")
    assert stopped_in_order(search, dict(enumerate((9.0, 1.0, 2.0, 3.0, 2.5, 0.5))), "val_loss") == [3, 4]
    assert "val_loss 3.000 is not among the best third of the 4 trials" in reason(search, 3)


@pytest.mark.parametrize(("recipe", "rungs"), [("smoke", [1, 3, 9]), ("resnet", [3, 9, 27])])
def test_the_first_rung_lies_after_the_warm_up(make_search, recipe, rungs):
    search = make_search(recipe=recipe, settings={})
    base = search.plan.base
    assert list(rungs_up_to(base.epochs, base)) == rungs
    for number in (1, 2, 3):
        is_stopped(search, number, rows(*[0.5] * base.epochs))
    stopped = [epochs for epochs in range(1, rungs[-1] + 1) if is_stopped(search, 4, rows(*[0.1] * epochs))]
    assert stopped[0] == rungs[0] > base.warmup_epochs


def test_nobody_is_stopped_between_the_rungs_and_the_best_epoch_so_far_counts(make_search):
    search = make_search()
    for number in (1, 2, 3, 4):
        is_stopped(search, number, rows(0.5))
    for number in (1, 2, 3):
        assert not is_stopped(search, number, rows(0.5, 0.9))
        assert not is_stopped(search, number, rows(0.5, 0.9, 0.1))
    assert not is_stopped(search, 4, rows(0.5, 0.1))
    assert is_stopped(search, 4, rows(0.5, 0.1, 0.1))
    assert reason(search, 4).startswith("Stopped after epoch 3: val_macro_f1 0.500 is not among the best third")
    assert is_stopped(search, 5, rows(0.1, 0.1, 0.1))  # killed between two rungs and resumed
    assert reason(search, 5).startswith("Stopped after epoch 1: ")


@pytest.mark.parametrize("spec", [{"stop_early": False}, {"oracle": "hyperband"}])
def test_nobody_is_compared_where_that_was_not_asked_for(make_search, spec):
    search = make_search(**spec)
    assert stopped_in_order(search, {1: 0.9, 2: 0.8, 3: 0.7, 4: 0.1, 5: 0.1}) == []
    assert load_state(search).rungs == {}


def test_when_the_hours_are_over_every_trial_ends_and_says_why_but_confirmations_do_not(paths):
    entries = [*(trial(n, 0.9) for n in range(3)), trial(3), confirmation(4, 0)]
    search = made_up_search(paths, entries, max_hours=0.5, oracle="hyperband")
    assert not is_stopped(search, 3, rows(0.5), clock=lambda: minutes(29))
    assert is_stopped(search, 3, rows(0.5, 0.6), clock=lambda: minutes(31))
    assert reason(search, 3) == "Stopped after epoch 2: the 0.5 hours of the search are over."
    assert not is_stopped(search, 4, rows(0.01), clock=lambda: minutes(60))


def test_a_cancelled_search_interrupts_its_trials_so_that_they_can_continue(make_search):
    search = make_search()
    with changing(search) as state:
        state.status = "CANCELLED"
    with pytest.raises(Interrupted):
        is_stopped(search, 1, rows(0.5))
    with changing(search) as state:
        state.status = "RUNNING"
    assert not is_stopped(search, 1, rows(0.5))


def test_the_best_of_many_trials_is_found_with_a_fraction_of_the_epochs(make_search):
    search, epochs = make_search(40), 27
    heights = np.random.default_rng(1).uniform(0.2, 0.7, 40)
    trained = {}
    for number, height in enumerate(heights):
        curve = [height * (1 - 0.5 * 0.8**epoch) for epoch in range(epochs)]
        trained[number] = next((n for n in range(1, epochs) if is_stopped(search, number, rows(*curve[:n]))), epochs)
    assert trained[int(heights.argmax())] == epochs
    assert sum(trained.values()) < 0.4 * 40 * epochs
