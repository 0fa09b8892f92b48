"""Builds the figures of an analysis (reliability, precision over recall, wrong faces) and of an explanation."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from fer_core import labels as emotion_labels
from fer_core.evaluation import figures
from fer_core.evaluation.calibration import Bin
from fer_core.evaluation.metrics import PrecisionRecall

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fer_core.evaluation.analysis import Analysis, WrongFace
    from fer_core.evaluation.calibration import Answered
    from fer_core.evaluation.explain import Explanation

RIGHT, TOO_CONFIDENT, TOO_MODEST = "#0072B2", "#F0B48C", "#8CC6EC"
SHEET_COLUMNS = 6
MOST_POINTS = 400  # of a curve: about as many as the figure has pixels for it

_LEAST_WIDTH = 9.0  # inches: a title needs as much
# In dots, so that one pixel of a picture becomes one dot of the file.
_FACE, _CAPTION, _BETWEEN, _STRIP, _MARGIN, _TOP = 192, 104, 36, 7, 36, 136
_EXPLAINED, _MAPS, _GAP = 300, 960, 44
_MAP_GAP, _MAP_TITLE = 8, 20
_STRONGEST = 0.6  # of the heat over the face, which stays visible beneath


def draw_analysis(
    analysis: "Analysis",
    curves: Mapping[str, PrecisionRecall],
    faces: np.ndarray,
    *,
    model_name: str,
    paths: Sequence[Path],
) -> None:
    """Writes the figures of an analysis: confusion matrix, precision over recall, reliability, risk, and wrong faces.

    Args:
        curves: by class. faces: uint8 (n, side, side, channels), of `analysis.confidently_wrong`. paths: of the five.
    """
    evaluation = analysis.evaluation
    images = {label: score.images for label, score in evaluation.per_class.items()}
    title = f"{model_name}: {evaluation.split}, {evaluation.images:,} images, {evaluation.accuracy:.1%} right"
    surest, wrong = len(analysis.confidently_wrong), evaluation.images - int(np.trace(evaluation.confusion))
    words = "bold is what the model says, with its calibrated confidence"
    heading = f"{title}\nThe {surest} surest of {wrong:,} wrong answers; {words}."
    panels = {"As the model says it": analysis.before}
    if analysis.temperature != 1:
        panels[f"With temperature {analysis.temperature:.2f}"] = analysis.after
    panels = {f"{name}: calibration error (ECE) {part.error:.1%}": part.bins for name, part in panels.items()}
    drawn = (
        figures.confusion_figure(evaluation.confusion, evaluation.labels, title=title),
        precision_recall_figure(curves, images, title=title),
        reliability_figure(panels, title=title),
        risk_figure(analysis.answered, analysis.mostly_right, title=title),
        confidently_wrong_figure(analysis.confidently_wrong, faces, evaluation.labels, title=heading),
    )
    for figure, path in zip(drawn, paths, strict=True):
        figures.save(figure, path)


def reliability_figure(panels: Mapping[str, Sequence[Bin]], *, title: str) -> "Figure":
    """Returns, side by side, how often the model was right at each confidence, above how many images there are.

    Args:
        panels: by their titles, the bins of `calibration.reliability`.
    """
    figure = figures.new_figure(max(4.9 * len(panels) + 0.6, _LEAST_WIDTH), 5.9)
    grid = figure.subplots(2, len(panels), squeeze=False, sharex=True, sharey="row", height_ratios=(4, 1))
    most = max(part.images for bins in panels.values() for part in bins)
    for column, (heading, bins) in enumerate(panels.items()):
        _draw_reliability(grid[0, column], heading, bins)
        _draw_counts(grid[1, column], bins, most=most)
    grid[0, 0].set_ylabel("share that is right", color=figures.QUIET)
    grid[1, 0].set_ylabel("images", color=figures.QUIET)
    grid[0, 0].legend(loc="upper left", fontsize=9, framealpha=0.9, edgecolor="none")
    figures.figure_title(figure, f"Reliability – {title}")
    return figure


def risk_figure(answered: "Sequence[Answered]", marked: "Answered | None", *, title: str) -> "Figure":
    """Returns how many answers are right over how many are given, the surest first.

    Args:
        answered: of `risk.risk_coverage`. marked: the row where as many are right as shall be; None: nowhere.
    """
    from matplotlib.ticker import MaxNLocator

    figure = figures.new_figure(_LEAST_WIDTH, 5.2)
    axes = figure.add_subplot()
    axes.plot([row.coverage for row in answered], [row.accuracy for row in answered], color=RIGHT, linewidth=2)
    _share_axes(axes)
    lowest = min(row.accuracy for row in answered)
    axes.set_ylim(max(0.0, math.floor(10 * lowest - 0.5) / 10), 1.01)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    if marked:
        axes.plot(marked.coverage, marked.accuracy, "o", color=figures.DARK, clip_on=False)
        text = f"{marked.coverage:.0%} of the images\nconfidence {marked.threshold:.0%} or more"
        place = {"xytext": (-10, -14), "textcoords": "offset points", "ha": "right", "va": "top"}
        axes.annotate(text, (marked.coverage, marked.accuracy), **place, fontsize=9, color=figures.DARK)
    axes.set_xlabel("share of the images that are answered, the surest first", color=figures.QUIET)
    axes.set_ylabel("share of the answers that are right", color=figures.QUIET)
    figures.head(axes, "What is right where the unsure answers are left out", title)
    return figure


def precision_recall_figure(
    curves: Mapping[str, PrecisionRecall], images: Mapping[str, int], *, title: str
) -> "Figure":
    """Returns precision over recall for each class in its emotion's colour, with the average precision (AP).

    Args:
        curves, images: by class, in the model's order; a class without images is named but has no curve.
    """
    figure = figures.new_figure(9.6, 5.6)
    axes = figure.add_subplot()
    for label, curve in sorted(curves.items(), key=lambda item: -(item[1].average_precision or -1)):
        share = "–" if curve.average_precision is None else f"{curve.average_precision:.1%}"
        legend = f"{share}  {figures.shortened(label, 18)} ({images[label]:,} images)"
        colour = emotion_labels.colour(label.lower(), tuple(curves))
        # A precision is that of all finds up to its recall, so it holds from the recall before.
        axes.plot(*_drawn_points(curve), color=colour, label=legend, linewidth=1.9, drawstyle="steps-pre")
    _share_axes(axes)
    axes.set_xlabel("recall: share of the class's images that are found", color=figures.QUIET)
    axes.set_ylabel("precision: share of the finds that are right", color=figures.QUIET)
    place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)}
    axes.legend(**place, title="average precision", alignment="left", frameon=False, labelspacing=0.8)
    figures.head(axes, "Precision and recall of each class", title)
    return figure


def confidently_wrong_figure(
    wrong: "Sequence[WrongFace]", faces: np.ndarray, labels: Sequence[str], *, title: str
) -> "Figure":
    """Returns a sheet of faces, six in a row, each with what the model says, its label in the data, and its name.

    Args:
        faces: uint8 (n, side, side, channels), of `wrong` in its order. labels: all of the model's.
    """
    import cv2
    from matplotlib.colors import to_rgb

    rows = max(1, -(-len(wrong) // SHEET_COLUMNS))
    height, width = rows * (_FACE + _CAPTION), SHEET_COLUMNS * (_FACE + _BETWEEN) - _BETWEEN
    figure = _figure_of_dots(width + 2 * _MARGIN, height + _TOP + _MARGIN)
    axes = _axes(figure, _MARGIN, _TOP, width, height)
    figures.head(axes, "Confidently wrong", title, rise=12)
    if not wrong:
        axes.text(0.5, 0.5, "No image is wrong.", ha="center", color=figures.QUIET)
        return figure
    sheet = np.full((height, width, 3), 255, np.uint8)
    for place, (face, picture) in enumerate(zip(wrong, faces, strict=True)):
        row, column = divmod(place, SHEET_COLUMNS)
        top, left = row * (_FACE + _CAPTION), column * (_FACE + _BETWEEN)
        enlarged = cv2.resize(picture[..., 0], (_FACE, _FACE), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + _FACE, left : left + _FACE] = enlarged[..., np.newaxis]
        colour = to_rgb(emotion_labels.colour(face.predicted.lower(), tuple(labels)))
        sheet[top + _FACE : top + _FACE + _STRIP, left : left + _FACE] = np.round(255 * np.array(colour))
        texts = (
            (f"{figures.shortened(face.predicted, 14)} {face.confidence:.1%}", {"fontsize": 9, "fontweight": "bold"}),
            (f"labelled {figures.shortened(face.truth, 16)}", {"fontsize": 9, "color": figures.DARK}),
            (figures.shortened(PurePosixPath(face.name).name, 26), {"fontsize": 6.5, "color": figures.QUIET}),
        )
        for number, (text, look) in enumerate(texts):
            axes.text(left, top + _FACE + _STRIP + 6 + 23 * number, text, va="top", **look)
    axes.imshow(sheet, aspect="auto", interpolation="nearest")
    return figure


def explain_figure(explanation: "Explanation", *, title: str) -> "Figure":
    """Returns the face, the same under its heat map, the probabilities, and up to 64 feature maps, most active first.

    Args:
        title: which picture and model.
    """
    side = explanation.face.shape[0]
    figure = _figure_of_dots(2 * _MARGIN + _EXPLAINED + 2 * _BETWEEN + _MAPS, _TOP + _MAPS + _MARGIN)
    tops = [_TOP + number * (_EXPLAINED + _GAP) for number in range(3)]
    axes = _axes(figure, _MARGIN, tops[0], _EXPLAINED, _EXPLAINED)
    number, shares = int(explanation.probabilities.argmax()), explanation.probabilities
    figures.head(axes, f"The model says {explanation.labels[number]} {shares[number]:.1%}", title, rise=30)
    _show(axes, np.repeat(explanation.face[..., :1], 3, axis=2), f"what it sees, {side} × {side}")
    what = "Grad-CAM for" if explanation.heat.any() else "nothing speaks for"
    emotion, layer = figures.shortened(explanation.emotion, 12), figures.shortened(explanation.heat_layer.name, 16)
    caption = f"{what} {emotion}, {layer}"
    _show(_axes(figure, _MARGIN, tops[1], _EXPLAINED, _EXPLAINED), overlay(explanation.face, explanation.heat), caption)
    _draw_probabilities(_axes(figure, _MARGIN, tops[2], _EXPLAINED, _TOP + _MAPS - tops[2]), explanation)
    _draw_maps(_axes(figure, _MARGIN + _EXPLAINED + 2 * _BETWEEN, _TOP, _MAPS, _MAPS), explanation)
    return figure


def overlay(face: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Returns the face with its heat over it, uint8 (side, side, 3) RGB: dark violet to yellow, nothing where it is 0.

    Args:
        face: uint8 (side, side, channels). heat: float (side, side), 0..1.
    """
    from matplotlib import colormaps

    colours = 255 * colormaps["inferno"](heat)[..., :3]
    share = _STRONGEST * heat[..., np.newaxis]
    return np.round((1 - share) * face[..., :1] + share * colours).astype(np.uint8)


