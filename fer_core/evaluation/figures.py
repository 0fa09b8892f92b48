"""Builds the figures: training curves, class distribution, confusion matrix, the runs over each other.

Returns matplotlib `Figure` objects, never pyplot and no global setting; `look.save` writes them. Colours are those of
Okabe and Ito (2008), which colour-blind people can tell apart. matplotlib is imported inside, because it is slow.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import cycle
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fer_core.evaluation.look import (
    DARK,
    QUIET,
    figure_title,
    head,
    new_figure,
    shortened,
    text_colour,
    with_grid,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = ("accuracy", "loss", "precision", "recall")
"""The columns of a history of which a curve is drawn."""
TRAINING, VALIDATION, KEPT = "#0072B2", "#D55E00", DARK
RUN_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
RUN_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (3, 1)))
LEAST_SPAN = 0.2
"""Of an axis of shares: a curve that moves by one point shall not look like a mountain."""
MOST_MARKED_EPOCHS = 25
"""Above this the points of a curve run into each other, so only the line is drawn."""


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
    drawn = [
        _draw_curve(
            axes, _points(rows, name), label=label, colour=colour, marker=marker, marked_up_to=MOST_MARKED_EPOCHS
        )
        for name, label, colour, marker in (
            (column, "training", TRAINING, "o"),
            (f"val_{column}", "validation", VALIDATION, "s"),
        )
    ]
    _mark_kept(axes, _points(rows, f"val_{column}") or _points(rows, column), kept_epoch, is_share=column != "loss")
    _epoch_axis(axes, [int(row["epoch"]) for row in rows])
    _value_axis(axes, column)
    what = column if column in ("loss", "accuracy") else f"{column} (macro average)"
    head(axes, f"{what[0].upper()}{what[1:]} per epoch", title, rise=24 if any(drawn) else 4)
    if any(drawn):
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
    panels[0].set_yticks(range(len(labels)), labels)
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
    for place, curve in enumerate(others):
        label = _others_label(others) if place == 0 else None
        _draw_curve(axes, curve.curve, label=label, colour="#b9b9b9", width=0.9)
    for place in reversed(range(len(named))):
        _draw_named(axes, named[place], place)
    _epoch_axis(axes, [epoch for curve in ranked for epoch, _ in curve.curve])
    _value_axis(axes, "accuracy")
    head(
        axes, "Validation accuracy of the runs", f"{len(ranked):,} {'run' if len(ranked) == 1 else 'runs'}, best first"
    )
    _legend_beside(axes, best_first=len(named))
    return figure


def _points(rows: Sequence[Mapping], column: str) -> list[tuple[int, float]]:
    values = ((int(row["epoch"]), row.get(column)) for row in rows)
    return [(epoch, value) for epoch, value in values if value is not None and np.isfinite(value)]


def _draw_curve(
    axes: "Axes",
    points: Sequence[tuple[int, float]],
    *,
    label: str | None,
    colour: str,
    marker="o",
    dashes="-",
    width=1.8,
    marked_up_to=1,
) -> bool:
    """Draws a curve, with markers if it is short, and returns whether there was anything to draw."""
    if not points:
        return False
    epochs, values = zip(*points, strict=True)
    shown = marker if len(points) <= marked_up_to else ""
    size = 7 if len(points) == 1 else 4
    axes.plot(
        epochs, values, linestyle=dashes, color=colour, label=label, marker=shown, markersize=size, linewidth=width
    )
    return True


def _draw_named(axes: "Axes", curve: Curve, place: int) -> None:
    best_epoch, best = curve.best
    which = "" if curve.has_validation else ", on training images"
    label = f"{curve.date:%Y-%m-%d %H:%M}  {shortened(curve.name)}\nbest {best:.1%} (epoch {best_epoch}{which})"
    _draw_curve(axes, curve.curve, label=label, colour=RUN_COLOURS[place], dashes=RUN_DASHES[place])
    axes.plot(best_epoch, best, "o", color=RUN_COLOURS[place], markersize=8, markeredgecolor="white", zorder=5)


def _others_label(others: Sequence[Curve]) -> str:
    best = [curve.best[1] for curve in others]
    return f"{len(others):,} others\nbest {min(best):.1%} to {max(best):.1%}"


def _legend_beside(axes: "Axes", *, best_first: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if not handles:
        axes.set_ylim(0, 1)
        axes.text(0.5, 0.5, "No run with an accuracy yet.", transform=axes.transAxes, ha="center", color=QUIET)
        return
    others = len(handles) - best_first
    order = [*range(len(handles) - 1, others - 1, -1), *range(others)]
    handles, labels = [handles[place] for place in order], [labels[place] for place in order]
    axes.legend(
        handles,
        labels,
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        fontsize=9,
        labelspacing=0.9,
        handlelength=3,
    )


def _mark_kept(axes: "Axes", points: Sequence[tuple[int, float]], kept_epoch: int | None, *, is_share: bool) -> None:
    value = dict(points).get(kept_epoch)
    if value is None:
        return
    text = f"{value:.1%}" if is_share else f"{value:.3f}"
    axes.axvline(kept_epoch, color=KEPT, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.plot(
        kept_epoch,
        value,
        "o",
        markersize=12,
        markerfacecolor="none",
        markeredgecolor=KEPT,
        markeredgewidth=1.6,
        linestyle="none",
        label=f"kept: epoch {kept_epoch} ({text})",
        zorder=4,
    )


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
