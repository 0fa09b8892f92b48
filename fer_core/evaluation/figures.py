"""Builds the figures: training curves, class distribution, confusion matrix, the runs over each other; how all look.

Never pyplot and no global setting. Colours that colour-blind people can tell apart are those of Okabe and Ito (2008).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fer_core.store.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
QUIET = "#6b6b6b"
"""Of what explains and is not the figure itself."""
GRID = "#dedede"
DARK = "#333333"
CURVES = ("accuracy", "loss", "precision", "recall")  # the columns of a history of which a curve is drawn
TRAINING, VALIDATION, KEPT = "#0072B2", "#D55E00", DARK
RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RUN_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)))
LEAST_SPAN = 0.2  # of an axis of shares: a curve that moves by one point shall not look like a mountain
MOST_MARKED_EPOCHS = 25  # above this the points of a curve run into each other, so only the line is drawn


def new_figure(width: float, height: float) -> "Figure":
    """Returns an empty white figure, in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Writes the figure as PNG, under its name only when it is complete; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)


def figure_title(figure: "Figure", text: str, *, below: str = "") -> None:
    """Writes the figure's title above everything, on the left; and `below` it, smaller and grey, what it is of."""
    from matplotlib.text import Annotation

    look = {"x": 0.015, "ha": "left", "fontsize": 13, "fontweight": "bold"}
    title = figure.suptitle(literal(text) + ("\n" if below else ""), **look)  # the empty line is the room for `below`
    if below:
        place = {"xy": (0, 0), "xytext": (0, 3), "xycoords": title, "textcoords": "offset points"}
        figure.add_artist(Annotation(literal(below), **place, fontsize=9.5, color=QUIET))


def head(axes: "Axes", heading: str, title: str, *, rise: float = 4) -> None:
    """Writes the heading and, smaller and grey, what it is of (a line or two), `rise` points above the axes."""
    place = {"xy": (0, 1), "xytext": (0, rise), "xycoords": "axes fraction", "textcoords": "offset points"}
    axes.annotate(literal(title), **place, fontsize=9.5, color=QUIET)
    axes.set_title(literal(heading), loc="left", fontsize=13, fontweight="bold", pad=rise + 17 + 14 * title.count("\n"))


def with_grid(axes: "Axes", *, axis: str = "both") -> None:
    """Draws a pale grid behind what is drawn, and no frame above and on the right."""
    axes.grid(axis=axis, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def text_colour(background: Sequence[float]) -> str:
    """Returns black or white, whichever has more contrast by WCAG 2 (relative luminance 0.18 lies between them)."""
    red, green, blue = (float(part) ** 2.2 for part in background[:3])
    return "#1a1a1a" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"


def literal(text: str) -> str:
    """Returns the text so that it is drawn as it is: between two dollar signs matplotlib would read a formula.

    A character that the font lacks is written as its escape: matplotlib would draw the same empty box for each.
    """
    return (text if text.isascii() else _drawable(text)).replace("$", r"\$")


def _drawable(text: str) -> str:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    known = get_font(findfont(FontProperties())).get_charmap()
    escapes = {letter: letter.encode("unicode_escape").decode() for letter in set(text) if ord(letter) not in known}
    return text.translate(str.maketrans(escapes | {"\n": "\n"}))


def shortened(text: str, most: int = 34) -> str:
    """Returns the text to draw, cut to so many characters with an ellipsis where it is longer."""
    return literal(text if len(text) <= most else f"{text[: most - 1]}…")


class Curve(Protocol):
    """What the overview draws of a run: `fer_core.training.history.History` is one."""

    date: datetime
    name: str
    has_validation: bool
    curve: Sequence[tuple[int, float]]
    best: tuple[int, float] | None


def curve_figure(rows: Sequence[Mapping], column: str, *, title: str, kept_epoch: int | None) -> "Figure":
    """Returns one column of the history over the epochs, training and validation, with the kept epoch marked.

    Args:
        rows: one mapping per epoch with `epoch`, `column` and `val_` + column (missing or None: left out).
        column: loss, accuracy, precision or recall.
    """
    figure = new_figure(8, 4.8)
    axes = figure.add_subplot()
    training, validation = _points(rows, column), _points(rows, f"val_{column}")
    for points, label, colour, marker in (
        (training, "training", TRAINING, "o"),
        (validation, "validation", VALIDATION, "s"),
    ):
        _draw_curve(axes, points, label=label, color=colour, marker=marker if len(points) <= MOST_MARKED_EPOCHS else "")
    _mark_kept(axes, dict(validation or training), kept_epoch, is_share=column != "loss")
    _epoch_axis(axes, [int(row["epoch"]) for row in rows])
    _value_axis(axes, column)
    what = column if column in ("loss", "accuracy") else f"{column} (macro average)"
    is_drawn = bool(training or validation)
    head(axes, f"{what[0].upper()}{what[1:]} per epoch", title, rise=24 if is_drawn else 4)
    if is_drawn:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3, frameon=False, borderaxespad=0.2)
    else:
        axes.text(0.5, 0.5, f"The history has no {column}.", transform=axes.transAxes, ha="center", color=QUIET)
    return figure


