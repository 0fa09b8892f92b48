"""Draws what was read over a frame: boxes, labels, bars and heat maps, and what is told once per picture.

One person has a panel with names, bars and numbers; of several, each has small upright bars beside the box, where they
hide no face. Text is kept as small bitmaps and only what lies under a mark is blended, so that drawing takes about a
millisecond. Does not know windows or files.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fer_core.emotions import colour
from fer_core.live.canvas import DIMMED, WHITE, Canvas, Colour, Heat, Stamps, bgr, blend_heat, readable_on
from fer_core.live.layout import Obstacle, Place, Rect, beside, best_place, corners, rect_of
from fer_core.live.prediction import Prediction
from fer_core.live.status import Status, status_blocks
from fer_core.live.text import shortened, writable

UNSURE: Colour = (178, 178, 178)
UNSURE_PLATE: Colour = (62, 62, 62)
LABEL_OPACITY = 0.92
TRACK: Colour = (88, 85, 82)
PANEL_LETTERS, LABEL_LETTERS = 14, 24
CROWD = 5
"""From so many faces on, a label much wider than its face is the short one."""
MOST_WIDER = 2.0
MOST_HEIGHT = 0.8
"""Of the picture: a panel of more classes shows the most probable ones."""
BARS_HIGH = 0.3
"""Of the box."""
LEAST_BAR = 4
"""Pixels across: narrower ones nobody could tell apart."""
WIDEST_NUMBER = "100 %"
OWN_FACE, STATUS, OTHERS, LABEL = 0.3, 0.5, 1.0, 4.0
"""How much it weighs that a mark hides its own face, the status line, other faces and their bars, a label."""


class Face(NamedTuple):
    """A prediction, its box in whole pixels, and whether its label is the short one."""

    prediction: Prediction
    rect: Rect
    is_short: bool


class Columns(NamedTuple):
    """Widths of a panel's names, bars and numbers, and the height of its rows, in pixels."""

    name: int
    bar: int
    number: int
    row: int


