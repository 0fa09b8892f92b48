"""Builds the figure of an explanation: the face, what speaks for the emotion, and the feature maps beside them.

Returns a matplotlib `Figure`; `look.save` writes it. Placed in dots, so that every map is drawn pixel by pixel and all
maps are one picture.
"""

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_core import emotions
from fer_core.evaluation.look import DARK, DOTS_PER_INCH, QUIET, head, new_figure, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fer_core.evaluation.explain import Explanation

_MARGIN, _TOP, _BETWEEN = 40, 150, 70
_FACE, _GRID = 300, 960
_CAPTION = 44
_MAP_GAP, _MAP_TITLE = 8, 20
_STRONGEST = 0.6
"""Of the heat over the face, which stays visible beneath."""


def explain_figure(explanation: "Explanation", *, title: str) -> "Figure":
    """Returns the face, the same under its heat map, the probabilities, and up to 64 feature maps, most active first.

    Args:
        title: which picture and model.
    """
    width, height = 2 * _MARGIN + _FACE + _BETWEEN + _GRID, _TOP + _GRID + _MARGIN
    figure = new_figure(width / DOTS_PER_INCH, height / DOTS_PER_INCH)
    figure.set_layout_engine("none")
    _draw_face(_axes(figure, _MARGIN, _TOP, _FACE, _FACE), explanation, title)
    second = _TOP + _FACE + _CAPTION
    _draw_heat(_axes(figure, _MARGIN, second, _FACE, _FACE), explanation)
    third = second + _FACE + _CAPTION
    _draw_probabilities(_axes(figure, _MARGIN, third, _FACE, _TOP + _GRID - third), explanation)
    _draw_maps(_axes(figure, _MARGIN + _FACE + _BETWEEN, _TOP, _GRID, _GRID), explanation)
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


def _axes(figure: "Figure", left: int, top: int, width: int, height: int) -> "Axes":
    """Returns axes without frame at dots from the upper left corner."""
    whole_width, whole_height = figure.get_size_inches() * DOTS_PER_INCH
    bottom = whole_height - top - height
    axes = figure.add_axes((left / whole_width, bottom / whole_height, width / whole_width, height / whole_height))
    axes.set_axis_off()
    return axes


def _draw_face(axes: "Axes", explanation: "Explanation", title: str) -> None:
    number = int(explanation.probabilities.argmax())
    says = f"{explanation.labels[number]} {explanation.probabilities[number]:.1%}"
    _show(axes, np.repeat(explanation.face[..., :1], 3, axis=2))
    head(axes, f"The model says {says}", title, rise=30)
    side = explanation.face.shape[0]
    _caption(axes, f"what it sees, {side} × {side}")


def _draw_heat(axes: "Axes", explanation: "Explanation") -> None:
    _show(axes, overlay(explanation.face, explanation.heat))
    what = "Grad-CAM for" if explanation.heat.any() else "nothing speaks for"
    _caption(axes, f"{what} {shortened(explanation.emotion, 12)}, {shortened(explanation.heat_layer.name, 16)}")


def _draw_probabilities(axes: "Axes", explanation: "Explanation") -> None:
    labels, shares = explanation.labels, explanation.probabilities
    colours = [emotions.colour(label.lower(), labels) for label in labels]
    bars = axes.barh(range(len(labels)), shares, color=colours, height=0.7)
    names = [f"{shortened(label, 14)} {share:.1%}" for label, share in zip(labels, shares, strict=True)]
    axes.bar_label(bars, names, padding=3, fontsize=7.5 if len(labels) <= 8 else 5.5, color=DARK)
    axes.set(xlim=(0, 1.7), ylim=(len(labels) - 0.4, -0.6))
    _caption(axes, "probabilities, calibrated")


def _draw_maps(axes: "Axes", explanation: "Explanation") -> None:
    layer, shown = explanation.maps_layer, explanation.maps.shape[2]
    columns = max(1, math.ceil(math.sqrt(shown)))
    cell = _GRID // columns
    axes.imshow(_map_sheet(explanation.maps, columns, cell), aspect="auto", interpolation="nearest")
    for place, number in enumerate(explanation.map_numbers):
        row, column = divmod(place, columns)
        axes.text(column * cell, row * cell + _MAP_TITLE - 4, f"{number}", fontsize=6.5, color=QUIET, va="bottom")
    which = (
        f"the {shown} most active of {layer.maps} maps"
        if shown < layer.maps
        else f"its {shown} maps, most active first"
    )
    _caption(axes, f"{shortened(layer.name)} ({layer.kind}, {layer.height} × {layer.width}): {which}")


def _map_sheet(maps: np.ndarray, columns: int, cell: int) -> np.ndarray:
    """Returns all maps on one picture, uint8 RGB, each in its own range from dark (its least value) to bright."""
    from matplotlib import colormaps

    sheet = np.full((_GRID, _GRID, 3), 255, np.uint8)
    size = cell - _MAP_TITLE - _MAP_GAP
    low, high = maps.min(axis=(0, 1)), maps.max(axis=(0, 1))
    shares = (maps - low) / np.where(high > low, high - low, 1)
    for place in range(maps.shape[2]):
        top, left = (part * cell for part in divmod(place, columns))
        enlarged = cv2.resize(shares[..., place], (size, size), interpolation=cv2.INTER_NEAREST)
        colours = np.round(255 * colormaps["viridis"](enlarged)[..., :3]).astype(np.uint8)
        sheet[top + _MAP_TITLE : top + _MAP_TITLE + size, left : left + size] = colours
    return sheet


def _show(axes: "Axes", picture_rgb: np.ndarray) -> None:
    enlarged = cv2.resize(picture_rgb, (_FACE, _FACE), interpolation=cv2.INTER_CUBIC)
    axes.imshow(enlarged, aspect="auto", interpolation="nearest")


def _caption(axes: "Axes", text: str) -> None:
    axes.annotate(text, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8.5, color=DARK)
