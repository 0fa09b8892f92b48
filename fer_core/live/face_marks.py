"""Decides where the marks of faces go, and draws them: the box, the label, and the panel with the bars."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from fer_core.live.face_panel import FaceTexts
from fer_core.live.layout import Obstacle, Place, Rect, beside, best_place, corners, rect_of
from fer_core.live.pen import Pen

if TYPE_CHECKING:
    from fer_core.live.prediction import Prediction

MOST_PANELS = 4
LEAST_TEXTS_HIGH = 3.0
"""A face lower than so many lines of text gets no panel, unless it is the only one."""
MOST_HIDDEN, MOST_HIDDEN_BY_FIRST = 0.03, 0.1
"""Weight times pixels, as a share of the face: where a panel would hide more, there is none; the largest face's may
hide more, and that of a face alone anything."""
MOST_WIDER = 2.0
OWN_FACE, STATUS, OTHERS, LABEL = 0.3, 0.5, 1.0, 4.0
"""How much it weighs that a mark hides its own face, the status line, other faces and their panels, a label."""


class Face(NamedTuple):
    """A reading, its box in whole pixels, and whether its label is the short one."""

    prediction: "Prediction"
    rect: Rect
    is_short: bool


class Marks(NamedTuple):
    """Where everything of one face goes; `panel` is None where there is no room for it: its bars are in the box."""

    face: Face
    label: Place
    panel: Place | None


class FaceMarks:
    """Places and draws the marks of all faces. Remembers on which side a person's marks were, so that they stay."""

    def __init__(self, labels: Sequence[str]):
        self._texts = FaceTexts(labels)
        self._sides: dict[tuple[int, str], str] = {}

    def draw(self, pen: Pen, predictions: Sequence["Prediction"], taken: Sequence[Rect]) -> None:
        """Draws boxes, panels and labels. `taken`: rectangles of the picture where other things will stand."""
        marks = self._placed(pen, predictions, [Obstacle(rect, STATUS) for rect in taken])
        for mark in marks:
            prediction = mark.face.prediction
            pen.outline(mark.face.rect, self._texts.colour(prediction), dashed=prediction.unsure)
        for mark in marks:
            if mark.panel is not None:
                self._texts.draw_panel(pen, mark.face.prediction, mark.panel.rect)
            else:
                self._texts.draw_bars(pen, mark.face.prediction, mark.face.rect)
        for mark in marks:
            self._texts.draw_label(pen, mark.face.prediction, mark.label.rect, short=mark.face.is_short)
        self._remember(marks)

    def _placed(self, pen: Pen, predictions: Sequence["Prediction"], obstacles: list[Obstacle]) -> list[Marks]:
        """Largest face first; all labels before the first panel, which comes where there is room left."""
        faces = self._faces(pen, predictions)
        obstacles = [*obstacles, *(Obstacle(face.rect, OTHERS) for face in faces)]
        labels = []
        for face in faces:
            labels.append(self._label_place(pen, face, obstacles))
            obstacles.append(Obstacle(labels[-1].rect, LABEL))
        marks = []
        for number, (face, label) in enumerate(zip(faces, labels, strict=True)):
            is_alone = len(faces) == 1
            panel = self._panel_place(pen, face, label, obstacles, is_alone=is_alone) if number < MOST_PANELS else None
            if panel is not None and not is_alone and not _is_worth_it(panel, face, pen, is_first=number == 0):
                panel = None
            marks.append(Marks(face, label, panel))
            obstacles += [Obstacle(panel.rect, OTHERS)] if panel else []
        return marks

    def _faces(self, pen: Pen, predictions: Sequence["Prediction"]) -> list[Face]:
        """Those in the picture, largest first. In a crowd a label much wider than its face is the short one."""
        seen = [(prediction, rect_of(prediction.box, pen.picture)) for prediction in predictions]
        seen = [(prediction, rect) for prediction, rect in seen if rect.shared_area(pen.picture)]
        is_crowd = len(seen) > MOST_PANELS
        faces = [
            Face(prediction, rect, is_crowd and self._texts.label_size(pen, prediction)[0] > MOST_WIDER * rect.width)
            for prediction, rect in seen
        ]
        return sorted(faces, key=lambda face: -face.rect.area)

    def _label_place(self, pen: Pen, face: Face, obstacles: list[Obstacle]) -> Place:
        rect = face.rect
        width, height = self._texts.label_size(pen, face.prediction, short=face.is_short)
        paths = {
            "above": Rect(rect.left, rect.top - height, width, height),
            "below": Rect(rect.left, rect.bottom, width, height),
            "inside": Rect(rect.left, rect.top, width, height),
        }
        last = self._sides.get((face.prediction.person, "label"))
        return best_place(paths, _lighter(obstacles, rect), picture=pen.picture, last=last)

    def _panel_place(
        self, pen: Pen, face: Face, label: Place, obstacles: list[Obstacle], *, is_alone: bool
    ) -> Place | None:
        size, room = self._texts.panel_size(pen, face.prediction), pen.picture.shrunk(pen.sizes.gap)
        if size[0] > room.width or size[1] > room.height:
            return None
        last = self._sides.get((face.prediction.person, "panel"))
        paths = beside(face.rect, label.rect, size, gap=pen.sizes.gap) | (corners(size, room) if is_alone else {})
        return best_place(paths, _lighter(obstacles, face.rect), picture=room, last=last)

    def _remember(self, marks: Sequence[Marks]) -> None:
        self._sides = {
            (mark.face.prediction.person, what): place.side
            for mark in marks
            for what, place in (("label", mark.label), ("panel", mark.panel))
            if mark.face.prediction.person is not None and place is not None
        }


def _is_worth_it(panel: Place, face: Face, pen: Pen, *, is_first: bool) -> bool:
    most = MOST_HIDDEN_BY_FIRST if is_first else MOST_HIDDEN
    return face.rect.height >= LEAST_TEXTS_HIGH * pen.sizes.text and panel.hides <= most * face.rect.area


def _lighter(obstacles: list[Obstacle], own: Rect) -> list[Obstacle]:
    """Returns the obstacles with the face itself weighing less: better hide a part of it than of another one."""
    return [Obstacle(rect, OWN_FACE if rect == own else weight) for rect, weight in obstacles]