def class_distribution_figure(counts: Mapping[str, Mapping[str, int]], *, title: str = "") -> "Figure":
    """Returns bars of the images per class, one panel per split, each with counts and shares."""
    labels = sorted({label for of_split in counts.values() for label in of_split})
    figure = new_figure(max(6.5, 1.2 + 3.6 * len(counts)), 1.9 + 0.34 * len(labels))
    panels = figure.subplots(1, len(counts), sharey=True, squeeze=False)[0]
    for axes, (split, of_split), colour in zip(panels, counts.items(), cycle(RUN_COLOURS), strict=False):
        _draw_class_bars(axes, [of_split.get(label, 0) for label in labels], colour=colour)
        axes.set_title(f"{split}: {sum(of_split.values()):,} images", loc="left", fontsize=11)
    panels[0].set_yticks(range(len(labels)), map(shortened, labels))
    panels[0].set_ylim(len(labels) - 0.4, -0.6)
    figure_title(figure, " – ".join(filter(None, ("Images per class", title))))
    return figure


def confusion_figure(matrix: Sequence[Sequence[int]], labels: Sequence[str], *, title: str) -> "Figure":
    """Returns two panels: images, and percent of each true class. `matrix`: (k, k), rows are the truth."""
    matrix = np.asarray(matrix)
    totals = matrix.sum(axis=1, keepdims=True)
    percent = np.divide(100.0 * matrix, totals, out=np.full(matrix.shape, np.nan), where=totals > 0)
    side = max(3.6, 0.5 * len(labels))
    figure = new_figure(2 * side + 3.0, side + 2.2)
    left, right = figure.subplots(1, 2)
    _draw_matrix(left, matrix.astype(float), labels, texts=[[f"{n:,}" for n in row] for row in matrix.tolist()])
    _draw_matrix(right, percent, labels, texts=[[_percent_text(value) for value in row] for row in percent], high=100)
    left.set_title("Images", loc="left", fontsize=11)
    right.set_title("Percent of each true class", loc="left", fontsize=11)
    left.set_ylabel("true class", color=QUIET)
    figure_title(figure, f"Confusion matrix – {title}")
    return figure


def overview_figure(curves: Sequence[Curve]) -> "Figure":
    """Returns the runs over each other, accuracy against epoch; of many, the best seven stand out from the grey.

    Runs without validation images come last: their curve is of training images.
    """
    figure = new_figure(11, 5.6)
    axes = figure.add_subplot()
    measured = [curve for curve in curves if curve.best]
    ranked = sorted(measured, key=lambda curve: (not curve.has_validation, -curve.best[1]))
    named, others = ranked[: len(RUN_COLOURS)], ranked[len(RUN_COLOURS) :]
    for curve, colour, dashes in zip(named, RUN_COLOURS, RUN_DASHES, strict=False):
        _draw_named(axes, curve, colour, dashes)
    for place, curve in enumerate(others):
        best = [other.best[1] for other in others]
        label = f"{len(others):,} others\nbest {min(best):.1%} to {max(best):.1%}" if place == 0 else None
        _draw_curve(axes, curve.curve, label=label, color="#b9b9b9", linewidth=0.9, zorder=1)
    _epoch_axis(axes, [epoch for curve in ranked for epoch, _ in curve.curve])
    _value_axis(axes, "accuracy")
    count = f"{len(ranked):,} {'run' if len(ranked) == 1 else 'runs'}, best first"
    head(axes, "Validation accuracy of the runs", count)
    if ranked:
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
        axes.legend(**place, frameon=False, fontsize=9, labelspacing=0.9, handlelength=3)
    else:
        axes.set_ylim(0, 1)
        axes.text(0.5, 0.5, "No run with an accuracy yet.", transform=axes.transAxes, ha="center", color=QUIET)
    return figure


