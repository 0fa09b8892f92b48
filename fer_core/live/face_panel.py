"""The two texts of a face: its label, and the panel with a bar for each emotion. Measures and draws; places nothing."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fer_core.emotions import colour
from fer_core.live.drawing import WHITE, Colour, bgr, readable_on
from fer_core.live.layout import Rect
from fer_core.live.lettering import shortened, writable
from fer_core.live.pen import DIMMED, Pen

if TYPE_CHECKING:
    from fer_core.live.prediction import Prediction

UNSURE: Colour = (178, 178, 178)
UNSURE_PLATE: Colour = (62, 62, 62)
LABEL_OPACITY = 0.92
TRACK: Colour = (88, 85, 82)
PANEL_LETTERS, LABEL_LETTERS = 14, 24
BARS_HIGH = 0.22
"""Of the box: the foot of it, below the mouth of most faces."""
MOST_HEIGHT = 0.8
"""Of the picture: a panel of more classes shows the most probable ones."""
WIDEST_NUMBER = "100 %"


class Columns(NamedTuple):
    """Widths of a panel's names, bars and numbers, and the height of its rows, in pixels."""

    name: int
    bar: int
    number: int
    row: int


class FaceTexts:
    """Names and colours of the labels, and how a reading is written with them."""

    def __init__(self, labels: Sequence[str]):
        self._labels = tuple(labels)
        self._names: dict[str, str] = {}

    def colour(self, prediction: "Prediction") -> Colour:
        """Returns the emotion's colour; grey where the reading is unsure."""
        return UNSURE if prediction.unsure else self._colour(prediction.label)

    def label_size(self, pen: Pen, prediction: "Prediction", *, short: bool = False) -> tuple[int, int]:
        """Returns width and height of the label's plate."""
        sizes = [pen.size_of(text, bold=bold, small=short) for text, bold in self._pieces(prediction, short=short)]
        gaps = pen.sizes.gap * (len(sizes) - 1) + 2 * pen.sizes.pad
        return sum(width for width, _ in sizes) + gaps, max(height for _, height in sizes) + pen.sizes.pad // 2

    def draw_label(self, pen: Pen, prediction: "Prediction", rect: Rect, *, short: bool = False) -> None:
        """Draws `#1 happy 87 %`, or `#1 unsure: sad 34 %` on grey; in short `happy 87 %` and `sad? 34 %`."""
        ground = UNSURE_PLATE if prediction.unsure else self._colour(prediction.label)
        pen.plate(rect, ground, LABEL_OPACITY)
        left, top = rect.left + pen.sizes.pad, rect.top + pen.sizes.pad // 4
        for text, bold in self._pieces(prediction, short=short):
            left = pen.text(text, left, top, readable_on(ground), bold=bold, small=short) + pen.sizes.gap

    def panel_size(self, pen: Pen, prediction: "Prediction") -> tuple[int, int]:
        """Returns width and height of the panel."""
        columns, rows = self._columns(pen, prediction), len(self._rows(pen, prediction))
        width = columns.name + columns.bar + columns.number + pen.sizes.gap + 3 * pen.sizes.pad
        return width, rows * columns.row + 2 * pen.sizes.pad

    def draw_panel(self, pen: Pen, prediction: "Prediction", rect: Rect) -> None:
        """Draws a name, a bar and a number for each emotion; that of the label brighter."""
        pen.plate(rect)
        columns = self._columns(pen, prediction)
        row = Rect(rect.left + pen.sizes.pad, rect.top + pen.sizes.pad, rect.width - 2 * pen.sizes.pad, columns.row)
        for label in self._rows(pen, prediction):
            self._draw_row(pen, prediction, label, row=row, columns=columns)
            row = row._replace(top=row.bottom)

    def draw_bars(self, pen: Pen, prediction: "Prediction", box: Rect) -> None:
        """Draws all probabilities as thin upright bars inside the foot of a box, where there is no room for words."""
        shares = list(prediction.probabilities.items())
        if box.width < 3 * len(shares):  # nobody could tell them apart
            return
        width, height = max(1, box.width // (len(shares) + 1)), max(4, round(BARS_HIGH * box.height))
        plate = Rect(
            box.left + (box.width - width * len(shares)) // 2, box.bottom - height, width * len(shares), height
        )
        pen.plate(plate)
        for place, (label, share) in enumerate(shares):
            tall = max(1, round(min(max(share, 0.0), 1.0) * (height - 2)))
            left = plate.left + place * width
            pen.fill(Rect(left, plate.bottom - 1 - tall, max(1, width - 1), tall), self._colour(label))

    def _draw_row(self, pen: Pen, prediction: "Prediction", label: str, *, row: Rect, columns: Columns) -> None:
        share = min(max(prediction.probabilities[label], 0.0), 1.0)
        ink = WHITE if label == prediction.label else DIMMED
        pen.text(self._name(label, PANEL_LETTERS), row.left, row.top, ink, small=True)
        thick = max(3, round(0.48 * row.height))
        track = Rect(row.left + columns.name + pen.sizes.gap, row.top + (row.height - thick) // 2, columns.bar, thick)
        pen.fill(track, TRACK)
        pen.fill(track._replace(width=round(share * track.width)), self._colour(label))
        number = percent(share)
        pen.text(number, row.right - pen.size_of(number, small=True)[0], row.top, ink, small=True)

    def _columns(self, pen: Pen, prediction: "Prediction") -> Columns:
        sizes = [pen.size_of(self._name(label, PANEL_LETTERS), small=True) for label in prediction.probabilities]
        number, height = pen.size_of(WIDEST_NUMBER, small=True)
        row = max(height, *(tall for _, tall in sizes)) + pen.sizes.pad // 3
        return Columns(name=max(wide for wide, _ in sizes), bar=6 * pen.sizes.small, number=number, row=row)

    def _rows(self, pen: Pen, prediction: "Prediction") -> list[str]:
        """All labels in the model's order, or the most probable ones in that order where there is no room for all."""
        shares = prediction.probabilities
        row = pen.size_of(WIDEST_NUMBER, small=True)[1] + pen.sizes.pad // 3
        most = max(2, int(MOST_HEIGHT * pen.picture.height) // row)
        if len(shares) <= most:
            return list(shares)
        shown = set(sorted(shares, key=shares.__getitem__, reverse=True)[:most])
        return [label for label in shares if label in shown]

    def _pieces(self, prediction: "Prediction", *, short: bool) -> Iterator[tuple[str, bool]]:
        """Yields the parts of a label and whether they are bold; apart, because each is rendered once and kept."""
        if prediction.person is not None and not short:
            yield f"#{prediction.person}", False
        if prediction.unsure and not short:
            yield "unsure:", False
        name = self._name(prediction.label, LABEL_LETTERS)
        yield f"{name}?" if prediction.unsure and short else name, True
        yield percent(prediction.confidence), False

    def _name(self, label: str, letters: int) -> str:
        if label not in self._names:
            self._names[label] = writable(label, self._labels)
        return shortened(self._names[label], letters)

    def _colour(self, label: str) -> Colour:
        return bgr(colour(label, self._labels))


def percent(share: float) -> str:
    """Returns 0..1 in whole percent."""
    return f"{100 * share:.0f} %"
