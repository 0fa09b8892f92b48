"""What came of a session: the shares of time per emotion, and how each person's probabilities went over time, drawn.

Single pictures, in which nobody is followed, have no course: each counts one.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fer_core.evaluation.figures import QUIET, figure_title, new_figure, save, shortened, text_colour, with_grid
from fer_core.labels import colour
from fer_core.live.canvas import font_file, in_dejavu, one_line, writable
from fer_core.live.output import NOBODY, STAGES, Record

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

MOST_POINTS = 2000
"""Of one person: more than a plot has pixels across."""
MOST_DRAWN = 8
LEAST_SECONDS = 1.0
LONGEST_BLINK_SECONDS = 0.5
"""A detector may miss a face for so long without a gap in the plot."""
LONGEST_STEP_SECONDS = 5.0
"""Between two frames: above it the source was gone, and that is a gap for everybody."""
SHORTEST_POINT_SECONDS = 1 / 64
WIDTH, PANEL_HEIGHT, EDGES_HEIGHT = 11.0, 1.75, 1.35
"""Inches."""
UNSURE_COLOUR = "#c9c9c9"
MOST_EDGED = 700
"""Points from left to right: above it the white edges of the areas would run into each other."""
LEAST_STRIP = 0.055
"""A part of the strip is named if it is at least so long, as a share of the whole time."""
NAME_LETTERS = 16
MINUTES_FROM_SECONDS = 120
TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)
MOST_TICKS = 11


def summarize(record: Record) -> dict[str, Any]:
    """Returns the summary as plain values; shares 0..1, people by number."""
    frames, faces = record.frames(), record.faces()
    with_face = frames["faces"] > 0
    people = faces[faces["person"] != NOBODY].groupby("person")
    span = frames["read_at"].iloc[-1] - frames["read_at"].iloc[0]
    changes = people["label"].apply(lambda labels: int((labels != labels.shift()).iloc[1:].sum()))
    milliseconds = (1000 * frames[list(STAGES)].astype("float64")).dropna(axis="columns", how="all")
    return {
        "frames": {
            "read": len(frames),
            "dropped": int(frames["number"].max()) + 1 - len(frames),
            "with_face": int(with_face.sum()),
            "per_second": round((len(frames) - 1) / span, 2) if span > 0 else 0.0,
        },
        "seconds": round(frames["held"].sum(), 3),
        "seconds_with_face": round(frames.loc[with_face, "held"].sum(), 3),
        "shares_are_of": "faces" if frames["is_picture"].any() else "seconds",
        "faces": people.ngroups + int((faces["person"] == NOBODY).sum()),
        "all": _shares(record, faces, changes=int(changes.sum())),
        "people": [
            {"person": int(person)} | _shares(record, rows, changes=int(changes[person])) for person, rows in people
        ],
        "stages_ms": {
            stage: {"mean": round(times.mean(), 3), "p95": round(times.quantile(0.95), 3)}
            for stage, times in milliseconds.items()
        },
    }


def _shares(record: Record, faces: "pandas.DataFrame", *, changes: int) -> dict[str, Any]:
    """Returns shares that sum to 1 (by label while sure, and unsure), seconds and changes of the label."""
    total = float(faces["held"].sum())
    share = 1 / total if total else 0.0
    sure = (faces[~faces["unsure"]].groupby("label")["held"].sum() * share).round(4)
    return {
        "seconds": round(total, 3),
        "shares": {label: float(sure.get(number, 0.0)) for number, label in enumerate(record.labels)},
        "unsure": round(float(faces.loc[faces["unsure"], "held"].sum()) * share, 4),
        "changes": changes,
        "changes_per_minute": round(60 * changes * share, 2),
    }


class Course(NamedTuple):
    """One person over time, n points of k labels.

    `seconds`, float64 (n,), rise; `shares`, float64 (n, k), are the mean probabilities around that time. `label`, int64
    (n,), was shown most of that time, and `unsure`, bool (n,), says whether that was unsure. `begins`, bool (n,): the
    face was not seen just before. `left` and `right`, float64 (n,): from when to when each point is drawn.
    """

    person: int
    seen_seconds: float
    seconds: np.ndarray
    shares: np.ndarray
    label: np.ndarray
    unsure: np.ndarray
    begins: np.ndarray
    left: np.ndarray
    right: np.ndarray


class Timeline(NamedTuple):
    """The courses of at most eight people, those seen longest, by number; and who is left out.

    `short` were seen for less than a second, `others` for longer but less than those drawn.
    """

    labels: tuple[str, ...]
    courses: list[Course]
    short: int
    others: int


def make_timeline(record: Record) -> Timeline:
    """Returns the courses of the people in a record."""
    faces, frames = record.faces(), record.frames()
    faces = faces[faces["person"] != NOBODY].sort_values(["person", "frame"])
    absent = faces.groupby("person")["seconds"].diff()
    missed = faces.groupby("person")["frame"].diff() > 1
    gone = faces["frame"].map(frames["seconds"].diff()) > LONGEST_STEP_SECONDS
    faces["begins"] = absent.isna() | gone | (missed & (absent > LONGEST_BLINK_SECONDS))
    seen = absent.where(~faces["begins"], 0.0).groupby(faces["person"]).sum()
    longest = seen[seen >= LEAST_SECONDS].sort_values(ascending=False, kind="stable")
    drawn = sorted(longest.index[:MOST_DRAWN])
    courses = [_course(person, seen[person], faces[faces["person"] == person], len(record.labels)) for person in drawn]
    return Timeline(record.labels, courses, short=len(seen) - len(longest), others=len(longest) - len(drawn))


def _course(person: int, seen_seconds: float, faces: "pandas.DataFrame", labels: int) -> Course:
    """Returns the mean of what was read in each of at most `MOST_POINTS` equal spans of time."""
    times, shares = faces["seconds"], [str(number) for number in range(labels)]
    width = max(SHORTEST_POINT_SECONDS, (times.iloc[-1] - times.iloc[0]) / (MOST_POINTS - 1))
    spans = faces.groupby(((times - times.iloc[0]) // width).astype("int64"))
    shown = faces.groupby([spans.ngroup(), "label"]).size().unstack(fill_value=0)
    means, begins = spans[["seconds", "unsure", *shares]].mean(), spans["begins"].any().to_numpy()
    seconds = means["seconds"].to_numpy()
    middles = (seconds[1:] + seconds[:-1]) / 2  # a point is drawn to the next one, or for half a width before a gap
    return Course(
        person=int(person),
        seen_seconds=float(seen_seconds),
        seconds=seconds,
        shares=means[shares].to_numpy(np.float64),
        label=shown.idxmax(axis="columns").to_numpy(),
        unsure=(means["unsure"] > 0.5).to_numpy(),
        begins=begins,
        left=np.where(begins, seconds - width / 2, np.append(seconds[0], middles)),
        right=np.where(np.append(begins[1:], True), seconds + width / 2, np.append(middles, seconds[-1])),
    )


def save_timeline(record: Record, path: Path, *, title: str) -> bool:
    """Writes the plot, whole or not at all, and returns True; False if nobody was seen for a second.

    `title`: of what and by which model. Raises DiskFullError.
    """
    timeline = make_timeline(record)
    if timeline.courses:
        save(timeline_figure(timeline, title=title), path)
    return bool(timeline.courses)


def timeline_figure(timeline: Timeline, *, title: str) -> "Figure":
    """Returns the courses, one panel each. `title`: of what and by which model."""
    courses, labels = timeline.courses, timeline.labels
    figure = new_figure(WIDTH, EDGES_HEIGHT + PANEL_HEIGHT * len(courses))
    figure.get_layout_engine().set(h_pad=0.05, hspace=0.0)
    figure_title(figure, f"Emotions over time – {in_dejavu(one_line(title))}")
    panels = figure.subplots(2 * len(courses), 1, sharex=True, height_ratios=[1, 8] * len(courses))
    first, last = min(one.left[0] for one in courses), max(one.right[-1] for one in courses)
    for course, strip, areas in zip(courses, panels[::2], panels[1::2], strict=True):
        _draw_strip(strip, course, labels, least=LEAST_STRIP * (last - first))
        is_dense = len(course.seconds) > 1 and (last - first) / np.median(np.diff(course.seconds)) > MOST_EDGED
        _draw_areas(areas, course, labels, edge=0.0 if is_dense else 0.4)
    panels[-1].set_xlim(first, last)
    _time_axis(panels[-1], last - first)
    _legend(figure, timeline)
    return figure


def _draw_strip(axes: "Axes", course: Course, labels: tuple[str, ...], *, least: float) -> None:
    """Draws which label was shown when, named where that lasted for `least` seconds; grey where it was unsure."""
    from matplotlib.colors import to_rgb

    spans, grounds = [], []
    for left, right, label, unsure in _stretches(course):
        ground = UNSURE_COLOUR if unsure else colour(labels[label], labels)
        spans.append((left, right - left))
        grounds.append(ground)
        if right - left >= least:
            name, ink = "unsure" if unsure else _name(labels[label], labels), text_colour(to_rgb(ground))
            place = {"ha": "center", "va": "center", "clip_on": True}
            axes.text((left + right) / 2, 0.46, name, color=ink, font=_font(name, 8.5), **place)
    axes.broken_barh(spans, (0, 1), facecolors=grounds, linewidth=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.spines[:].set_visible(False)
    seen = course.seen_seconds
    duration = f"{seen:.1f} s" if seen < MINUTES_FROM_SECONDS else f"{_clock(seen)} min"
    axes.set_title(f"Person {course.person}, seen for {duration}", loc="left", fontsize=10.5, pad=4)


def _draw_areas(axes: "Axes", course: Course, labels: tuple[str, ...], *, edge: float) -> None:
    """Draws the probabilities, stacked from 0 to 100 %, in the order of the labels, the first on top."""
    from matplotlib.ticker import PercentFormatter

    ends = np.append(course.begins[1:], True)
    # The first point after a gap begins at its left edge; the last one before a gap ends at its right edge, with NaN.
    left = np.where(course.begins, course.left, course.seconds)
    right = np.where(ends, course.right, course.seconds)
    seconds = np.column_stack([left, course.seconds, right, right]).ravel()
    shares = np.repeat(course.shares, 4, axis=0)
    shares[3::4][ends] = np.nan
    top = 1 - np.cumsum(shares, axis=1) + shares
    for number, label in enumerate(labels):
        look = {"facecolor": colour(label, labels), "edgecolor": "white", "linewidth": edge}
        axes.fill_between(seconds, top[:, number] - shares[:, number], top[:, number], **look)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.set_yticks([0, 0.5, 1])
    axes.tick_params(axis="y", colors=QUIET)
    with_grid(axes, axis="x")


def _stretches(course: Course) -> Iterator[tuple[float, float, int, bool]]:
    """Yields from when to when which label was shown, and whether it was unsure."""
    shown = np.where(course.unsure, -1, course.label)
    starts = np.flatnonzero(np.append(True, (shown[1:] != shown[:-1]) | course.begins[1:]))
    for start, end in zip(starts, np.append(starts[1:], len(shown)) - 1, strict=True):
        left, right = float(course.left[start]), float(course.right[end])
        yield left, right, int(course.label[start]), bool(course.unsure[start])


def _time_axis(axes: "Axes", span: float) -> None:
    from matplotlib.ticker import FuncFormatter, MultipleLocator

    step = next((step for step in TICK_SECONDS if span / step <= MOST_TICKS), 3600 * max(1, round(span / 36000)))
    axes.xaxis.set_major_locator(MultipleLocator(step))
    is_long = span >= MINUTES_FROM_SECONDS
    axes.xaxis.set_major_formatter(FuncFormatter(lambda seconds, _: _clock(seconds) if is_long else f"{seconds:g}"))
    axes.set_xlabel("minutes" if is_long else "seconds", color=QUIET)


def _legend(figure: "Figure", timeline: Timeline) -> None:
    from matplotlib.patches import Patch

    labels = timeline.labels
    patches = [Patch(facecolor=colour(label, labels), label=_name(label, labels)) for label in labels]
    patches.append(Patch(facecolor=UNSURE_COLOUR, label="unsure"))
    left_out = [f"{timeline.short:,} seen for less than a second"] if timeline.short else []
    left_out += [f"{timeline.others:,} seen for a shorter time than these"] if timeline.others else []
    title = f"People left out: {', '.join(left_out)}." if left_out else None
    look = {"frameon": False, "fontsize": 9, "handlelength": 1.2, "columnspacing": 1.4}
    legend = figure.legend(handles=patches, loc="outside lower left", ncols=8, title=title, **look)
    legend.get_title().set(fontsize=9, color=QUIET)
    legend.set_alignment("left")
    for text in legend.get_texts():
        text.set_font_properties(_font(text.get_text(), 9))


def _name(label: str, labels: Sequence[str]) -> str:
    return shortened(writable(label, labels), NAME_LETTERS)


def _font(text: str, size: float) -> "FontProperties":
    """A font of the system where matplotlib's own lacks the characters."""
    from matplotlib.font_manager import FontProperties

    return FontProperties(size=size) if text.isascii() else FontProperties(fname=font_file(text), size=size)


def _clock(seconds: float) -> str:
    whole = round(max(0.0, seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
