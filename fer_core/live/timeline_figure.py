"""Draws probabilities over time, a panel for each person: stacked areas, and above them a strip of the label shown.

A matplotlib `Figure` in the look of `evaluation/figures.py`, without pyplot and without global settings.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.emotions import colour
from fer_core.evaluation.figures import QUIET, figure_title, new_figure, shortened, text_colour, with_grid
from fer_core.live.record import Record
from fer_core.live.text import font_file, in_dejavu, one_line, writable
from fer_core.live.timeline import Course, Timeline, make_timeline
from fer_core.store.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

DOTS_PER_INCH = 150
WIDTH, PANEL_HEIGHT, EDGES_HEIGHT = 11.0, 1.75, 1.35
"""Inches."""
UNSURE_COLOUR = "#c9c9c9"
LEAST_BAND = 0.15
"""A band is named where it is at least so thick, in probability, over the length of its name."""
COLUMNS = 400
LETTER_COLUMNS = 2.6
"""Where names may stand: the time axis in so many columns, and how many of them a letter takes."""
MOST_EDGED = 700
"""Points from left to right: above it the white edges of the areas would run into each other."""
LEAST_STRIP = 0.055
"""A part of the strip is named if it is at least so long, as a share of the whole time."""
NAME_LETTERS = 16
MINUTES_FROM_SECONDS = 120
TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MOST_TICKS = 11


def save_timeline(record: Record, path: Path, *, title: str) -> bool:
    """Writes the plot, whole or not at all, and returns True; False if nobody was seen for a second.

    `title`: of what and by which model. Raises DiskFullError.
    """
    timeline = make_timeline(record)
    if not timeline.courses:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        timeline_figure(timeline, title=title).savefig(temporary, dpi=DOTS_PER_INCH)
    return True


def timeline_figure(timeline: Timeline, *, title: str) -> "Figure":
    """Returns the courses, one panel each; says so if there is nobody.

    `title`: of what and by which model.
    """
    courses = timeline.courses
    figure = new_figure(WIDTH, EDGES_HEIGHT + PANEL_HEIGHT * max(1, len(courses)))
    figure.get_layout_engine().set(h_pad=0.05, hspace=0.0)
    figure_title(figure, f"Emotions over time – {in_dejavu(one_line(title))}")
    if not courses:
        axes = figure.add_subplot()
        axes.set_axis_off()
        axes.text(0.5, 0.5, "Nobody was seen for a second or longer.", ha="center", color=QUIET)
        return figure
    panels = figure.subplots(2 * len(courses), 1, sharex=True, height_ratios=[1, 8] * len(courses))
    limits = _limits(courses)
    for course, strip, areas in zip(courses, panels[::2], panels[1::2], strict=True):
        _draw_strip(strip, course, timeline.labels, limits)
        _draw_areas(areas, course, timeline.labels, limits)
    _time_axis(panels[-1], limits)
    _legend(figure, timeline)
    return figure


def _limits(courses: Sequence[Course]) -> tuple[float, float]:
    """From the first to the last time that anybody in the plot was seen."""
    return min(c.seconds[0] - c.width / 2 for c in courses), max(c.seconds[-1] + c.width / 2 for c in courses)


def _draw_strip(axes: "Axes", course: Course, labels: Sequence[str], limits: tuple[float, float]) -> None:
    """Draws which label was shown when; grey where it was unsure."""
    spans, grounds = [], []
    for left, right, label, unsure in _stretches(course):
        spans.append((left, right - left))
        grounds.append(UNSURE_COLOUR if unsure else colour(labels[label], tuple(labels)))
        if right - left >= LEAST_STRIP * (limits[1] - limits[0]):
            name = "unsure" if unsure else shortened(writable(labels[label], labels), NAME_LETTERS)
            _name(axes, name, ((left + right) / 2, 0.46), grounds[-1])
    axes.broken_barh(spans, (0, 1), facecolors=grounds, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
    heading = f"Person {course.person}, seen for {_duration(course.seen_seconds)}"
    axes.set_title(heading, loc="left", fontsize=10.5, pad=4)


def _draw_areas(axes: "Axes", points: Course, labels: Sequence[str], limits: tuple[float, float]) -> None:
    """Draws the probabilities, stacked from 0 to 100 %, in the order of the labels, the first on top."""
    from matplotlib.ticker import PercentFormatter

    seconds, shares = _with_gaps(points)
    top = 1 - np.cumsum(shares, axis=1) + shares
    columns = np.linspace(*limits, COLUMNS)
    before = (
        np.searchsorted(seconds, columns, side="right") - 1
    )  # -1, before the first time: the last row, which is NaN
    edge = 0.4 if _points_across(points, limits) <= MOST_EDGED else 0.0
    for number, label in enumerate(labels):
        ground = colour(label, tuple(labels))
        upper, lower = top[:, number], top[:, number] - shares[:, number]
        axes.fill_between(seconds, lower, upper, facecolor=ground, edgecolor="white", linewidth=edge)
        name = shortened(writable(label, labels), NAME_LETTERS)
        room, column = _room(upper[before], lower[before], letters=len(name))
        if room >= LEAST_BAND:
            _name(axes, name, (columns[column], (upper[before[column]] + lower[before[column]]) / 2), ground)
    axes.set_ylim(0, 1)
    axes.set_xlim(*limits)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_yticks([0, 0.5, 1])
    axes.tick_params(axis="y", colors=QUIET)
    with_grid(axes, axis="x")


def _points_across(points: Course, limits: tuple[float, float]) -> float:
    """Returns how many points there would be from the left to the right edge without gaps."""
    steps = np.diff(points.seconds)
    return (limits[1] - limits[0]) / np.median(steps) if len(steps) else 1.0


def _room(upper: np.ndarray, lower: np.ndarray, *, letters: int) -> tuple[float, int]:
    """Returns how thick a band is where a name of so many letters fits best into it, and in which column that is.

    `upper`, `lower`: (COLUMNS,), NaN in gaps.
    """
    wide = 2 * round(LETTER_COLUMNS * (letters + 1) / 2) + 1
    free = np.lib.stride_tricks.sliding_window_view(upper, wide).min(axis=1)
    free = np.nan_to_num(free - np.lib.stride_tricks.sliding_window_view(lower, wide).max(axis=1), nan=-1.0)
    return float(free.max()), int(free.argmax()) + wide // 2


def _name(axes: "Axes", text: str, place: tuple[float, float], ground: str) -> None:
    from matplotlib.colors import to_rgb

    axes.text(
        *place,
        text,
        ha="center",
        va="center",
        color=text_colour(to_rgb(ground)),
        clip_on=True,
        font=_font(text),
    )


def _font(text: str, size: float = 8.5) -> "FontProperties":
    """A font of the system where matplotlib's own lacks the characters."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=size) if text.isascii() else FontProperties(fname=font_file(text), size=size)