class Overlay:
    """Draws frame after frame: keeps rendered text, and on which side of a face its marks were, so that they stay."""

    def __init__(self, labels: Sequence[str]):
        """`labels`: the model's, which decide the colours of classes that are no emotions of ours."""
        self._labels = tuple(labels)
        self._colours = {label: bgr(colour(label, self._labels)) for label in labels}
        self._names: dict[str, str] = {}
        self._stamps = Stamps()
        self._sides: dict[tuple[int, str], str] = {}

    def draw(
        self,
        picture_bgr: np.ndarray,
        predictions: Sequence[Prediction],
        status: Status,
        heat: Mapping[int, Heat] | None = None,
    ) -> np.ndarray:
        """Returns a new picture of the same size with everything drawn in.

        Args:
            picture_bgr: uint8 (height, width, 3), or (height, width) where it is gray; is not changed.
            predictions: of this frame; boxes may reach outside it.
            heat: by person, the map of what mattered and the square of the frame that it belongs to.

        Returns:
            uint8 (height, width, 3), BGR.
        """
        canvas = Canvas(_copy_bgr(picture_bgr), self._stamps)
        for one in (heat or {}).values():
            blend_heat(canvas.canvas_bgr, one)
        faces = self._faces(canvas, predictions)
        legend = [(self._name(label, PANEL_LETTERS), self._colours[label]) for label in self._labels]
        blocks = status_blocks(canvas, status, legend if len(faces) > 1 and len(legend) < 10 else ())
        self._draw_faces(canvas, faces, [Obstacle(block.rect, STATUS) for block in blocks])
        for block in blocks:
            block.draw(canvas)
        return canvas.canvas_bgr

    def _faces(self, canvas: Canvas, predictions: Sequence[Prediction]) -> list[Face]:
        """Those in the picture, largest first."""
        faces = [Face(prediction, rect_of(prediction.box, canvas.picture), False) for prediction in predictions]
        faces = [face for face in faces if face.rect.shared_area(canvas.picture)]
        if len(faces) >= CROWD:
            wide = (self._label_size(canvas, face)[0] > MOST_WIDER * face.rect.width for face in faces)
            faces = [face._replace(is_short=is_short) for face, is_short in zip(faces, wide, strict=True)]
        return sorted(faces, key=lambda face: -face.rect.area)

    def _draw_faces(self, canvas: Canvas, faces: Sequence[Face], obstacles: list[Obstacle]) -> None:
        """All labels have their places before the first bars, which come where there is room left."""
        obstacles = [*obstacles, *(Obstacle(face.rect, OTHERS) for face in faces)]
        labels = []
        for face in faces:
            labels.append(self._label_place(canvas, face, obstacles))
            obstacles.append(Obstacle(labels[-1].rect, LABEL))
            canvas.outline(face.rect, self._face_colour(face), dashed=face.prediction.unsure)
        bars = self._draw_all_bars(canvas, faces, labels, obstacles)
        for face, label in zip(faces, labels, strict=True):
            self._draw_label(canvas, face, label.rect)
        self._sides = {
            (face.prediction.person, what): place.side
            for what, places in (("label", labels), ("bars", bars))
            for face, place in zip(faces, places, strict=True)
            if face.prediction.person is not None and place is not None
        }

    def _draw_all_bars(
        self, canvas: Canvas, faces: Sequence[Face], labels: Sequence[Place], obstacles: list[Obstacle]
    ) -> list[Place | None]:
        """Draws the panel of one person, or the bars of several, and returns where; None where there is no room."""
        if len(faces) == 1:
            place = self._panel_place(canvas, faces[0], labels[0], obstacles)
            if place is not None:
                self._draw_panel(canvas, faces[0].prediction, place.rect)
            return [place]
        places = []
        for face, label in zip(faces, labels, strict=True):
            place = self._bars_place(canvas, face, label, obstacles)
            if place is not None:
                self._draw_bars(canvas, face.prediction, place.rect)
                obstacles.append(Obstacle(place.rect, OTHERS))
            places.append(place)
        return places

    def _label_place(self, canvas: Canvas, face: Face, obstacles: list[Obstacle]) -> Place:
        rect, (width, height) = face.rect, self._label_size(canvas, face)
        places = {
            "above": Rect(rect.left, rect.top - height, width, height),
            "below": Rect(rect.left, rect.bottom, width, height),
            "inside": Rect(rect.left, rect.top, width, height),
        }
        return best_place(places, _lighter(obstacles, rect), picture=canvas.picture, last=self._last(face, "label"))

    def _panel_place(self, canvas: Canvas, face: Face, label: Place, obstacles: list[Obstacle]) -> Place | None:
        """Beside the face, or in a corner, wherever it hides least; None where it is larger than the picture."""
        columns, rows = self._columns(canvas), len(self._rows(canvas, face.prediction))
        sizes, room = canvas.sizes, canvas.picture.shrunk(canvas.sizes.gap)
        width = columns.name + columns.bar + columns.number + sizes.gap + 3 * sizes.pad
        size = (width, rows * columns.row + 2 * sizes.pad)
        if size[0] > room.width or size[1] > room.height:
            return None
        places = beside(face.rect, label.rect, size, gap=sizes.gap) | corners(size, room)
        return best_place(places, _lighter(obstacles, face.rect), picture=room, last=self._last(face, "bars"))

    def _bars_place(self, canvas: Canvas, face: Face, label: Place, obstacles: list[Obstacle]) -> Place | None:
        """Along a side of the box; None where they would hide a face or a label, or be too small to be told apart."""
        rect, bars = face.rect, len(self._labels)
        size = (max(rect.width, LEAST_BAR * bars), max(round(BARS_HIGH * rect.height), 2 * canvas.sizes.pad))
        if rect.width < 2 * bars:
            return None
        places = beside(rect, label.rect, size, gap=canvas.sizes.line)
        nearest = {side: places[side] for side in ("below", "above", "right", "left")}
        place = best_place(nearest, obstacles, picture=canvas.picture, last=self._last(face, "bars"))
        return place if place.hides == 0 else None

    def _draw_label(self, canvas: Canvas, face: Face, rect: Rect) -> None:
        """Draws `#1 happy 87 %`, or `#1 unsure: sad 34 %` on grey; in short `happy 87 %` and `sad? 34 %`."""
        ground = UNSURE_PLATE if face.prediction.unsure else self._colours[face.prediction.label]
        canvas.plate(rect, ground, LABEL_OPACITY)
        left, top = rect.left + canvas.sizes.pad, rect.top + canvas.sizes.pad // 4
        for text, bold in self._pieces(face):
            ink = readable_on(ground)
            left = canvas.text(text, left, top, ink, bold=bold, small=face.is_short) + canvas.sizes.gap

    def _draw_panel(self, canvas: Canvas, prediction: Prediction, rect: Rect) -> None:
        """Draws a name, a bar and a number for each emotion; that of the label brighter."""
        canvas.plate(rect)
        columns, pad = self._columns(canvas), canvas.sizes.pad
        thick, left, top = max(3, round(0.48 * columns.row)), rect.left + pad, rect.top + pad
        for label in self._rows(canvas, prediction):
            share = min(max(prediction.probabilities[label], 0.0), 1.0)
            ink, number = WHITE if label == prediction.label else DIMMED, percent(share)
            canvas.text(self._name(label, PANEL_LETTERS), left, top, ink, small=True)
            middle = top + (columns.row - thick) // 2
            track = Rect(left + columns.name + canvas.sizes.gap, middle, columns.bar, thick)
            canvas.fill(track, TRACK)
            canvas.fill(track._replace(width=round(share * track.width)), self._colours[label])
            canvas.text(number, rect.right - pad - canvas.size_of(number, small=True)[0], top, ink, small=True)
            top += columns.row

    def _draw_bars(self, canvas: Canvas, prediction: Prediction, rect: Rect) -> None:
        """Draws all probabilities as upright bars."""
        canvas.plate(rect)
        height, wide = rect.height - 4, (rect.width - 4) / len(self._labels)
        for number, (label, share) in enumerate(prediction.probabilities.items()):
            left, right = (rect.left + 2 + round(wide * edge) for edge in (number, number + 1))
            tall = max(1, round(min(max(share, 0.0), 1.0) * height))
            canvas.fill(Rect(left, rect.bottom - 2 - tall, right - left - 1, tall), self._colours[label])

    def _columns(self, canvas: Canvas) -> Columns:
        sizes = [canvas.size_of(self._name(label, PANEL_LETTERS), small=True) for label in self._labels]
        number, height = canvas.size_of(WIDEST_NUMBER, small=True)
        row = max(height, *(tall for _, tall in sizes)) + canvas.sizes.pad // 3
        return Columns(name=max(wide for wide, _ in sizes), bar=6 * canvas.sizes.small, number=number, row=row)

    def _rows(self, canvas: Canvas, prediction: Prediction) -> list[str]:
        """All labels in the model's order, or the most probable ones in that order where there is no room for all."""
        shares = prediction.probabilities
        most = max(2, int(MOST_HEIGHT * canvas.picture.height) // self._columns(canvas).row)
        shown = set(sorted(shares, key=shares.__getitem__, reverse=True)[:most])
        return [label for label in shares if label in shown]

    def _label_size(self, canvas: Canvas, face: Face) -> tuple[int, int]:
        sizes = [canvas.size_of(text, bold=bold, small=face.is_short) for text, bold in self._pieces(face)]
        gaps = canvas.sizes.gap * (len(sizes) - 1) + 2 * canvas.sizes.pad
        return sum(width for width, _ in sizes) + gaps, max(height for _, height in sizes) + canvas.sizes.pad // 2

    def _pieces(self, face: Face) -> Iterator[tuple[str, bool]]:
        """Yields the parts of a label and whether they are bold; apart, because each is rendered once and kept."""
        prediction, is_short = face.prediction, face.is_short
        if prediction.person is not None and not is_short:
            yield f"#{prediction.person}", False
        if prediction.unsure and not is_short:
            yield "unsure:", False
        name = self._name(prediction.label, LABEL_LETTERS)
        yield f"{name}?" if prediction.unsure and is_short else name, True
        yield percent(prediction.confidence), False

    def _name(self, label: str, letters: int) -> str:
        if label not in self._names:
            self._names[label] = writable(label, self._labels)
        return shortened(self._names[label], letters)

    def _face_colour(self, face: Face) -> Colour:
        return UNSURE if face.prediction.unsure else self._colours[face.prediction.label]

    def _last(self, face: Face, what: str) -> str | None:
        return self._sides.get((face.prediction.person, what))


def percent(share: float) -> str:
    """Returns 0..1 in whole percent."""
    return f"{100 * share:.0f} %"


def _lighter(obstacles: list[Obstacle], own: Rect) -> list[Obstacle]:
    """Returns the obstacles with the face itself weighing less: better hide a part of it than of another one."""
    return [Obstacle(rect, OWN_FACE if rect == own else weight) for rect, weight in obstacles]


def _copy_bgr(picture: np.ndarray) -> np.ndarray:
    if picture.ndim == 3 and picture.shape[2] == 3:
        return np.array(picture, order="C")
    return cv2.cvtColor(picture.reshape(picture.shape[:2]), cv2.COLOR_GRAY2BGR)
