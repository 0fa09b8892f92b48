"""Builds the figures of a whole search: the best score over time, and the score against what a face costs.

Returns matplotlib `Figure` objects in the look of the project's others; `plots.py` writes them. matplotlib is imported
inside, because it is slow.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

from fer_core.evaluation.figures import DARK, QUIET, head, new_figure, with_grid
from fer_core.tuning.entries import Entry
from fer_core.tuning.ranking import is_finished, latencies, objective_value, pareto, ranked, winner

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WHOLE, STOPPED, AGAIN, FAILED, BEST = "#0072B2", "#a9a9a9", "#E69F00", "#CC79A7", "#D55E00"
"""Trained to the end, stopped early, trained again with other seeds, failed; the one that stands out.

Colours of Okabe and Ito (2008).
"""
SCORES = {"val_macro_f1": "macro F1", "val_accuracy": "accuracy", "val_loss": "loss"}
"""What the axis of an objective says, of the validation images."""

_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))
_LEAST_OF_A_UNIT = 2.0
_LETTER_WIDTH, _NAME_HEIGHT = 0.0075, 0.05
"""Of the axes: how much room a name takes."""
_LEGEND_COLUMNS = 3


class Cost(NamedTuple):
    """What a face costs with the models of the trials."""

    title: str
    of: dict[int, float]
    """By the number of the trial."""


class _Told(NamedTuple):
    """A training that has ended, and when, in the figure's unit since the search began."""

    entry: Entry
    timestamp: float


def best_score_figure(entries: Iterable[Entry], objective: str, *, started_utc: str, title: str) -> "Figure":
    """Returns every training's score at the time when it ended, and over them the best trial so far.

    Args:
        started_utc: when the search began, as its state has it.
        title: which search.
    """
    figure = new_figure(9.6, 5.2)
    axes = figure.add_subplot()
    told, unit = _over_time(entries, datetime.fromisoformat(started_utc))
    finished = [one for one in told if is_finished(one.entry)]
    trials = [one for one in finished if one.entry.kind == "trial"]
    _draw_own_settings(axes, trials, objective)
    _draw_points(axes, [one for one in trials if one.entry.stopped_early], STOPPED, "o", "stopped early")
    _draw_points(axes, [one for one in trials if not one.entry.stopped_early], WHOLE, "o", "trained to the end")
    again = [one for one in finished if one.entry.kind == "confirm"]
    _draw_points(axes, again, AGAIN, "D", "the best, trained again")
    _draw_best_so_far(axes, trials, objective)
    _draw_mean(axes, finished, objective)
    _draw_failures(axes, [one for one in told if one.entry.status == "FAILED"])
    axes.set_xlabel(f"{unit} since the search began", color=QUIET)
    axes.set_xlim(left=0)
    _score_axis(axes, objective)
    _with_heading(axes, "Best score over time", title)
    return figure


def pareto_figure(
    entries: Iterable[Entry], objective: str, cost: Cost, *, best: int | None = None, title: str
) -> "Figure":
    """Returns score against cost; the trials that no other beats in both are joined and named.

    Args:
        best: the number of the trial that won, which is named too.
        title: which search.
    """
    figure = new_figure(9.6, 5.6)
    axes = figure.add_subplot()
    shown = [entry for entry in ranked(entries, objective) if entry.number in cost.of]
    front = pareto(shown, objective, lambda entry: cost.of[entry.number])
    on_front = {entry.number for entry in front}
    beaten = [entry for entry in shown if entry.number not in on_front]
    axes.plot(*_points(front, cost), color=WHOLE, linewidth=1.2, drawstyle="steps-post", zorder=2)
    won = [entry for entry in shown if entry.number == best]
    _scatter(axes, beaten, cost, colour=STOPPED, label=f"other trials ({len(beaten):,})")
    _scatter(axes, front, cost, colour=WHOLE, label=f"no other trial is better and cheaper ({len(front):,})")
    _scatter(axes, won, cost, colour=BEST, label=f"the winner: trial {best}")
    axes.set_xlabel(cost.title, color=QUIET)
    _cost_axis(axes, [cost.of[entry.number] for entry in shown])
    axes.margins(x=0.16, y=0.12)
    _score_axis(axes, objective)
    _name_points(axes, [*won, *(entry for entry in reversed(front) if entry.number != best)], cost, objective)
    _with_heading(axes, "Score against cost", title)
    return figure