def _figure_of_dots(width: int, height: int) -> "Figure":
    figure = figures.new_figure(width / figures.DOTS_PER_INCH, height / figures.DOTS_PER_INCH)
    figure.set_layout_engine("none")
    return figure


def _axes(figure: "Figure", left: int, top: int, width: int, height: int) -> "Axes":
    whole_width, whole_height = figure.get_size_inches() * figures.DOTS_PER_INCH
    bottom = whole_height - top - height
    axes = figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))
    axes.set_axis_off()
    return axes


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
    axes.plot([0, 1], [0, 1], color=figures.DARK, linewidth=1, linestyle=(0, (4, 3)), label="as right as confident")
    _share_axes(axes)
    axes.set_title(heading, loc="left", fontsize=11)


def _draw_counts(axes: "Axes", bins: Sequence[Bin], *, most: int) -> None:
    images, width = [part.images for part in bins], 1 / len(bins)
    bars = axes.bar([(place + 0.5) * width for place in range(len(bins))], images, width * 0.92, color="#b4b4b4")
    axes.bar_label(bars, [f"{count:,}" if count else "" for count in images], padding=1, fontsize=7, color=figures.DARK)
    axes.set_ylim(0, 1.35 * max(most, 1))
    axes.set_yticks([])
    axes.set_xlabel("confidence: probability of the predicted class", color=figures.QUIET)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _share_axes(axes: "Axes") -> None:
    from matplotlib.ticker import MultipleLocator, PercentFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(xmax=1, decimals=0))
        axis.set_major_locator(MultipleLocator(0.2))
    axes.set(xlim=(0, 1.0), ylim=(0, 1.02))
    figures.with_grid(axes)


