"""The plots of a search as PNG: best score over time, score of each setting, score against cost.

matplotlib and pandas are imported inside, because they are slow.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.evaluation.figures import DARK, QUIET, figure_title, literal, new_figure, save, shortened, with_grid
from fer_core.tuning.entries import LESS_IS_BETTER, SearchState, Standing, latencies, pareto, ranked
from fer_core.tuning.space import Parameter
from fer_core.tuning.state import Search

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

NAMES = ("best_score", "settings", "pareto")
_HEADINGS = ("Best score over time", "Score of each setting", "Score against cost")
_WHOLE, _STOPPED, _AGAIN, _FAILED, _BEST = "#0072B2", "#a9a9a9", "#E69F00", "#CC79A7", "#D55E00"
"""Trained to the end, stopped early, trained again with other seeds, failed; the winner. Okabe and Ito (2008)."""
_SCORES = {"val_macro_f1": "macro F1", "val_accuracy": "accuracy", "val_loss": "loss"}
_COLUMNS = 4


def write_plots(search: Search, state: SearchState, chosen: Standing | None = None) -> list[Path]:
    """Writes NAMES into the search's folder plots/ and returns their paths.

    Args:
        state: what is drawn; of a search that still runs, what there is so far.
        chosen: the setting that stands out as the winner.
    """
    figures = (best_score_figure(state, chosen), settings_figure(state, chosen), pareto_figure(state, chosen))
    paths = [search.folder / "plots" / f"{name}.png" for name in NAMES]
    spec, count = state.plan.spec, len(state.trials)
    trials = "1 trial" if count == 1 else f"{count:,} trials"
    for figure, path, heading in zip(figures, paths, _HEADINGS, strict=True):
        figure_title(figure, heading, below=f"{search.id} · {spec.recipe} · {spec.oracle} · {trials}")
        save(figure, path)
    return paths


def best_score_figure(state: SearchState, chosen: Standing | None = None) -> "Figure":
    """Returns every training's score at the time when it ended, and over them the best trial so far."""
    figure = new_figure(9.6, 5.2)
    axes = figure.add_subplot()
    table = _table(state)
    table = table[table["time"].notna() & (table["status"] != "RUNNING")].sort_values("time")
    unit, seconds = ("hours", 3600) if (table["time"] > 7200).any() else ("minutes", 60)
    table["time"] /= seconds
    finished = table[table["score"].notna()]
    trials, again = (finished[finished["kind"] == kind] for kind in ("trial", "confirm"))
    _draw_points(axes, trials[trials["stopped_early"]], "time", _STOPPED, "stopped early")
    _draw_points(axes, trials[~trials["stopped_early"]], "time", _WHOLE, "trained to the end")
    _draw_points(axes, again, "time", _AGAIN, "the best, trained again", marker="D")
    _draw_best_so_far(axes, trials, state)
    if chosen is not None and chosen.confirmations:
        label = f"the winner: trial {chosen.trial.number}, {_score_text(chosen.score, state)} on average"
        times = again[again["number"].isin([entry.number for entry in chosen.confirmations])]["time"]
        axes.hlines(chosen.score, times.min(), times.max(), color=_BEST, linewidth=2.2, label=label, zorder=2)
    failed = table[table["status"] == "FAILED"].assign(score=0.0)  # at the lower edge: they have no score
    look = {"marker": "x", "transform": axes.get_xaxis_transform(), "clip_on": False, "markeredgecolor": _FAILED}
    _draw_points(axes, failed, "time", _FAILED, "failed", **look)
    axes.set_xlabel(f"{unit} since the search began", color=QUIET)
    axes.set_xlim(left=0)
    _finish(figure, [axes], state)
    return figure