def cost_of(entries: Iterable[Entry]) -> Cost:
    """Returns the latency of each trial that has one; where none has, their numbers of parameters."""
    entries = list(entries)
    measured = latencies(entries)
    if measured:
        return Cost("milliseconds a face takes (LiteRT, one thread); in brackets: parameters", measured)
    return Cost("parameters", {entry.number: entry.parameters for entry in entries if entry.parameters is not None})


def score_text(score: float, objective: str) -> str:
    """Returns a score as people read it: 61.3%, or a loss of 1.042."""
    return f"{score:.3f}" if objective == "val_loss" else f"{score:.1%}"


def score_ticks(axis: "Axis", objective: str) -> None:
    """Gives an axis of scores its ticks: round, and in percent but for a loss."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda score, _: tick_text(score, objective)))


def tick_text(score: float, objective: str) -> str:
    """Returns a round score as it stands at an axis: 60%, 62.5%, or a loss of 1.05."""
    return f"{score:.6g}" if objective == "val_loss" else f"{100 * score:.6g}%"


def count_text(count: float) -> str:
    """Returns a count of parameters as people read it: 850, 85k, 2.1M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.{0 if count >= 10 * size else 1}f}".removesuffix(".0") + letter
    return f"{count:.0f}"


def _over_time(entries: Iterable[Entry], started: datetime) -> tuple[list[_Told], str]:
    """Returns the trainings that have ended, in that order, and the unit of their moments."""
    ended = [entry for entry in entries if entry.told_utc and entry.status != "RUNNING"]
    seconds = [(datetime.fromisoformat(entry.told_utc) - started).total_seconds() for entry in ended]
    longest = max(seconds, default=0.0)
    length, unit = next((one for one in _UNITS if longest >= _LEAST_OF_A_UNIT * one[0]), _UNITS[-1])
    told = [_Told(entry, max(timestamp, 0.0) / length) for entry, timestamp in zip(ended, seconds, strict=True)]
    return sorted(told, key=lambda one: one.timestamp), unit


def _draw_own_settings(axes: "Axes", trials: Sequence[_Told], objective: str) -> None:
    """Trial 0 has the recipe's own settings: what a search is worth is how far it comes above them."""
    for one in trials:
        if one.entry.number == 0:
            label = f"the recipe's own settings: {score_text(one.entry.score, objective)}"
            axes.axhline(one.entry.score, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), label=label, zorder=1)


def _draw_points(axes: "Axes", told: Sequence[_Told], colour: str, marker: str, label: str) -> None:
    if told:
        look = {"color": colour, "markersize": 6, "markeredgecolor": "white", "linestyle": "none", "zorder": 3}
        scores = [one.entry.score for one in told]
        axes.plot([one.timestamp for one in told], scores, marker, label=f"{label} ({len(told):,})", **look)


def _draw_best_so_far(axes: "Axes", trials: Sequence[_Told], objective: str) -> None:
    best: list[_Told] = []
    for one in trials:
        if not best or objective_value(objective, one.entry.score) > objective_value(objective, best[-1].entry.score):
            best.append(one)
    if not best:
        return
    moments = [*(one.timestamp for one in best), max(one.timestamp for one in trials)]
    scores = [*(one.entry.score for one in best), best[-1].entry.score]
    axes.plot(moments, scores, color=DARK, linewidth=1.6, drawstyle="steps-post", zorder=2)
    text = f"trial {best[-1].entry.number}: {score_text(scores[-1], objective)}"
    place = {"xy": (moments[-2], scores[-1]), "xytext": (0, 9 if objective != "val_loss" else -9)}
    beside = {"ha": "left" if moments[-2] < 0.5 * moments[-1] else "right", "va": "center"}
    axes.annotate(text, **place, **beside, textcoords="offset points", fontweight="bold", color=DARK)


