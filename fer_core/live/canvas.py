"""A picture that is drawn on: text, translucent plates, bars, boxes and heat maps, in sizes that suit it.

Knows nothing of faces and emotions.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from fer_core.live.text import Lettering

if TYPE_CHECKING:
    from fer_core.faces.face import Box

Colour = tuple[int, int, int]
"""Blue, green, red: 0..255 each."""
BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
DIMMED: Colour = (216, 216, 216)
PLATE: Colour = (26, 23, 20)
"""What text stands on: nearly black, so that it can be read on any picture."""
PLATE_OPACITY = 0.76
_LEAST_TEXT, _MOST_TEXT = 8, 40
_SMOOTH = 4
"""Round corners are drawn so many times larger and shrunk by area."""
MOST_OPACITY = 0.72
FAINT = 0.12
"""Of the map's range: below it nothing is drawn, so that noise does not veil the face."""


class Rect(NamedTuple):
    """Whole pixels; may reach outside the picture."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column beside it."""
        return self.left + self.width

    @property
    def bottom(self) -> int:
        """The first row below it."""
        return self.top + self.height

    def shared_area(self, other: "Rect") -> int:
        """Returns how many pixels two rectangles share."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return across * down if across > 0 and down > 0 else 0

    def moved_inside(self, picture: "Rect") -> "Rect":
        """Returns it where it lies inside `picture`; at its left or upper edge if it is too large."""
        left = max(picture.left, min(self.left, picture.right - self.width))
        top = max(picture.top, min(self.top, picture.bottom - self.height))
        return self._replace(left=left, top=top)

    def shrunk(self, margin: int) -> "Rect":
        """Returns it with so many pixels less on every side."""
        return Rect(self.left + margin, self.top + margin, self.width - 2 * margin, self.height - 2 * margin)

    def border(self, thickness: int, dash: int) -> Iterator["Rect"]:
        """Yields the pieces of its border: four lines, or dashes of this length where it is not 0."""
        left, top, width, height = self
        for row in (top, self.bottom - thickness):
            for start in range(0, width, 2 * dash or max(width, 1)):
                yield Rect(left + start, row, min(dash or width, width - start), thickness)
        for column in (left, self.right - thickness):
            for start in range(0, height, 2 * dash or max(height, 1)):
                yield Rect(column, top + start, thickness, min(dash or height, height - start))


class Stamp(NamedTuple):
    """A small picture with its own transparency, ready to be laid over another: both uint8 (height, width, 3).

    `colour_bgr` is already multiplied by the opacity; `keep` says how much of the picture below stays, 0 to 255.
    """

    colour_bgr: np.ndarray
    keep: np.ndarray


class Heat(NamedTuple):
    """A heat map, float32 (side, side) from 0 to 1 for what mattered most, and its square in pixels of the frame."""

    values: np.ndarray
    square: "Box"


class Stamps:
    """Rendered text and plates: the ones used last are kept, since drawing them anew takes longer than a frame has."""

    def __init__(self, most_texts: int = 512, most_plates: int = 48):
        letters = Lettering()
        self.text = lru_cache(most_texts)(
            lambda text, size, colour_bgr, bold: tinted(letters.opacity(text, size, bold=bold), colour_bgr)
        )
        self.plate = lru_cache(most_plates)(plate)


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
    text = round(min(max(5.5 + 0.016 * min(width, height), _LEAST_TEXT), _MOST_TEXT))
    small, line, pad, gap, radius = (round(share * text) for share in (0.88, 0.2, 0.45, 0.5, 0.35))
    return Sizes(text, max(_LEAST_TEXT, small), max(1, line), max(2, pad), max(2, gap), max(2, radius))


class Canvas:
    """Draws on one picture, in place."""

    def __init__(self, canvas_bgr: np.ndarray, stamps: Stamps):
        height, width = canvas_bgr.shape[:2]
        self.canvas_bgr, self._stamps = canvas_bgr, stamps
        self.picture, self.sizes = Rect(0, 0, width, height), sizes_for(width, height)

    def size_of(self, text: str, *, small: bool = False, bold: bool = False) -> tuple[int, int]:
        """Returns width and height that a line of text takes."""
        height, width = self._text_stamp(text, WHITE, small, bold).keep.shape[:2]
        return width, height

    def text(self, text: str, left: int, top: int, colour: Colour = WHITE, *, small=False, bold=False) -> int:
        """Writes one line, and returns the column where it ends."""
        stamp = self._text_stamp(text, colour, small, bold)
        paste(self.canvas_bgr, stamp, left, top)
        return left + stamp.keep.shape[1]

    def plate(self, rect: Rect, colour: Colour = PLATE, opacity: float = PLATE_OPACITY) -> None:
        """Lays a translucent rectangle with round corners over the picture."""
        stamp = self._stamps.plate((rect.width, rect.height), self.sizes.radius, colour, opacity)
        paste(self.canvas_bgr, stamp, rect.left, rect.top)

    def fill(self, rect: Rect, colour: Colour) -> None:
        """Fills a rectangle."""
        if rect.width > 0 and rect.height > 0:
            low = (rect.right - 1, rect.bottom - 1)
            cv2.rectangle(self.canvas_bgr, (rect.left, rect.top), low, colour, cv2.FILLED)

    def outline(self, rect: Rect, colour: Colour, *, dashed: bool = False) -> None:
        """Draws a box inside the rectangle, with dark edges; that of a small face is thinner."""
        inner = max(1, min(self.sizes.line, rect.width // 24))
        edge = max(1, inner // 4)
        dash = min(self.sizes.text, max(2, rect.width // 8)) if dashed else 0
        for box, thickness, ink in ((rect, inner + 2 * edge, BLACK), (rect.shrunk(edge), inner, colour)):
            for piece in box.border(thickness, dash):
                self.fill(piece, ink)

    def _text_stamp(self, text: str, colour: Colour, small: bool, bold: bool) -> Stamp:
        return self._stamps.text(text, self.sizes.small if small else self.sizes.text, colour, bold)


def bgr(hex_colour: str) -> Colour:
    """Returns #rrggbb as blue, green, red."""
    red, green, blue = bytes.fromhex(hex_colour[1:])
    return blue, green, red


