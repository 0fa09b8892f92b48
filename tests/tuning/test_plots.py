"""The plots of a search."""

import cv2
import numpy as np
import pytest

from fer_core.store.files import utc_text
from fer_core.tuning.entries import SearchState, winner
from fer_core.tuning.plots import NAMES, best_score_figure, pareto_figure, settings_figure, write_plots
from fer_core.tuning.state import load_state
from tests.evaluation.conftest import all_texts, nothing_is_cut_off
from tests.tuning.made_up import BEGIN, OBJECTIVE, confirmation, failed, made_up_search, minutes, plan_of, trial

FIGURES = (best_score_figure, settings_figure, pareto_figure)
PLAN = plan_of(recipe="attention", settings={"optimizer": "sgd"}, space=("all",))
LOSS_PLAN = plan_of(recipe="attention", settings={"optimizer": "sgd"}, space=("all",), objective="val_loss")


def state_of(entries, plan=PLAN) -> SearchState:
    return SearchState(plan=plan, entries=list(entries), started_utc=utc_text(BEGIN))


def searched(count: int, plan=PLAN) -> SearchState:
    """Returns the state of a search with so many trials of many settings; some stopped early, some failed."""
    random = np.random.default_rng(count)
    entries = []
    for number in range(count):
        rate, optimizer = float(10 ** random.uniform(-5, -2)), str(random.choice(["adam", "adamw", "sgd"]))
        values = {"learning_rate": rate, "optimizer": optimizer, "batch_size": int(random.choice([32, 64, 128]))}
        decays = [0.0, float(10 ** random.uniform(-6, -2))]
        values |= {} if optimizer == "adam" else {"weight_decay": decays[number % 2]}
        values |= {name: float(random.uniform(0, 0.2)) for name in ("shift", "scale", "brightness", "contrast")}
        score = float(np.clip(0.62 - 0.06 * abs(np.log10(rate) + 3.3) ** 2 + random.normal(0, 0.02), 0, 1))
        score = 2 - score if plan.spec.objective == "val_loss" else score
        known = {"parameters": int(random.integers(3, 40)) * 100_000, "latency_ms": float(random.uniform(0.2, 2.0))}
        made = trial(number, score, values=values, stopped_early=number % 3 == 1, **known)
        entries.append(failed(number, values=values) if number % 9 == 5 else made)
    return state_of(entries, plan)


def chosen(state: SearchState):
    return winner(state.entries, state.plan.spec.objective)


@pytest.mark.parametrize("plan", [PLAN, LOSS_PLAN])
def test_the_best_score_so_far_never_gets_worse_and_ends_with_the_best(plan):
    state = searched(20, plan)
    figure = best_score_figure(state, chosen(state))
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_drawstyle() == "steps-post"]
    steps = np.diff(line.get_ydata()) * (-1 if plan is LOSS_PLAN else 1)
    assert (steps >= 0).all()
    assert line.get_ydata()[-1] == chosen(state).score
    assert nothing_is_cut_off(figure)


def test_every_training_is_a_point_at_the_time_when_it_ended():
    entries = [trial(0, 0.5), trial(1, 0.6, stopped_early=True), failed(2), trial(3), confirmation(4, 0, 0.55)]
    figure = best_score_figure(state_of(entries), chosen(state_of(entries)))
    points = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == "None"]
    assert {line.get_label(): list(line.get_xdata()) for line in points} == {
        "trained to the end": [2],
        "stopped early": [4],
        "failed": [5],
        "the best, trained again": [10],
    }
    assert figure.axes[0].get_xlabel() == "minutes since the search began"
    named = {"the recipe's own settings: 50.0%", "the best so far: trial 1, 60.0%"}
    assert named | {"the winner: trial 0, 55.0% on average"} <= set(all_texts(figure))
    assert nothing_is_cut_off(figure)
    days = best_score_figure(state_of([trial(0, 0.5, told_utc=utc_text(minutes(60 * 50)))]))
    assert days.axes[0].get_xlabel() == "hours since the search began"


@pytest.mark.parametrize("count", [1, 20])
def test_each_setting_that_varies_has_a_panel_with_a_point_for_each_trial_that_uses_it(count):
    state = searched(count)
    figure = settings_figure(state, chosen(state))
    finished = [entry for entry in state.entries if entry.score is not None]
    panels = {axes.get_title(loc="left"): axes for axes in figure.axes if axes.axison and axes.get_title(loc="left")}
    assert len(panels) == (0 if count == 1 else 8)
    for name, axes in panels.items():
        points = {
            line.get_label(): len(line.get_xdata()) for line in axes.get_lines() if line.get_linestyle() == "None"
        }
        is_winner_there = points.pop(f"the winner: trial {chosen(state).trial.number}", 0) == 1
        assert is_winner_there == (name in chosen(state).trial.values)
        assert sum(points.values()) == sum(name in entry.values for entry in finished)
    assert nothing_is_cut_off(figure)


@pytest.mark.parametrize("plan", [PLAN, LOSS_PLAN])
def test_no_trial_beats_the_joined_ones_in_score_and_cost_and_the_legend_names_them(plan):
    state = searched(60, plan)
    figure = pareto_figure(state, chosen(state))
    (front,) = [line for line in figure.axes[0].get_lines() if line.get_drawstyle() == "steps-post"]
    assert len(front.get_xdata()) > 2 and (np.diff(front.get_xdata()) > 0).all()
    assert (np.diff(front.get_ydata()) * (-1 if plan is LOSS_PLAN else 1) > 0).all()
    (label,) = {text for text in all_texts(figure) if "no other is better and cheaper" in text}
    assert label.endswith(f", {chosen(state).trial.number}") and len(label.split(",")) == len(front.get_xdata())
    assert nothing_is_cut_off(figure)
    costs = pareto_figure(state_of([trial(0, 0.5, parameters=1000), trial(1, 0.6, parameters=90_000)])).axes[0]
    assert costs.get_xlabel() == "parameters"


@pytest.mark.parametrize("entries", [[], [failed(0)], [trial(0)]])
def test_a_search_without_a_finished_trial_is_drawn_and_says_so(entries):
    for make_figure in FIGURES:
        figure = make_figure(state_of(entries))
        is_told = {"No trial has been finished yet.", "The trials differ in no setting yet.", "failed"}
        assert is_told & set(all_texts(figure))
        assert nothing_is_cut_off(figure)


def test_all_plots_are_written_whole_and_say_of_which_search_they_are(paths):
    entries = searched(12).entries
    search = made_up_search(paths, entries, recipe="attention", settings={"sample_per_class": 20}, space=("all",))
    written = write_plots(search, load_state(search), winner(entries, OBJECTIVE))
    assert sorted(path.name for path in (search.folder / "plots").iterdir()) == sorted(f"{name}.png" for name in NAMES)
    assert all(cv2.imread(str(path)).shape[0] > 500 for path in written)