def _draw_mean(axes: "Axes", finished: Sequence[_Told], objective: str) -> None:
    """The winner is who is best on the average of its seeds."""
    best = winner([one.entry for one in finished], objective)
    if best is None or not best.confirmations:
        return
    numbers = {entry.number for entry in best.confirmations}
    moments = [one.timestamp for one in finished if one.entry.number in numbers]
    label = f"the winner: trial {best.trial.number}, {score_text(best.score, objective)} on average"
    axes.plot([min(moments), max(moments)], [best.score] * 2, color=BEST, linewidth=2.2, label=label, zorder=2)


def _draw_failures(axes: "Axes", failed: Sequence[_Told]) -> None:
    """At the lower edge: they have no score."""
    if failed:
        at_the_edge = axes.get_xaxis_transform()
        look = {"color": FAILED, "markersize": 7, "linestyle": "none", "clip_on": False, "zorder": 4}
        moments = [one.timestamp for one in failed]
        axes.plot(moments, [0.0] * len(failed), "x", transform=at_the_edge, label=f"failed ({len(failed):,})", **look)


def _scatter(axes: "Axes", entries: Sequence[Entry], cost: Cost, *, colour: str, label: str) -> None:
    if entries:
        look = {"s": 46, "color": colour, "edgecolors": "white", "linewidths": 0.8, "zorder": 3}
        axes.scatter(*_points(entries, cost), label=label, **look)


def _points(entries: Sequence[Entry], cost: Cost) -> tuple[list[float], list[float]]:
    return [cost.of[entry.number] for entry in entries], [entry.score for entry in entries]


def _cost_axis(axes: "Axes", costs: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    is_wide = bool(costs) and min(costs) > 0 and max(costs) / min(costs) > 20
    if is_wide:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count_text(value) if value >= 1000 else f"{value:g}"))


def _name_points(axes: "Axes", entries: Sequence[Entry], cost: Cost, objective: str) -> None:
    """Names the points as far as there is room, the first ones first: on their better side, where it is empty."""
    axes.autoscale_view()
    taken: list[tuple[float, float, float]] = []
    for entry in entries:
        point = (cost.of[entry.number], entry.score)
        size = "" if entry.parameters is None else f" ({count_text(entry.parameters)})"
        text = f"trial {entry.number}{size}"
        x, y = axes.transLimits.transform(axes.transScale.transform(point))
        width = _LETTER_WIDTH * len(text)
        left = x - width if x > width else x
        if any(left < b and a < left + width and abs(y - height) < _NAME_HEIGHT for a, b, height in taken):
            continue
        taken.append((left, left + width, y))
        side = {"xytext": (-6, 5), "ha": "right"} if left < x else {"xytext": (6, 5), "ha": "left"}
        look = {"textcoords": "offset points", "va": "bottom", "fontsize": 9, "color": DARK}
        if objective == "val_loss":
            side["xytext"], look["va"] = (side["xytext"][0], -5), "top"
        axes.annotate(text, point, **side, **look)


def _score_axis(axes: "Axes", objective: str) -> None:
    score_ticks(axes.yaxis, objective)
    with_grid(axes)
    axes.set_ylabel(f"{SCORES[objective]} on validation images", color=QUIET)


def _with_heading(axes: "Axes", heading: str, title: str) -> None:
    shown = len(axes.get_legend_handles_labels()[0])
    lines = -(-shown // _LEGEND_COLUMNS)
    head(axes, heading, title, rise=6 + 19 * lines)
    if not shown:
        text = "No trial has been finished yet."
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", color=QUIET)
        axes.set(xticks=[], yticks=[])
        return
    place = {"loc": "lower left", "bbox_to_anchor": (-0.01, 1.0), "borderaxespad": 0.2}
    axes.legend(**place, ncols=_LEGEND_COLUMNS, frameon=False, fontsize=9)
