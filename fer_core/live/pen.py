"""A picture being drawn on, with the sizes that suit it: text, plates, bars and boxes in one place."""

from typing import NamedTuple

import numpy as np

from fer_core.live.drawing import WHITE, Colour, StampCache, fill, outline, paste, plate
from fer_core.live.layout import Rect
from fer_core.live.lettering import Lettering

PLATE: Colour = (26, 23, 20)
"""What text stands on: nearly black, so that it can be read on any picture."""
PLATE_OPACITY = 0.76
DIMMED: Colour = (216, 216, 216)
LEAST_TEXT, MOST_TEXT = 8, 40


class Sizes(NamedTuple):
    """In pixels, for a picture of a certain size."""

    text: int
    small: int
    line: int
    pad: int
    gap: int
    radius: int


def sizes_for(width: int, height: int) -> Sizes:
    """Returns sizes that grow with the picture's shorter side, more slowly than it: 13 at 480 rows, 23 at 1080."""
    text = round(min(max(5.5 + 0.016 * min(width, height), LEAST_TEXT), MOST_TEXT))
    return Sizes(
        text=text,
        small=max(LEAST_TEXT, round(0.88 * text)),
        line=max(1, round(text / 5)),
        pad=max(2, round(0.45 * text)),
        gap=max(2, round(0.5 * text)),
        radius=max(2, round(0.35 * text)),
    )


class Pen:
    """Draws on one picture, in place."""

    def __init__(self, canvas_bgr: np.ndarray, stamps: StampCache, letters: Lettering):
        height, width = canvas_bgr.shape[:2]
        self.canvas_bgr = canvas_bgr
        self.picture = Rect(0, 0, width, height)
        self.sizes = sizes_for(width, height)
        self._stamps, self._letters = stamps, letters

    def size_of(self, text: str, *, small: bool = False, bold: bool = False) -> tuple[int, int]:
        """Returns width and height that a line of text takes."""
        stamp = self._letters.stamp(text, size=self._text_size(small), colour_bgr=WHITE, bold=bold)
        return stamp.width, stamp.height

    def text(self, text: str, left: int, top: int, colour: Colour = WHITE, *, small=False, bold=False) -> int:
        """Writes one line, and returns the column where it ends."""
        stamp = self._letters.stamp(text, size=self._text_size(small), colour_bgr=colour, bold=bold)
        paste(self.canvas_bgr, stamp, left, top)
        return left + stamp.width

    def plate(self, rect: Rect, colour: Colour = PLATE, opacity: float = PLATE_OPACITY) -> None:
        """Lays a translucent rectangle with round corners over the picture."""
        size, radius = (rect.width, rect.height), self.sizes.radius
        key = ("plate", size, radius, colour, opacity)
        stamp = self._stamps.get(key, lambda: plate(size, radius=radius, colour_bgr=colour, opacity=opacity))
        paste(self.canvas_bgr, stamp, rect.left, rect.top)

    def fill(self, rect: Rect, colour: Colour) -> None:
        """Fills a rectangle."""
        fill(self.canvas_bgr, rect, colour)

    def outline(self, rect: Rect, colour: Colour, *, dashed: bool = False) -> None:
        """Draws a box, with dark edges; that of a small face is thinner."""
        thickness = max(1, min(self.sizes.line, rect.width // 24))
        dash = min(self.sizes.text, max(2, rect.width // 8)) if dashed else 0
        outline(self.canvas_bgr, rect, colour, thickness=thickness, dash=dash)

    def _text_size(self, small: bool) -> int:
        return self.sizes.small if small else self.sizes.text
