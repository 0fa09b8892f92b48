"""The figures of a search."""

import itertools
import subprocess
import sys

import cv2
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from fer_core.store.clock import utc_text
from fer_core.tuning import figures, setting_figures
from fer_core.tuning.figures import Cost, cost_of
from fer_core.tuning.plots import NAMES, write_plots
from fer_core.tuning.ranking import winner
from fer_core.tuning.scales import make_scales
from fer_core.tuning.state import load_state
from tests.tuning.made_up import BEGIN, OBJECTIVE, confirmation, failed, made_up_search, minutes, trial

TITLE = "20260131-140212-attention-random-3f9a · attention · random · 20 trials"
NO_TRIAL = "No trial has been finished yet."


def searched(count: int, objective: str = OBJECTIVE) -> list:
    """Returns so many trials of many settings; some stopped early, some failed."""
    random = np.random.default_rng(count)
    entries = []
    for number in range(count):
        rate, optimizer = float(10 ** random.uniform(-5, -2)), str(random.choice(["adam", "adamw", "sgd"]))
        values = {"learning_rate": rate, "optimizer": optimizer, "batch_size": int(random.choice([32, 64, 128]))}
        values |= {} if optimizer == "adam" else {"weight_decay": float(10 ** random.uniform(-6, -2))}
        values |= {name: float(random.uniform(0, 0.2)) for name in ("shift", "scale", "brightness", "contrast")}
        score = float(np.clip(0.62 - 0.06 * abs(np.log10(rate) + 3.3) ** 2 + random.normal(0, 0.02), 0, 1))
        metadata = {"parameters": int(random.integers(3, 40)) * 100_000, "latency_ms": float(random.uniform(0.2, 2.0))}
        is_stopped = number % 3 == 1
        made = trial(number, score if objective != "val_loss" else 2 - score, values=values, stopped_early=is_stopped)
        entries.append(failed(number, values=values) if number % 9 == 5 else made.model_copy(update=metadata))
    return entries


@pytest.fixture
def search(paths):
    """A search around a recipe with many settings, not yet begun."""
    settings = {"sample_per_class": 20, "optimizer": "sgd"}
    return made_up_search(paths, recipe="attention", settings=settings, space=("all",))


def scales_of(search, entries) -> list:
    return make_scales(search.parameters, [entry.values for entry in entries if entry.score is not None])


def all_texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]


def legend_texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def nothing_is_cut_off(figure) -> bool:
    FigureCanvasAgg(figure).draw()
    box, page = figure.get_tightbbox(), figure.bbox_inches
    return box.x0 >= 0 and box.y0 >= 0 and box.x1 <= page.width and box.y1 <= page.height


def names_on(axes) -> list:
    """Returns the texts that were written to points of the data, with their boxes in dots."""
    FigureCanvasAgg(axes.figure).draw()
    return [(text.get_text(), text.get_window_extent()) for text in axes.texts if "trial" in text.get_text()]


def best_score(entries, objective=OBJECTIVE):
    return figures.best_score_figure(entries, objective, started_utc=utc_text(BEGIN), title=TITLE)


@pytest.mark.parametrize("objective", [OBJECTIVE, "val_loss"])
def test_the_best_score_so_far_never_gets_worse_and_ends_with_the_best(objective):
    entries = searched(20, objective)
    figure = best_score(entries, objective)
    (line,) = [line for line in figure.axes[0].get_lines() if line.get_drawstyle() == "steps-post"]
    scores = [entry.score for entry in entries if entry.score is not None]
    best = min(scores) if objective == "val_loss" else max(scores)
    steps = np.diff(line.get_ydata()) * (-1 if objective == "val_loss" else 1)
    assert (steps >= 0).all()
    assert line.get_ydata()[-1] == best
    assert nothing_is_cut_off(figure)


def test_every_training_is_a_point_at_the_time_when_it_ended():
    entries = [trial(0, 0.5), trial(1, 0.6, stopped_early=True), failed(2), trial(3), confirmation(4, 0, 0.55)]
    figure = best_score(entries)
    points = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == "None"]
    assert {line.get_label(): list(line.get_xdata()) for line in points} == {
        "trained to the end (1)": [2],
        "stopped early (1)": [4],
        "failed (1)": [5],
        "the best, trained again (1)": [10],
    }
    assert figure.axes[0].get_xlabel() == "minutes since the search began"
    assert nothing_is_cut_off(figure)
    assert "the recipe's own settings: 50.0%" in legend_texts(figure)
    assert "trial 1: 60.0%" in all_texts(figure)
    assert figure.axes[0].get_position().width > 0.8


def test_a_search_of_days_is_drawn_in_hours():
    figure = best_score([trial(0, 0.5, told_utc=utc_text(minutes(60 * 50)))])
    assert figure.axes[0].get_xlabel() == "hours since the search began"


@pytest.mark.parametrize("count", [1, 2, 20, 300])
def test_each_setting_has_a_panel_with_a_point_for_each_trial(search, count):
    entries = searched(count)
    scales = scales_of(search, entries)
    figure = setting_figures.settings_figure(entries, scales, OBJECTIVE, best=0, title=TITLE)
    drawn = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in drawn if axes.get_title(loc="left")] == [s.name for s in scales]
    finished = sum(entry.score is not None for entry in entries)
    for axes in drawn if scales else ():
        assert sum(len(points.get_offsets()) for points in axes.collections) == finished
    assert nothing_is_cut_off(figure)