def _drawn_points(curve: PrecisionRecall) -> tuple[np.ndarray, np.ndarray]:
    """Returns at most MOST_POINTS points, from a recall of 0 on, of those where one more image is found."""
    if not len(curve.recall):
        return curve.recall, curve.precision
    finds = np.flatnonzero(np.diff(curve.recall, prepend=0.0))
    chosen = finds[np.unique(np.linspace(0, len(finds) - 1, min(len(finds), MOST_POINTS)).astype(int))]
    return np.append(0.0, curve.recall[chosen]), np.append(curve.precision[chosen[0]], curve.precision[chosen])


def _draw_probabilities(axes: "Axes", explanation: "Explanation") -> None:
    labels, shares = explanation.labels, explanation.probabilities
    look = {"color": [emotion_labels.colour(label.lower(), labels) for label in labels], "height": 0.7}
    bars = axes.barh(range(len(labels)), shares, **look)
    names = [f"{figures.shortened(label, 14)} {share:.1%}" for label, share in zip(labels, shares, strict=True)]
    axes.bar_label(bars, names, padding=3, fontsize=7.5 if len(labels) <= 8 else 5.5, color=figures.DARK)
    axes.set(xlim=(0, 1.7), ylim=(len(labels) - 0.4, -0.6))
    _caption(axes, "probabilities, calibrated")