def readable_on(colour_bgr: Colour) -> Colour:
    """Returns white or nearly black, whichever has more contrast by WCAG 2 (0.18 of the luminance lies between)."""
    blue, green, red = ((part / 255) ** 2.2 for part in colour_bgr)
    return (20, 20, 20) if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else WHITE


def tinted(opacity: np.ndarray, colour_bgr: Colour) -> Stamp:
    """Returns a stamp of one colour. `opacity`: uint8 (height, width), 0..255."""
    share = opacity.astype(np.float32)[:, :, None] / 255
    colour = np.rint(share * np.array(colour_bgr, np.float32)).astype(np.uint8)
    return Stamp(colour, np.ascontiguousarray(np.repeat(255 - opacity[:, :, None], 3, axis=2)))


def plate(size: tuple[int, int], radius: int, colour_bgr: Colour, opacity: float) -> Stamp:
    """Returns a rectangle with round corners. `size`: width and height in pixels; `opacity`: 0..1."""
    width, height = size
    radius = max(0, min(radius, width // 2, height // 2))
    mask = np.full((height, width), 255, np.uint8)
    if radius:
        corner = np.zeros((_SMOOTH * radius, _SMOOTH * radius), np.uint8)
        cv2.circle(corner, (_SMOOTH * radius - 1, _SMOOTH * radius - 1), _SMOOTH * radius - 1, 255, cv2.FILLED)
        corner = cv2.resize(corner, (radius, radius), interpolation=cv2.INTER_AREA)
        mask[:radius, :radius], mask[:radius, -radius:] = corner, corner[:, ::-1]
        mask[-radius:, :radius], mask[-radius:, -radius:] = corner[::-1], corner[::-1, ::-1]
    return tinted(np.rint(mask * opacity).astype(np.uint8), colour_bgr)


def paste(canvas_bgr: np.ndarray, stamp: Stamp, left: int, top: int) -> None:
    """Lays a stamp over the picture, in place; what reaches outside is cut off."""
    height, width = canvas_bgr.shape[:2]
    tall, wide = stamp.keep.shape[:2]
    x0, x1 = max(left, 0), min(left + wide, width)
    y0, y1 = max(top, 0), min(top + tall, height)
    if x0 >= x1 or y0 >= y1:
        return
    region = canvas_bgr[y0:y1, x0:x1]
    part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    cv2.multiply(region, stamp.keep[part], dst=region, scale=1 / 255)
    cv2.add(region, stamp.colour_bgr[part], dst=region)


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
    colours, keeps = _heat_colours()
    paste(canvas_bgr, Stamp(cv2.applyColorMap(levels, colours), cv2.applyColorMap(levels, keeps)), left, top)


def _heat_colours() -> np.ndarray:
    """uint8 (2, 256, 1, 3), by level: the inferno map's colours times their opacity, and how much stays below them."""
    opacity = MOST_OPACITY * np.clip((np.arange(256) / 255 - FAINT) / (1 - FAINT), 0, 1)[:, None, None] ** 0.7
    inferno = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)
    return np.rint([inferno * opacity, np.broadcast_to(255 * (1 - opacity), inferno.shape)]).astype(np.uint8)