def test_the_best_trial_stands_out_in_every_panel(search):
    entries = searched(20)
    figure = setting_figures.settings_figure(entries, scales_of(search, entries), OBJECTIVE, best=4, title=TITLE)
    for axes in (axes for axes in figure.axes if axes.axison):
        (dot,) = [line for line in axes.get_lines() if line.get_label() == "the best: trial 4"]
        assert list(dot.get_ydata()) == [entries[4].score]


@pytest.mark.parametrize("count", [2, 20, 600])
def test_a_line_for_each_trial_goes_through_all_settings_to_its_score(search, count):
    entries = searched(count)
    scales = scales_of(search, entries)
    figure = setting_figures.parallel_figure(entries, scales, OBJECTIVE, best=0, title=TITLE)
    (lines,) = figure.axes[0].collections
    finished = sum(entry.score is not None for entry in entries)
    assert len(lines.get_segments()) == min(finished, 200)
    assert any("the best 200 of 533 finished" in text for text in all_texts(figure)) == (count == 600)
    assert {len(line) for line in lines.get_segments()} == {len(scales) + 1}
    heights = np.array([line[:, 1] for line in lines.get_segments()])
    assert heights.min() >= 0
    assert heights.max() <= 1
    assert lines.get_segments()[-1][-1][1] == 1
    assert {*(scale.name for scale in scales), "macro F1"} <= set(all_texts(figure))
    assert nothing_is_cut_off(figure)


def test_every_line_meets_a_choice_within_its_bar(search):
    entries = searched(20)
    scales = scales_of(search, entries)
    (axes,) = setting_figures.parallel_figure(entries, scales, OBJECTIVE, title=TITLE).axes
    (lines,) = axes.collections
    place = next(place for place, scale in enumerate(scales) if scale.is_choice)
    upright = [line for line in axes.get_lines() if list(line.get_xdata()) == [place, place]]
    bars = [tuple(line.get_ydata()) for line in upright if tuple(line.get_ydata()) != (0, 1)]
    assert len(bars) == len(scales[place].ticks)
    for line in lines.get_segments():
        assert sum(low <= line[place][1] <= high for low, high in bars) == 1


def test_what_a_figure_is_of_stands_between_its_title_and_its_panels(search):
    entries = searched(20)
    figure = setting_figures.settings_figure(entries, scales_of(search, entries), OBJECTIVE, title=TITLE)
    figure.draw_without_rendering()
    (named,) = [text for text in figure.findobj(Text) if text.get_text() == TITLE]
    box = named.get_window_extent()
    assert max(axes.get_tightbbox().y1 for axes in figure.axes) < box.y0
    assert box.y0 > figure.bbox.height / 2


def test_the_labels_of_neighbouring_axes_do_not_touch(search):
    entries = searched(20)
    figure = setting_figures.parallel_figure(entries, scales_of(search, entries), OBJECTIVE, best=0, title=TITLE)
    FigureCanvasAgg(figure).draw()
    axes = figure.axes[0]
    above = [text for text in axes.texts if text.get_fontweight() == "bold" and text.get_va() == "bottom"]
    names = [text.get_window_extent() for text in above]
    assert len(names) > 5
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(names))


@pytest.mark.parametrize("objective", [OBJECTIVE, "val_loss"])
def test_the_pareto_set_is_named_and_no_two_names_touch(objective):
    entries = searched(60, objective)
    figure = figures.pareto_figure(entries, objective, cost_of(entries), best=3, title=TITLE)
    names = names_on(figure.axes[0])
    assert names[0][0].startswith("trial 3 (")
    assert len(names) > 2
    boxes = [box for _, box in names]
    assert not any(one.overlaps(other) for place, one in enumerate(boxes) for other in boxes[:place])
    assert nothing_is_cut_off(figure)


def test_without_any_latency_the_parameters_are_the_cost():
    entries = [trial(0, 0.5, parameters=1000), trial(1, 0.6, parameters=90_000)]
    assert cost_of(entries) == Cost("parameters", {0: 1000, 1: 90_000})
    figure = figures.pareto_figure(entries, OBJECTIVE, cost_of(entries), title=TITLE)
    assert figure.axes[0].get_xlabel() == "parameters"
    assert {"trial 0 (1k)", "trial 1 (90k)"} <= set(all_texts(figure))
    assert nothing_is_cut_off(figure)


@pytest.mark.parametrize("entries", [[], [failed(0)], [trial(0)]])
def test_a_search_without_a_finished_trial_is_drawn_and_says_so(search, entries):
    drawn = (
        best_score(entries),
        setting_figures.settings_figure(entries, [], OBJECTIVE, title=TITLE),
        setting_figures.parallel_figure(entries, [], OBJECTIVE, title=TITLE),
        figures.pareto_figure(entries, OBJECTIVE, cost_of(entries), title=TITLE),
    )
    assert all({NO_TRIAL, "The trials differ in no setting yet."} & set(all_texts(figure)) for figure in drawn[1:])
    assert all(nothing_is_cut_off(figure) for figure in drawn)


def test_all_plots_are_written_whole(paths):
    entries = searched(12)
    search = made_up_search(paths, entries, recipe="attention", settings={"sample_per_class": 20}, space=("all",))
    paths = write_plots(search, load_state(search), winner(entries, OBJECTIVE))
    assert sorted(path.name for path in search.plots.iterdir()) == sorted(f"{name}.png" for name in NAMES)
    assert all(cv2.imread(str(path)).shape[0] > 500 for path in paths)


def test_knowing_how_to_draw_loads_no_matplotlib_and_no_keras():
    program = "import sys, fer_core.tuning.plots\nsys.exit('matplotlib' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
