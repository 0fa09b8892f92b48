"""Draws what was read over a frame: boxes, labels, bars and heat maps, and what is shown once per picture.

One person has a panel with names, bars and numbers; of several, each has small upright bars beside the box, where they
hide no face. Text is kept as small bitmaps and only what lies under a mark is blended, so that drawing takes about a
millisecond. Does not know windows or files.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from fer_core.faces import Box
from fer_core.labels import colour
from fer_core.live.canvas import (
    DIMMED,
    WHITE,
    Canvas,
    Colour,
    Rect,
    Stamp,
    Stamps,
    bgr,
    paste,
    readable_on,
    shortened,
    writable,
)
from fer_core.live.layout import (
    LABEL,
    OTHERS,
    STATUS,
    Obstacle,
    Place,
    Status,
    beside,
    best_place,
    corners,
    rect_of,
    status_blocks,
)
from fer_core.live.prediction import Prediction

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
MOST_OPACITY = 0.72
FAINT = 0.12
"""Of the map's range: below it nothing is drawn, so that noise does not veil the face."""


class DrawnFace(NamedTuple):
    """A prediction, its box in whole pixels, and whether its label is the short one."""

    prediction: Prediction
    rect: Rect
    is_short: bool = False


class Heat(NamedTuple):
    """A heat map, float32 (side, side) from 0 to 1 for what mattered most, and its square in pixels of the frame."""

    values: np.ndarray
    square: Box


