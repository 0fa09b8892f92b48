"""Builds the figures of an analysis: reliability before and after, precision over recall, confidently wrong faces.

Returns matplotlib `Figure` objects; `look.save` writes them. Few artists each: the sheet of faces is one picture, and a
curve has no more points than can be told apart.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from fer_core import emotions
from fer_core.evaluation.analysis_result import WrongFace
from fer_core.evaluation.calibration import Bin
from fer_core.evaluation.look import DARK, DOTS_PER_INCH, QUIET, figure_title, head, new_figure, shortened, with_grid
from fer_core.evaluation.metrics import PrecisionRecall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, TOO_CONFIDENT, TOO_MODEST = "#0072B2", "#F0B48C", "#8CC6EC"
SHEET_COLUMNS, SHEET_ROWS = 6, 4
MOST_POINTS = 400
"""Of a curve: about as many as the figure has pixels for it."""

_LEAST_WIDTH = 9.0
"""Inches: a title needs as much."""
_FACE, _CAPTION, _BETWEEN, _STRIP, _MARGIN, _TOP = 192, 104, 36, 7, 36, 136
"""Of the sheet of faces, in dots."""


def reliability_figure(panels: Mapping[str, Sequence[Bin]], *, title: str) -> "Figure":
    """Returns, side by side, how often the model was right at each confidence, above how many images there are.

    Args:
        panels: by their titles, the bins of `calibration.reliability`.
    """
    figure = new_figure(max(4.9 * len(panels) + 0.6, _LEAST_WIDTH), 5.9)
    grid = figure.subplots(2, len(panels), squeeze=False, sharex=True, sharey="row", height_ratios=(4, 1))
    most = max(part.images for bins in panels.values() for part in bins)
    for column, (heading, bins) in enumerate(panels.items()):
        _draw_reliability(grid[0, column], heading, bins)
        _draw_counts(grid[1, column], bins, most=most)
    grid[0, 0].set_ylabel("share that is right", color=QUIET)
    grid[1, 0].set_ylabel("images", color=QUIET)
    grid[0, 0].legend(loc="upper left", fontsize=9, framealpha=0.9, edgecolor="none")
    figure_title(figure, f"Reliability – {title}")
    return figure


def precision_recall_figure(
    curves: Mapping[str, PrecisionRecall], images: Mapping[str, int], *, title: str
) -> "Figure":
    """Returns precision over recall for each class in its emotion's colour, with the average precision (AP).

    Args:
        curves, images: by class, in the model's order; a class without images is named but has no curve.
    """
    figure = new_figure(9.6, 5.6)
    axes = figure.add_subplot()
    labels = tuple(curves)
    for label, curve in sorted(curves.items(), key=lambda item: -(item[1].average_precision or -1)):
        legend = f"{_share(curve.average_precision)}  {shortened(label, 18)} ({images[label]:,} images)"
        colour = emotions.colour(label.lower(), labels)
        # A precision is that of all finds up to its recall, so it holds from the recall before.
        axes.plot(*_drawn_points(curve), color=colour, label=legend, linewidth=1.9, drawstyle="steps-pre")
    _share_axes(axes)
    axes.set_xlabel("recall: share of the class's images that are found", color=QUIET)
    axes.set_ylabel("precision: share of the finds that are right", color=QUIET)
    axes.legend(
        title="average precision",
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        frameon=False,
        labelspacing=0.8,
    )
    head(axes, "Precision and recall of each class", title)
    return figure


def confidently_wrong_figure(
    wrong: Sequence[WrongFace], faces: np.ndarray, labels: Sequence[str], *, title: str
) -> "Figure":
    """Returns a sheet of faces, six in a row, each with what the model says, its label in the data, and its name.

    Args:
        faces: uint8 (n, side, side, channels), of `wrong` in its order. labels: all of the model's.
    """
    rows = max(1, -(-len(wrong) // SHEET_COLUMNS))
    height, width = rows * (_FACE + _CAPTION), SHEET_COLUMNS * (_FACE + _BETWEEN) - _BETWEEN
    figure = new_figure((width + 2 * _MARGIN) / DOTS_PER_INCH, (height + _TOP + _MARGIN) / DOTS_PER_INCH)
    figure.set_layout_engine("none")
    axes = figure.add_axes(_placed(figure, _MARGIN, _MARGIN, width, height))
    axes.set_axis_off()
    head(axes, "Confidently wrong", title, rise=12)
    if not wrong:
        axes.text(0.5, 0.5, "No image is wrong.", ha="center", color=QUIET)
        return figure
    corners = [divmod(place, SHEET_COLUMNS) for place in range(len(wrong))]
    corners = [(row * (_FACE + _CAPTION), column * (_FACE + _BETWEEN)) for row, column in corners]
    colours = [emotions.colour(face.predicted.lower(), tuple(labels)) for face in wrong]
    sheet = _sheet(faces, colours, corners, (height, width))
    axes.imshow(sheet, aspect="auto", interpolation="nearest")
    for face, (top, left) in zip(wrong, corners, strict=True):
        _caption(axes, face, left, top + _FACE + _STRIP)
    return figure


def _placed(figure: "Figure", left: int, bottom: int, width: int, height: int) -> tuple[float, float, float, float]:
    """Returns dots as parts of the figure, so that one pixel of a picture becomes one dot of the file."""
    whole_width, whole_height = figure.get_size_inches() * DOTS_PER_INCH
    return left / whole_width, bottom / whole_height, width / whole_width, height / whole_height


def _sheet(
    faces: np.ndarray, colours: Sequence[str], corners: Sequence[tuple[int, int]], size: tuple[int, int]
) -> np.ndarray:
    """Returns all faces on one white picture, uint8 (height, width, 3) RGB, each over a strip in its colour."""
    import cv2
    from matplotlib.colors import to_rgb

    sheet = np.full((*size, 3), 255, np.uint8)
    for face, colour, (top, left) in zip(faces, colours, corners, strict=True):
        enlarged = cv2.resize(face[..., 0], (_FACE, _FACE), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + _FACE, left : left + _FACE] = enlarged[..., np.newaxis]
        strip = sheet[top + _FACE : top + _FACE + _STRIP, left : left + _FACE]
        strip[:] = np.round(255 * np.array(to_rgb(colour)))
    return sheet


def _caption(axes: "Axes", face: WrongFace, left: int, top: int) -> None:
    lines = (
        (f"{shortened(face.predicted, 14)} {face.confidence:.1%}", {"fontsize": 9, "fontweight": "bold"}),
        (f"labelled {shortened(face.truth, 16)}", {"fontsize": 9, "color": DARK}),
        (shortened(PurePosixPath(face.name).name, 26), {"fontsize": 6.5, "color": QUIET}),
    )
    for number, (text, look) in enumerate(lines):
        axes.text(left, top + 6 + 23 * number, text, va="top", **look)


def _draw_reliability(axes: "Axes", heading: str, bins: Sequence[Bin]) -> None:
    filled = [(place, part) for place, part in enumerate(bins) if part.images]
    width = 1 / len(bins)
    middles = [(place + 0.5) * width for place, _ in filled]
    right, confident = (np.array([getattr(part, name) for _, part in filled]) for name in ("accuracy", "confidence"))
    both = np.minimum(right, confident)
    for heights, colour, label in (
        (both, RIGHT, "right"),
        (confident - both, TOO_CONFIDENT, "more confident than right"),
        (right - both, TOO_MODEST, "more right than confident"),
    ):
        bottom = 0 if heights is both else both
        axes.bar(middles, heights, width * 0.92, bottom=bottom, color=colour, label=label)
    axes.plot([0, 1], [0, 1], color=DARK, linewidth=1, linestyle=(0, (4, 3)), label="as right as confident")
    _share_axes(axes)
    axes.set_title(heading, loc="left", fontsize=11)


def _draw_counts(axes: "Axes", bins: Sequence[Bin], *, most: int) -> None:
    width = 1 / len(bins)
    images = [part.images for part in bins]
    bars = axes.bar([(place + 0.5) * width for place in range(len(bins))], images, width * 0.92, color="#b4b4b4")
    axes.bar_label(bars, [f"{count:,}" if count else "" for count in images], padding=1, fontsize=7, color=DARK)
    axes.set_ylim(0, 1.35 * max(most, 1))
    axes.set_yticks([])
    axes.set_xlabel("confidence: probability of the predicted class", color=QUIET)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _share_axes(axes: "Axes") -> None:
    from matplotlib.ticker import MultipleLocator, PercentFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axis.set_major_locator(MultipleLocator(0.2))
    axes.set(xlim=(0, 1.0), ylim=(0, 1.02))
    with_grid(axes)


def _drawn_points(curve: PrecisionRecall) -> tuple[np.ndarray, np.ndarray]:
    """Returns at most MOST_POINTS points, from a recall of 0 on, of those where one more image is found."""
    if not len(curve.recall):
        return curve.recall, curve.precision
    finds = np.flatnonzero(np.diff(curve.recall, prepend=0.0))
    kept = finds[np.unique(np.linspace(0, len(finds) - 1, min(len(finds), MOST_POINTS)).astype(int))]
    return np.append(0.0, curve.recall[kept]), np.append(curve.precision[kept[0]], curve.precision[kept])


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
