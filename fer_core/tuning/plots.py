"""The plots of a search as PNG: best score over time, score of each setting, score against cost.

matplotlib and pandas are imported inside, because they are slow.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.evaluation.look import DARK, QUIET, figure_title, literal, new_figure, save, shortened, with_grid
from fer_core.tuning.entries import SearchState
from fer_core.tuning.ranking import LESS_IS_BETTER, Standing, latencies, pareto, ranked
from fer_core.tuning.space import Parameter
from fer_core.tuning.state import Search

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

NAMES = ("best_score", "settings", "pareto")
_HEADINGS = ("Best score over time", "Score of each setting", "Score against cost")
WHOLE, STOPPED, AGAIN, FAILED, BEST = "#0072B2", "#a9a9a9", "#E69F00", "#CC79A7", "#D55E00"
"""Trained to the end, stopped early, trained again with other seeds, failed; the winner. Okabe and Ito (2008)."""
SCORES = {"val_macro_f1": "macro F1", "val_accuracy": "accuracy", "val_loss": "loss"}
"""What the axis of an objective says, of the validation images."""

_UNITS = ((7200.0, 3600.0, "hours"), (120.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))
"""From how many seconds on, seconds of one, name."""
_COLUMNS = 4
_NAME_ROOM = (0.12, 0.05)
"""Of the axes: width and height of a trial's name."""
_POINTS = {"linestyle": "none", "markeredgecolor": "white", "markersize": 6, "zorder": 3}


def write_plots(search: Search, state: SearchState, chosen: Standing | None = None) -> list[Path]:
    """Writes NAMES into the search's plots/ and returns their paths.

    Args:
        state: what is drawn; of a search that still runs, what there is so far.
        chosen: the setting that stands out as the winner.
    """
    figures = (best_score_figure(state, chosen), settings_figure(state, chosen), pareto_figure(state, chosen))
    paths = [search.plots / f"{name}.png" for name in NAMES]
    for figure, path, heading in zip(figures, paths, _HEADINGS, strict=True):
        spec, count = state.plan.spec, len(state.trials)
        trials = "1 trial" if count == 1 else f"{count:,} trials"
        figure_title(figure, heading, below=f"{search.id} · {spec.recipe} · {spec.oracle} · {trials}")
        save(figure, path)
    return paths


def best_score_figure(state: SearchState, chosen: Standing | None = None) -> "Figure":
    """Returns every training's score at the time when it ended, and over them the best trial so far."""
    figure = new_figure(9.6, 5.2)
    axes = figure.add_subplot()
    table = _table(state)
    table = table[table["time"].notna() & (table["status"] != "RUNNING")].sort_values("time")
    longest = table["time"].max() if len(table) else 0.0
    seconds, unit = next(one[1:] for one in _UNITS if longest >= one[0])
    table["time"] /= seconds
    finished = table[table["score"].notna()]
    trials = finished[finished["kind"] == "trial"]
    _draw_points(axes, trials[trials["stopped_early"]], STOPPED, "stopped early")
    _draw_points(axes, trials[~trials["stopped_early"]], WHOLE, "trained to the end")
    _draw_points(axes, finished[finished["kind"] == "confirm"], AGAIN, "the best, trained again", marker="D")
    _draw_best_so_far(axes, trials, state)
    if chosen is not None and chosen.confirmations:
        times = finished[finished["number"].isin([entry.number for entry in chosen.confirmations])]["time"]
        label = f"the winner: trial {chosen.trial.number}, {_score_text(chosen.score, state)} on average"
        axes.plot([times.min(), times.max()], [chosen.score] * 2, color=BEST, linewidth=2.2, label=label, zorder=2)
    failed = table[table["status"] == "FAILED"].assign(score=0.0)  # at the lower edge: they have no score
    look = {"marker": "x", "transform": axes.get_xaxis_transform(), "clip_on": False, "markeredgecolor": FAILED}
    _draw_points(axes, failed, FAILED, "failed", **look)
    axes.set_xlabel(f"{unit} since the search began", color=QUIET)
    axes.set_xlim(left=0)
    _finish(axes, state)
    return figure


