"""Builds the figures of a search's settings: the score against each of them, and all of them beside each other.

Returns matplotlib `Figure` objects, as `figures.py`; `plots.py` writes them.
"""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from fer_core.evaluation.figures import DARK, GRID, QUIET, figure_title, head, literal, new_figure, shortened, with_grid
from fer_core.tuning.entries import Entry
from fer_core.tuning.figures import BEST, SCORES, STOPPED, WHOLE, score_text, score_ticks, tick_text
from fer_core.tuning.ranking import objective_value, ranked
from fer_core.tuning.scales import Scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 4
_COLOURS = "viridis_r"
"""Dark is good: on white, the pale end of a colour map is hardly seen."""
_SPREAD = 0.5
"""How much of the room around a choice its trials take, so that they do not hide each other."""
_GOLDEN = 0.618034
"""Multiples of it, without their whole part, lie evenly however many there are."""
_MOST_LINES = 200
"""Beside each other: more run into one surface."""
_STRIP = 0.03


def settings_figure(
    entries: Iterable[Entry], scales: Sequence[Scale], objective: str, *, best: int | None = None, title: str
) -> "Figure":
    """Returns a panel for each setting: the score of every trial over the value that it had.

    Args:
        best: the number of the trial that stands out.
        title: which search.
    """
    columns, rows = min(_COLUMNS, max(1, len(scales))), max(1, -(-len(scales) // _COLUMNS))
    figure = new_figure(1.0 + 2.9 * max(columns, 2), 1.5 + 2.5 * rows)
    figure_title(figure, "Score of each setting", below=title)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    shown = ranked(entries, objective)[::-1]
    for axes, scale in zip(panels.flat, scales, strict=False):
        _draw_setting(axes, scale, shown, best)
    for axes in panels.flat[len(scales) :]:
        axes.set_axis_off()
    for axes in panels[:, 0]:
        axes.set_ylabel(SCORES[objective], color=QUIET)
    score_ticks(panels[0, 0].yaxis, objective)
    if not scales:
        panels[0, 0].text(0.5, 0.5, "The trials differ in no setting yet.", ha="center", color=QUIET)
    _legend_below(figure, panels.flat)
    return figure


def parallel_figure(
    entries: Iterable[Entry], scales: Sequence[Scale], objective: str, *, best: int | None = None, title: str
) -> "Figure":
    """Returns an axis for each setting and one for the score, side by side, and a line through them for each trial.

    Args:
        best: the number of the trial that stands out.
        title: which search.
    """
    width = max(8.0, 2.0 + 1.25 * (len(scales) + 1))
    figure = new_figure(width, max(5.6, 0.36 * width))
    axes = figure.add_subplot()
    axes.set_axis_off()
    finished = ranked(entries, objective)
    shown = finished[:_MOST_LINES][::-1]
    part = f" · the best {len(shown)} of {len(finished):,} finished" if len(finished) > len(shown) else ""
    head(axes, "Settings and score of each trial", title + part, rise=34)
    if not shown:
        axes.text(0.5, 0.5, "No trial has been finished yet.", transform=axes.transAxes, ha="center", color=QUIET)
        return figure
    heights, ticks = _score_scale([entry.score for entry in shown], objective)
    _draw_lines(axes, scales, shown, heights, best=best)
    for place, scale in enumerate(scales):
        _draw_axis(axes, place, scale.name, scale.ticks)
        if scale.is_choice:
            _draw_choices(axes, place, scale)
    _draw_axis(axes, len(scales), SCORES[objective], ticks)
    _draw_shades(axes, len(scales), heights)
    _name_best(axes, len(scales), shown, heights, objective, best)
    axes.set(xlim=(-0.45, len(scales) + 0.95), ylim=(-0.04, 1.04))
    return figure


def _draw_setting(axes: "Axes", scale: Scale, shown: Sequence[Entry], best: int | None) -> None:
    placed = [(_place(scale, entry), entry) for entry in shown]
    for is_stopped, colour, label in ((True, STOPPED, "stopped early"), (False, WHOLE, "trained to the end")):
        points = [(place, entry.score) for place, entry in placed if entry.stopped_early is is_stopped]
        look = {"s": 26, "edgecolors": "white", "linewidths": 0.6, "zorder": 3}
        axes.scatter(*zip(*points, strict=True) if points else ((), ()), color=colour, label=label, **look)
    for place, entry in placed:
        if entry.number == best:
            look = {"markersize": 9, "markeredgecolor": "white", "linestyle": "none", "zorder": 4}
            axes.plot(place, entry.score, "o", color=BEST, label=f"the best: trial {best}", **look)
    if scale.is_choice:
        _mark_medians(axes, scale, shown)
    paths, texts = zip(*scale.ticks, strict=True)
    axes.set_xticks(paths, [shortened(text, 12) for text in texts], fontsize=9)
    axes.set_xlim(-0.06, 1.06)
    axes.set_title(literal(scale.name), loc="left", fontsize=11)
    with_grid(axes, axis="y" if scale.is_choice else "both")


def _mark_medians(axes: "Axes", scale: Scale, shown: Sequence[Entry]) -> None:
    """A line across each choice: dots beside each other are hard to compare."""
    scores: dict[float, list[float]] = {}
    for entry in shown:
        scores.setdefault(scale.place(entry.values.get(scale.key)), []).append(entry.score)
    half = 0.4 / len(scale.ticks)
    for place, of_choice in scores.items():
        ends = [place - half, place + half]
        axes.plot(ends, [median(of_choice)] * 2, color=DARK, linewidth=1.8, label="median of a choice", zorder=2)


def _place(scale: Scale, entry: Entry) -> float:
    """Returns where a trial stands on the axis of a setting; those of one choice beside each other."""
    place = scale.place(entry.values.get(scale.key))
    if not scale.is_choice:
        return place
    return place + _SPREAD * ((entry.number * _GOLDEN) % 1 - 0.5) / len(scale.ticks)


def _legend_below(figure: "Figure", panels: "Iterable[Axes]") -> None:
    shown = {label: handle for axes in panels for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(shown.values(), shown, loc="outside lower left", ncols=4, frameon=False, fontsize=9)


def _score_scale(scores: Sequence[float], objective: str) -> tuple[np.ndarray, list[tuple[float, str]]]:
    """Returns where scores lie, 0..1 with the best on top, and the ticks of that axis."""
    from matplotlib.ticker import MaxNLocator

    good = np.array([objective_value(objective, score) for score in scores])
    low, high = good.min(), good.max()
    width = high - low or 1.0
    values = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
    ticks = [value for value in values if low <= value <= high] or [low]
    texts = [tick_text(objective_value(objective, tick), objective) for tick in ticks]
    return (good - low) / width, [((tick - low) / width, text) for tick, text in zip(ticks, texts, strict=True)]


def _draw_lines(
    axes: "Axes", scales: Sequence[Scale], shown: Sequence[Entry], heights: np.ndarray, *, best: int | None
) -> None:
    from matplotlib.collections import LineCollection

    lines = [
        [*((place, _place(scale, entry)) for place, scale in enumerate(scales)), (len(scales), height)]
        for entry, height in zip(shown, heights, strict=True)
    ]
    is_best = [entry.number == best for entry in shown]
    shades = _shades(heights, heights)
    colours = [BEST if named else shade for named, shade in zip(is_best, shades, strict=True)]
    widths = [2.8 if named else 1.4 if len(shown) <= 60 else 0.9 for named in is_best]
    axes.add_collection(LineCollection(lines, colors=colours, linewidths=widths, zorder=2))


def _shades(heights: np.ndarray, of_all: np.ndarray) -> np.ndarray:
    """Returns a colour for each height, by how many trials are worse: most lie close to the best."""
    from matplotlib import colormaps

    return colormaps[_COLOURS](np.searchsorted(np.sort(of_all), heights) / max(1, len(of_all) - 1))


def _draw_shades(axes: "Axes", place: int, of_all: np.ndarray) -> None:
    """Draws the axis of the score in the colours of the lines."""
    strip = _shades(np.linspace(0, 1, 256), of_all)[:, np.newaxis]
    extent = (place - _STRIP / 2, place + _STRIP / 2, 0, 1)
    axes.imshow(strip, extent=extent, origin="lower", aspect="auto", zorder=3)


def _draw_axis(axes: "Axes", place: int, name: str, ticks: Sequence[tuple[float, str]]) -> None:
    """Draws one upright axis, its name above it, its ticks on the left."""
    axes.plot([place, place], [0, 1], color=DARK, linewidth=1.1, zorder=2.5)
    axes.text(place, 1.05, shortened(name, 18), ha="center", va="bottom", fontsize=10, fontweight="bold")
    background = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8}
    for height, text in ticks:
        axes.plot([place - 0.03, place], [height, height], color=DARK, linewidth=1.1, zorder=3)
        look = {"ha": "right", "va": "center", "fontsize": 9, "color": DARK, "bbox": background, "zorder": 4}
        axes.text(place - 0.05, height, shortened(text, 12), **look)


def _draw_choices(axes: "Axes", place: int, scale: Scale) -> None:
    """Draws a bar along each choice, as long as its trials are spread."""
    half = _SPREAD / 2 / len(scale.ticks)
    for height, _ in scale.ticks:
        ends = [height - half, height + half]
        axes.plot([place] * 2, ends, color=GRID, linewidth=9, solid_capstyle="round", zorder=1)


def _name_best(
    axes: "Axes", place: int, shown: Sequence[Entry], heights: np.ndarray, objective: str, best: int | None
) -> None:
    for entry, height in zip(shown, heights, strict=True):
        if entry.number == best:
            text = f"trial {best}\n{score_text(entry.score, objective)}"
            axes.text(place + 0.06, height, text, va="center", fontsize=9.5, fontweight="bold", color=BEST)