class Overlay:
    """Draws frame after frame: keeps rendered text, and on which side of a face its marks were, so that they stay."""

    def __init__(self, labels: Sequence[str]):
        """`labels`: the model's, which decide the colours of classes that are no emotions of ours."""
        self._labels = tuple(labels)
        self._colours = {label: bgr(colour(label, self._labels)) for label in labels}
        self._names: dict[str, str] = {}
        self._stamps = Stamps()
        self._sides: dict[tuple[int | None, str], str] = {}

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
        if picture_bgr.ndim == 3 and picture_bgr.shape[2] == 3:
            copy_bgr = np.array(picture_bgr, order="C")
        else:
            copy_bgr = cv2.cvtColor(picture_bgr.reshape(picture_bgr.shape[:2]), cv2.COLOR_GRAY2BGR)
        canvas = Canvas(copy_bgr, self._stamps)
        for one in (heat or {}).values():
            blend_heat(canvas.canvas_bgr, one)
        faces = self._faces(canvas, predictions)
        legend = [(self._name(label, PANEL_LETTERS), self._colours[label]) for label in self._labels]
        blocks = status_blocks(canvas, status, legend if len(faces) > 1 and len(legend) < 10 else ())
        obstacles = [Obstacle(block.rect, STATUS) for block in blocks]
        self._draw_faces(canvas, faces, [*obstacles, *(Obstacle(face.rect, OTHERS) for face in faces)])
        for block in blocks:
            block.draw(canvas)
        return canvas.canvas_bgr

    def _faces(self, canvas: Canvas, predictions: Sequence[Prediction]) -> list[DrawnFace]:
        """Those in the picture, largest first."""
        faces = [DrawnFace(prediction, rect_of(prediction.box, canvas.picture)) for prediction in predictions]
        faces = [face for face in faces if face.rect.shared_area(canvas.picture)]
        if len(faces) >= CROWD:
            wide = (self._label_size(canvas, face)[0] > MOST_WIDER * face.rect.width for face in faces)
            faces = [face._replace(is_short=is_short) for face, is_short in zip(faces, wide, strict=True)]
        return sorted(faces, key=lambda face: -face.rect.width * face.rect.height)

    def _draw_faces(self, canvas: Canvas, faces: Sequence[DrawnFace], obstacles: list[Obstacle]) -> None:
        """All labels have their places before the first bars, which come where there is room left."""
        labels, sides = [], {}
        for face in faces:
            labels.append(self._label_place(canvas, face, obstacles))
            obstacles.append(Obstacle(labels[-1].rect, LABEL))
            sides[face.prediction.person, "label"] = labels[-1].side
            ink = UNSURE if face.prediction.unsure else self._colours[face.prediction.label]
            canvas.outline(face.rect, ink, dashed=face.prediction.unsure)
        draw_bars = self._draw_panel if len(faces) == 1 else self._draw_bars
        for face, label in zip(faces, labels, strict=True):
            place = draw_bars(canvas, face, label.rect, obstacles)
            if place is not None:
                obstacles.append(Obstacle(place.rect, OTHERS))
                sides[face.prediction.person, "bars"] = place.side
        for face, label in zip(faces, labels, strict=True):
            self._draw_label(canvas, face, label.rect)
        self._sides = {(person, mark): side for (person, mark), side in sides.items() if person is not None}

    def _label_place(self, canvas: Canvas, face: DrawnFace, obstacles: list[Obstacle]) -> Place:
        rect, (width, height) = face.rect, self._label_size(canvas, face)
        tops = {"above": rect.top - height, "below": rect.bottom, "inside": rect.top}
        places = {side: Rect(rect.left, top, width, height) for side, top in tops.items()}
        last = self._sides.get((face.prediction.person, "label"))
        return best_place(places, obstacles, picture=canvas.picture, last=last, own=rect)

    def _draw_label(self, canvas: Canvas, face: DrawnFace, rect: Rect) -> None:
        """Draws `#1 happy 87 %`, or `#1 unsure: sad 34 %` on grey; in short `happy 87 %` and `sad? 34 %`."""
        ground = UNSURE_PLATE if face.prediction.unsure else self._colours[face.prediction.label]
        canvas.plate(rect, ground, LABEL_OPACITY)
        left, top, ink = rect.left + canvas.sizes.pad, rect.top + canvas.sizes.pad // 4, readable_on(ground)
        for text, bold in self._pieces(face):
            left = canvas.text(text, left, top, ink, bold=bold, small=face.is_short) + canvas.sizes.gap

    def _draw_panel(self, canvas: Canvas, face: DrawnFace, label: Rect, obstacles: list[Obstacle]) -> Place | None:
        """Draws a name, a bar and a number for each emotion beside the face or in a corner, and returns where.

        The label's is brighter; the place is the one that hides least. None where it is larger than the picture.
        """
        sizes, room, shares = canvas.sizes, canvas.picture.shrunk(canvas.sizes.gap), face.prediction.probabilities
        names = [self._name(label, PANEL_LETTERS) for label in self._labels]
        widths, heights = zip(*(canvas.size_of(name, small=True) for name in (*names, "0")), strict=True)
        name_width, row = max(widths), max(heights) + canvas.sizes.pad // 3
        number_width, bar_width = canvas.size_of(percent(1), small=True)[0], 6 * sizes.small
        most = max(2, int(MOST_HEIGHT * canvas.picture.height) // row)
        shown = sorted(shares, key=shares.__getitem__, reverse=True)[:most]
        width = name_width + bar_width + number_width + sizes.gap + 3 * sizes.pad
        size = (width, len(shown) * row + 2 * sizes.pad)
        if size[0] > room.width or size[1] > room.height:
            return None
        places = beside(face.rect, label, size, gap=sizes.gap) | corners(size, room)
        last = self._sides.get((face.prediction.person, "bars"))
        place = best_place(places, obstacles, picture=room, last=last, own=face.rect)
        canvas.plate(place.rect)
        rows = [one for one in shares if one in shown]
        top, track_left = place.rect.top + sizes.pad, place.rect.left + sizes.pad + name_width + sizes.gap
        for number, one in enumerate(rows):
            track = Rect(track_left, top + number * row, bar_width, row)
            self._draw_row(canvas, face.prediction, one, track, edges=place.rect.shrunk(sizes.pad))
        return place

    def _draw_row(self, canvas: Canvas, prediction: Prediction, label: str, track: Rect, *, edges: Rect) -> None:
        share = min(max(prediction.probabilities[label], 0.0), 1.0)
        ink, number = WHITE if label == prediction.label else DIMMED, percent(share)
        canvas.text(self._name(label, PANEL_LETTERS), edges.left, track.top, ink, small=True)
        canvas.text(number, edges.right - canvas.size_of(number, small=True)[0], track.top, ink, small=True)
        thick = max(3, round(0.48 * track.height))
        track = track._replace(top=track.top + (track.height - thick) // 2, height=thick)
        canvas.fill(track, TRACK)
        canvas.fill(track._replace(width=round(share * track.width)), self._colours[label])

    def _draw_bars(self, canvas: Canvas, face: DrawnFace, label: Rect, obstacles: list[Obstacle]) -> Place | None:
        """Draws all probabilities as upright bars along a side of the box, and returns where.

        None where they would hide a face or a label, or be too small to be told apart.
        """
        box, bars = face.rect, len(self._labels)
        if box.width < 2 * bars:
            return None
        size = (max(box.width, LEAST_BAR * bars), max(round(BARS_HIGH * box.height), 2 * canvas.sizes.pad))
        places = beside(box, label, size, gap=canvas.sizes.line)
        nearest = {side: places[side] for side in ("below", "above", "right", "left")}
        last = self._sides.get((face.prediction.person, "bars"))
        place = best_place(nearest, obstacles, picture=canvas.picture, last=last)
        if place.hides:
            return None
        canvas.plate(place.rect)
        inside = place.rect.shrunk(2)
        for number, (name, share) in enumerate(face.prediction.probabilities.items()):
            left, right = (inside.left + round(inside.width / bars * edge) for edge in (number, number + 1))
            tall = max(1, round(min(max(share, 0.0), 1.0) * inside.height))
            canvas.fill(Rect(left, inside.bottom - tall, right - left - 1, tall), self._colours[name])
        return place

    def _label_size(self, canvas: Canvas, face: DrawnFace) -> tuple[int, int]:
        sizes = [canvas.size_of(text, bold=bold, small=face.is_short) for text, bold in self._pieces(face)]
        gaps = canvas.sizes.gap * (len(sizes) - 1) + 2 * canvas.sizes.pad
        return sum(width for width, _ in sizes) + gaps, max(height for _, height in sizes) + canvas.sizes.pad // 2

    def _pieces(self, face: DrawnFace) -> Iterator[tuple[str, bool]]:
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


def percent(share: float) -> str:
    """Returns 0..1 in whole percent."""
    return f"{100 * share:.0f} %"


def blend_heat(canvas_bgr: np.ndarray, heat: Heat) -> None:
    """Blends a map over its square of the picture, in place; what reaches outside is left out."""
    height, width = canvas_bgr.shape[:2]
    x, y, across, down = heat.square
    left, right = round(max(x, 0)), round(min(x + across, width))
    top, bottom = round(max(y, 0)), round(min(y + down, height))
    if left >= right or top >= bottom:
        return
    levels = np.rint(np.clip(np.nan_to_num(heat.values), 0, 1) * 255).astype(np.uint8)
    scale_x, scale_y = levels.shape[1] / across, levels.shape[0] / down
    # Pixel centres: frame (left + i + 0.5 - x) / across * columns - 0.5.
    from_frame = np.array(
        [[scale_x, 0, (left + 0.5 - x) * scale_x - 0.5], [0, scale_y, (top + 0.5 - y) * scale_y - 0.5]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (right - left, bottom - top)
    levels = cv2.warpAffine(levels, from_frame, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    opacity = MOST_OPACITY * np.clip((np.arange(256) / 255 - FAINT) / (1 - FAINT), 0, 1)[:, None, None] ** 0.7
    inferno = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)
    # By level: the inferno map's colours times their opacity, and how much of the picture stays below them.
    stays = np.broadcast_to(255 * (1 - opacity), inferno.shape)
    colours, keeps = np.rint([inferno * opacity, stays]).astype(np.uint8)
    paste(canvas_bgr, Stamp(cv2.applyColorMap(levels, colours), cv2.applyColorMap(levels, keeps)), left, top)