def settings_figure(state: SearchState, chosen: Standing | None = None) -> "Figure":
    """Returns a panel for each setting that varies: the score of every trial over the value that it had."""
    table = _table(state)
    table = table[table["score"].notna() & (table["kind"] == "trial")]
    varied = [one for one in state.plan.parameters if table[one.name].map(str).nunique() > 1]
    rows = max(1, -(-len(varied) // _COLUMNS))
    columns = min(_COLUMNS, max(1, len(varied)))
    figure = new_figure(1.0 + 2.9 * max(columns, 2), 1.5 + 2.5 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, parameter in zip(panels.flat, varied, strict=False):
        _draw_setting(axes, parameter, table[table[parameter.name].notna()], chosen)
    for axes in panels.flat[max(1, len(varied)) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        _score_axis(axes, state)
    if not varied:
        _say_empty(panels[0, 0], "The trials differ in no setting yet.")
    _legend(figure, list(panels.flat))
    return figure


def pareto_figure(state: SearchState, chosen: Standing | None = None) -> "Figure":
    """Returns score against cost; the trials that no other beats in both are joined and named."""
    from matplotlib.ticker import EngFormatter

    figure = new_figure(9.6, 5.6)
    axes = figure.add_subplot()
    cost = latencies(state.trials)
    title = "milliseconds a face takes (LiteRT, one thread)"
    if not cost:
        cost = {entry.number: entry.parameters for entry in state.trials if entry.parameters is not None}
        title = "parameters"
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    objective = state.plan.spec.objective
    shown = [entry for entry in ranked(state.entries, objective) if entry.number in cost]
    front = pareto(shown, objective, lambda entry: cost[entry.number])
    won = [entry for entry in shown if chosen is not None and entry.number == chosen.trial.number]
    beaten = [entry for entry in shown if entry not in front]
    for entries, colour, label in (
        (beaten, STOPPED, f"other trials ({len(beaten):,})"),
        (front, WHOLE, f"no other trial is better and cheaper ({len(front):,})"),
        (won, BEST, "the winner"),
    ):
        points = [cost[entry.number] for entry in entries], [entry.score for entry in entries]
        axes.plot(*points, "o", color=colour, label=label if entries else None, **_POINTS)
        if entries is front:
            axes.plot(*points, color=WHOLE, linewidth=1.2, drawstyle="steps-post", zorder=2)
    if shown and max(cost.values()) > 20 * min(cost.values()) > 0:
        axes.set_xscale("log")
    axes.set_xlabel(title, color=QUIET)
    axes.margins(x=0.16, y=0.12)
    _finish(axes, state)
    _name_points(axes, {entry.number: (cost[entry.number], entry.score) for entry in (*won, *reversed(front))})
    return figure


def _table(state: SearchState) -> "DataFrame":
    """Returns a row for each training with its settings; `time` is when it ended, in seconds since the search began."""
    import pandas

    names = ["number", "kind", "status", "score", "stopped_early"]
    rows = [entry.settings | {name: getattr(entry, name) for name in names} for entry in state.entries]
    table = pandas.DataFrame(rows, columns=[*names, *(one.name for one in state.plan.parameters)])
    ended = pandas.to_datetime(pandas.Series([entry.told_utc for entry in state.entries], dtype=object), utc=True)
    began = pandas.to_datetime(state.started_utc or state.plan.created_utc, utc=True)
    table["time"] = (ended - began).dt.total_seconds().clip(lower=0)
    return table.astype({"stopped_early": bool, "score": float})


def _draw_points(axes: "Axes", rows: "DataFrame", colour: str, label: str, **look: Any) -> None:
    if len(rows):
        style = {"marker": "o", "color": colour, "label": f"{label} ({len(rows):,})"}
        axes.plot(rows["time"], rows["score"], **_POINTS | style | look)


def _draw_best_so_far(axes: "Axes", trials: "DataFrame", state: SearchState) -> None:
    """And the score of trial 0, which has the recipe's own settings: a search is worth how far it comes above that."""
    own = trials[trials["number"] == 0]["score"]
    if len(own):
        label = f"the recipe's own settings: {_score_text(own.iloc[0], state)}"
        axes.axhline(own.iloc[0], color=QUIET, linewidth=1, linestyle=(0, (4, 3)), label=label, zorder=1)
    if len(trials):
        is_loss = state.plan.spec.objective in LESS_IS_BETTER
        best = trials["score"].cummin() if is_loss else trials["score"].cummax()
        number = trials[trials["score"] == best.iloc[-1]]["number"].iloc[0]
        label = f"the best so far: trial {number}, {_score_text(best.iloc[-1], state)}"
        axes.plot(trials["time"], best, color=DARK, linewidth=1.6, drawstyle="steps-post", label=label, zorder=2)


def _draw_setting(axes: "Axes", parameter: Parameter, trials: "DataFrame", chosen: Standing | None) -> None:
    values = trials[parameter.name]
    if parameter.choices:
        texts = [str(choice) for choice in parameter.choices]
        values = values.map(lambda value: texts.index(str(value)))
        axes.set_xticks(range(len(texts)), [shortened(text, 12) for text in texts], fontsize=9)
        for place, median in trials["score"].groupby(values).median().items():  # dots alone are hard to compare
            ends = [place - 0.3, place + 0.3]
            axes.plot(ends, [median] * 2, color=DARK, linewidth=1.8, label="median of a choice", zorder=2)
    elif parameter.log:
        axes.set_xscale("symlog", linthresh=parameter.low)  # the recipe's value may be 0
    points = trials.assign(place=values.astype(float))
    is_best = points["number"] == (-1 if chosen is None else chosen.trial.number)
    for rows, colour, label in (
        (points[points["stopped_early"]], STOPPED, "stopped early"),
        (points[~points["stopped_early"]], WHOLE, "trained to the end"),
        (points[is_best], BEST, "the winner"),
    ):
        axes.plot(rows["place"], rows["score"], "o", color=colour, label=label if len(rows) else None, **_POINTS)
    axes.set_title(literal(parameter.name.rpartition(".")[2]), loc="left", fontsize=11)
    with_grid(axes, axis="y" if parameter.choices else "both")


def _name_points(axes: "Axes", points: dict[int, tuple[float, float]]) -> None:
    """Names the points as far as there is room, the first ones first."""
    import numpy as np

    axes.autoscale_view()
    taken: list[np.ndarray] = []
    for number, point in points.items():
        place = axes.transLimits.transform(axes.transScale.transform(point))
        if all((abs(place - other) > _NAME_ROOM).any() for other in taken):
            taken.append(place)
            look = {"textcoords": "offset points", "va": "bottom", "fontsize": 9, "color": DARK}
            axes.annotate(f"trial {number}", point, (6, 5), **look)


def _finish(axes: "Axes", state: SearchState) -> None:
    _score_axis(axes, state)
    with_grid(axes)
    if not axes.get_legend_handles_labels()[0]:
        _say_empty(axes, "No trial has been finished yet.")
    _legend(axes.figure, [axes])


def _legend(figure: "Figure", panels: Sequence["Axes"]) -> None:
    shown = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(shown.values(), shown, loc="outside lower left", ncols=3, frameon=False, fontsize=9)


def _say_empty(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=QUIET)
    axes.set(xticks=[], yticks=[])


def _score_axis(axes: "Axes", state: SearchState) -> None:
    from matplotlib.ticker import PercentFormatter

    objective = state.plan.spec.objective
    axes.set_ylabel(f"{SCORES[objective]} on validation images", color=QUIET)
    if objective not in LESS_IS_BETTER:
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _score_text(score: float, state: SearchState) -> str:
    return f"{score:.3f}" if state.plan.spec.objective in LESS_IS_BETTER else f"{score:.1%}"