def settings_figure(state: SearchState, chosen: Standing | None = None) -> "Figure":
    """Returns a panel for each setting that varies: the score of every trial over the value that it had."""
    table = _table(state)
    table = table[table["score"].notna() & (table["kind"] == "trial")]
    varied = [one for one in state.plan.parameters if table[one.name].map(str).nunique() > 1]
    columns, rows = min(_COLUMNS, max(1, len(varied))), max(1, -(-len(varied) // _COLUMNS))
    figure = new_figure(1.0 + 2.9 * max(columns, 2), 1.5 + 2.5 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, parameter in zip(panels.flat, varied, strict=False):
        _draw_setting(axes, parameter, table[table[parameter.name].notna()], chosen)
    for axes in panels.flat[max(1, len(varied)) :]:
        axes.set_axis_off()
    _finish(figure, panels.flat, state, empty="The trials differ in no setting yet.")
    for axes in panels[:, 1:].flat:
        axes.set_ylabel("")
    return figure


def pareto_figure(state: SearchState, chosen: Standing | None = None) -> "Figure":
    """Returns score against cost; the trials that no other beats in both are joined, and named in the legend."""
    from matplotlib.ticker import EngFormatter

    figure = new_figure(9.6, 5.6)
    axes = figure.add_subplot()
    cost, title = latencies(state.trials), "milliseconds a face takes (LiteRT, one thread)"
    if not cost:
        cost = {entry.number: entry.parameters for entry in state.trials if entry.parameters is not None}
        title = "parameters"
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    objective = state.plan.spec.objective
    front = pareto(ranked(state.entries, objective), objective, lambda entry: cost.get(entry.number))
    table = _table(state)
    table["cost"] = table["number"].map(cost)
    shown = table[table["cost"].notna() & table["score"].notna()]
    best = shown.set_index("number", drop=False).loc[[entry.number for entry in front]]
    names = shortened(", ".join(str(entry.number) for entry in front))
    _draw_points(axes, shown, "cost", _STOPPED, "other trials")
    label = f"no other is better and cheaper than trial {names}"
    _draw_points(axes, best, "cost", _WHOLE, label, linestyle="-", drawstyle="steps-post")
    _draw_winner(axes, shown, "cost", chosen)
    if len(shown) and shown["cost"].max() > 20 * shown["cost"].min() > 0:
        axes.set_xscale("log")
    axes.set_xlabel(title, color=QUIET)
    _finish(figure, [axes], state)
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


def _draw_points(axes: "Axes", rows: "DataFrame", x: str, colour: str, label: str, **look: Any) -> None:
    if len(rows):
        style = {"marker": "o", "markersize": 6, "markeredgecolor": "white", "linestyle": "none", "zorder": 3}
        axes.plot(rows[x], rows["score"], color=colour, label=label, **style | look)


def _draw_winner(axes: "Axes", rows: "DataFrame", x: str, chosen: Standing | None) -> None:
    if chosen is not None:
        number = chosen.trial.number
        _draw_points(axes, rows[rows["number"] == number], x, _BEST, f"the winner: trial {number}")


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
    places = trials[parameter.name]
    if parameter.choices:
        texts = [str(choice) for choice in parameter.choices]
        places = places.map(lambda value: texts.index(str(value)))
        axes.set_xticks(range(len(texts)), [shortened(text, 12) for text in texts], fontsize=9)
        medians = trials["score"].groupby(places).median()  # dots alone are hard to compare
        ends = medians.index - 0.3, medians.index + 0.3
        axes.hlines(medians, *ends, color=DARK, linewidth=1.8, label="median of a choice", zorder=2)
    elif parameter.log:
        axes.set_xscale("symlog", linthresh=parameter.low)  # the recipe's value may be 0
    trials = trials.assign(place=places.astype(float))
    _draw_points(axes, trials[trials["stopped_early"]], "place", _STOPPED, "stopped early")
    _draw_points(axes, trials[~trials["stopped_early"]], "place", _WHOLE, "trained to the end")
    _draw_winner(axes, trials, "place", chosen)
    axes.set_title(literal(parameter.name.rpartition(".")[2]), loc="left", fontsize=11)


def _finish(
    figure: "Figure", panels: Iterable["Axes"], state: SearchState, empty: str = "No trial has been finished yet."
) -> None:
    """Gives the axes of scores their text and grid, and the figure its legend; or says that it is empty."""
    from matplotlib.ticker import PercentFormatter

    objective, shown = state.plan.spec.objective, {}
    for axes in panels:
        handles, labels = axes.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
        axes.set_ylabel(f"{_SCORES[objective]} on validation images", color=QUIET)
        with_grid(axes)
        if objective not in LESS_IS_BETTER:
            axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        if not labels and axes.axison:
            axes.text(0.5, 0.5, empty, transform=axes.transAxes, ha="center", color=QUIET)
            axes.set(xticks=[], yticks=[])
    figure.legend(shown.values(), shown, loc="outside lower left", ncols=3, frameon=False, fontsize=9)


def _score_text(score: float, state: SearchState) -> str:
    return f"{score:.3f}" if state.plan.spec.objective in LESS_IS_BETTER else f"{score:.1%}"