def _with_gaps(points: Course) -> tuple[np.ndarray, np.ndarray]:
    """Returns times (m,) and probabilities (m, k), NaN between stretches.

    A stretch reaches half a point's width beyond its first and last point, so that a single point is seen too.
    """
    ends = np.append(points.begins[1:], True)
    seconds, shares = [], []
    for number, second in enumerate(points.seconds):
        share = points.shares[number]
        if points.begins[number]:
            seconds.append(second - points.width / 2)
            shares.append(share)
        seconds.append(second)
        shares.append(share)
        if ends[number]:
            seconds += [second + points.width / 2] * 2
            shares += [share, np.full_like(share, np.nan)]
    return np.array(seconds), np.array(shares)


def _stretches(points: Course) -> list[tuple[float, float, int, bool]]:
    """Returns from when to when which label was shown, and whether it was unsure."""
    edges = (points.seconds[1:] + points.seconds[:-1]) / 2
    half = points.width / 2
    left = np.where(points.begins, points.seconds - half, np.append(points.seconds[0] - half, edges))
    right = np.where(
        np.append(points.begins[1:], True), points.seconds + half, np.append(edges, points.seconds[-1] + half)
    )
    shown = np.where(points.unsure, -1, points.label)
    starts = np.flatnonzero(np.append(True, (shown[1:] != shown[:-1]) | points.begins[1:]))
    ends = np.append(starts[1:], len(shown)) - 1
    return [
        (float(left[start]), float(right[end]), int(points.label[start]), bool(points.unsure[start]))
        for start, end in zip(starts, ends, strict=True)
    ]


def _time_axis(axes: "Axes", limits: tuple[float, float]) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    span = limits[1] - limits[0]
    step = next((step for step in TICK_SECONDS if span / step <= MOST_TICKS), 3600 * max(1, round(span / 36000)))
    axes.xaxis.set_major_locator(MultipleLocator(step))
    is_long = span >= MINUTES_FROM_SECONDS
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _clock(seconds) if is_long else f"{seconds:g}"))
    axes.set_xlabel("minutes" if is_long else "seconds", color=QUIET)


def _legend(figure: "Figure", timeline: Timeline) -> None:
    from matplotlib.patches import Patch

    labels = timeline.labels
    names = [shortened(writable(label, labels), NAME_LETTERS) for label in labels]
    patches = [
        Patch(facecolor=colour(label, tuple(labels)), label=name) for label, name in zip(labels, names, strict=True)
    ]
    patches.append(Patch(facecolor=UNSURE_COLOUR, label="unsure"))
    legend = figure.legend(
        handles=patches,
        loc="outside lower left",
        ncols=8,
        frameon=False,
        fontsize=9,
        title=_left_out(timeline) or None,
        handlelength=1.2,
        columnspacing=1.4,
    )
    legend.get_title().set(fontsize=9, color=QUIET)
    legend.set_alignment("left")
    for text in legend.get_texts():
        text.set_font_properties(_font(text.get_text(), 9))


def _left_out(timeline: Timeline) -> str:
    parts = [f"{timeline.short:,} seen for less than a second"] if timeline.short else []
    parts += [f"{timeline.others:,} seen for a shorter time than these"] if timeline.others else []
    return f"People left out: {', '.join(parts)}." if parts else ""


def _duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < MINUTES_FROM_SECONDS else f"{_clock(seconds)} min"


def _clock(seconds: float) -> str:
    whole = round(max(0.0, seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