def _points(rows: Sequence[Mapping], column: str) -> list[tuple[int, float]]:
    values = ((int(row["epoch"]), row.get(column)) for row in rows)
    return [(epoch, value) for epoch, value in values if value is not None and np.isfinite(value)]


def _draw_curve(axes: "Axes", points: Sequence[tuple[int, float]], **look: object) -> None:
    if points:
        axes.plot(*zip(*points, strict=True), **{"linewidth": 1.8, "markersize": 7 if len(points) == 1 else 4} | look)


def _draw_named(axes: "Axes", curve: Curve, colour: str, dashes: str | tuple) -> None:
    best_epoch, best = curve.best
    which = "" if curve.has_validation else ", on training images"
    label = f"{curve.date:%Y-%m-%d %H:%M}  {shortened(curve.name)}\nbest {best:.1%} (epoch {best_epoch}{which})"
    marker = "o" if len(curve.curve) == 1 else ""
    # The better ones lie above the others.
    look = {"color": colour, "zorder": 2 + best}
    _draw_curve(axes, curve.curve, label=label, linestyle=dashes, marker=marker, **look)
    axes.plot(best_epoch, best, "o", color=colour, markersize=8, markeredgecolor="white", zorder=5)


def _mark_kept(axes: "Axes", points: Mapping[int, float], kept_epoch: int | None, *, is_share: bool) -> None:
    value = points.get(kept_epoch)
    if value is None:
        return
    label = f"kept: epoch {kept_epoch} ({f'{value:.1%}' if is_share else f'{value:.3f}'})"
    ring = {"markersize": 12, "markerfacecolor": "none", "markeredgecolor": KEPT, "markeredgewidth": 1.6}
    axes.axvline(kept_epoch, color=KEPT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.plot(kept_epoch, value, "o", **ring, linestyle="none", label=label, zorder=4)


def _epoch_axis(axes: "Axes", epochs: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch", color=QUIET)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
    first, last = (min(epochs), max(epochs)) if epochs else (1, 1)
    margin = max(0.5, 0.02 * (last - first))
    axes.set_xlim(first - margin, last + margin)


def _value_axis(axes: "Axes", column: str) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.set_ylabel(column, color=QUIET)
    with_grid(axes)
    axes.margins(y=0.08)
    if column == "loss":
        axes.set_ylim(bottom=0)
        return
    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10]))
    low, high = axes.get_ylim()
    room = max(0.0, LEAST_SPAN - (high - low)) / 2
    axes.set_ylim(max(low - room, -0.02), min(high + room, 1.02))


def _draw_class_bars(axes: "Axes", numbers: Sequence[int], *, colour: str) -> None:
    total = max(sum(numbers), 1)
    bars = axes.barh(range(len(numbers)), numbers, color=colour, height=0.72)
    axes.bar_label(bars, [f"{n:,}  ({n / total:.1%})" for n in numbers], padding=4, fontsize=8.5, color=DARK)
    axes.set_xlim(0, max([*numbers, 1]) * 1.42)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params(axis="x", nbins=4, integer=True)
    axes.set_xlabel("images", color=QUIET)
    with_grid(axes, axis="x")
    axes.tick_params(axis="y", length=0)


def _draw_matrix(axes: "Axes", values: np.ndarray, labels: Sequence[str], *, texts, high: float | None = None) -> None:
    high = high or max(float(values.max()), 1.0)
    image = axes.imshow(np.nan_to_num(values), cmap="Blues", vmin=0, vmax=high, aspect="equal")
    size = 11 if len(labels) <= 8 else 8
    for row, column in np.ndindex(values.shape):
        colour = text_colour(image.to_rgba(values[row, column])) if values[row, column] > 0 else "#9a9a9a"
        axes.text(column, row, texts[row][column], ha="center", va="center", fontsize=size, color=colour)
    names = [shortened(label, 18) for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("predicted class", color=QUIET)
    axes.set_xticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


def _percent_text(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.0f}" if value == 0 or value >= 0.5 else "<1"