def _draw_maps(axes: "Axes", explanation: "Explanation") -> None:
    """Draws all maps as one picture, each in its own range from dark (its least value) to bright."""
    import cv2
    from matplotlib import colormaps

    layer, maps = explanation.maps_layer, explanation.maps
    shown = maps.shape[2]
    columns = max(1, math.ceil(math.sqrt(shown)))
    cell = _MAPS // columns
    size = cell - _MAP_TITLE - _MAP_GAP
    low, high = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    shares = (maps - low) / np.where(high > low, high - low, 1)
    sheet = np.full((_MAPS, _MAPS, 3), 255, np.uint8)
    for place, number in enumerate(explanation.map_numbers):
        top, left = (part * cell for part in divmod(place, columns))
        enlarged = cv2.resize(shares[..., place], (size, size), interpolation=cv2.INTER_NEAREST)
        colours = np.round(255 * colormaps["viridis"](enlarged)[..., :3])
        sheet[top + _MAP_TITLE : top + _MAP_TITLE + size, left : left + size] = colours
        axes.text(left, top + _MAP_TITLE - 4, f"{number}", fontsize=6.5, color=figures.QUIET, va="bottom")
    axes.imshow(sheet, aspect="auto", interpolation="nearest")
    which = f"its {shown} maps, most active first"
    which = which if shown == layer.maps else f"the {shown} most active of {layer.maps} maps"
    _caption(axes, f"{figures.shortened(layer.name)} ({layer.kind}, {layer.height} × {layer.width}): {which}")


def _show(axes: "Axes", picture_rgb: np.ndarray, caption: str) -> None:
    import cv2

    enlarged = cv2.resize(picture_rgb, (_EXPLAINED, _EXPLAINED), interpolation=cv2.INTER_CUBIC)
    axes.imshow(enlarged, aspect="auto", interpolation="nearest")
    _caption(axes, caption)


def _caption(axes: "Axes", text: str) -> None:
    axes.annotate(
        text, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8.5, color=figures.DARK
    )
