"""A picture that is drawn on: text, translucent plates, bars, boxes and heat maps, in sizes that suit it.

Knows nothing of faces and emotions.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from fer_core.live.layout import Rect
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

_SMOOTH = 4
"""Round corners are drawn so many times larger and shrunk by area."""
_LEAST_TEXT, _MOST_TEXT = 8, 40
MOST_OPACITY = 0.72
FAINT = 0.12
"""Of the map's range: below it nothing is drawn, so that noise does not veil the face."""


class Stamp(NamedTuple):
    """A small picture with its own transparency, ready to be laid over another."""

    colour_bgr: np.ndarray
    """uint8 (height, width, 3), already multiplied by the opacity."""
    keep: np.ndarray
    """uint8 (height, width, 3): how much of the picture below stays, 0 none to 255 all."""

    @property
    def width(self) -> int:
        """In pixels."""
        return self.keep.shape[1]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.keep.shape[0]


class Heat(NamedTuple):
    """A heat map and where it belongs."""

    values: np.ndarray
    """float32 (side, side), 0 nothing to 1 mattered most."""
    square: "Box"
    """In pixels of the frame; may reach outside it."""


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
    return Sizes(
        text=text,
        small=max(_LEAST_TEXT, round(0.88 * text)),
        line=max(1, round(text / 5)),
        pad=max(2, round(0.45 * text)),
        gap=max(2, round(0.5 * text)),
        radius=max(2, round(0.35 * text)),
    )


class Canvas:
    """Draws on one picture, in place."""

    def __init__(self, canvas_bgr: np.ndarray, stamps: Stamps):
        height, width = canvas_bgr.shape[:2]
        self.canvas_bgr = canvas_bgr
        self.picture = Rect(0, 0, width, height)
        self.sizes = sizes_for(width, height)
        self._stamps = stamps

    def size_of(self, text: str, *, small: bool = False, bold: bool = False) -> tuple[int, int]:
        """Returns width and height that a line of text takes."""
        stamp = self._stamps.text(text, self._text_size(small), WHITE, bold)
        return stamp.width, stamp.height

    def text(self, text: str, left: int, top: int, colour: Colour = WHITE, *, small=False, bold=False) -> int:
        """Writes one line, and returns the column where it ends."""
        stamp = self._stamps.text(text, self._text_size(small), colour, bold)
        paste(self.canvas_bgr, stamp, left, top)
        return left + stamp.width

    def plate(
        self, rect: Rect, colour: Colour = PLATE, opacity: float = PLATE_OPACITY, *, radius: int | None = None
    ) -> None:
        """Lays a translucent rectangle with round corners over the picture."""
        radius = self.sizes.radius if radius is None else radius
        stamp = self._stamps.plate((rect.width, rect.height), radius, colour, opacity)
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
        for line in _sides(rect, inner + 2 * edge, inset=0):
            for piece in _dashes(line, dash):
                self.fill(piece, BLACK)
        for line in _sides(rect, inner, inset=edge):
            for piece in _dashes(line, dash):
                self.fill(piece, colour)

    def _text_size(self, small: bool) -> int:
        return self.sizes.small if small else self.sizes.text


def bgr(hex_colour: str) -> Colour:
    """Returns #rrggbb as blue, green, red."""
    red, green, blue = (int(hex_colour[place : place + 2], 16) for place in (1, 3, 5))
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
    corner = np.zeros((_SMOOTH * radius, _SMOOTH * radius), np.uint8)
    if radius:
        cv2.circle(corner, (_SMOOTH * radius - 1, _SMOOTH * radius - 1), _SMOOTH * radius - 1, 255, cv2.FILLED)
        corner = cv2.resize(corner, (radius, radius), interpolation=cv2.INTER_AREA)
        mask[:radius, :radius], mask[:radius, -radius:] = corner, corner[:, ::-1]
        mask[-radius:, :radius], mask[-radius:, -radius:] = corner[::-1], corner[::-1, ::-1]
    return tinted(np.rint(mask * opacity).astype(np.uint8), colour_bgr)


def paste(canvas_bgr: np.ndarray, stamp: Stamp, left: int, top: int) -> None:
    """Lays a stamp over the picture, in place; what reaches outside is cut off."""
    height, width = canvas_bgr.shape[:2]
    x0, x1 = max(left, 0), min(left + stamp.width, width)
    y0, y1 = max(top, 0), min(top + stamp.height, height)
    if x0 >= x1 or y0 >= y1:
        return
    region = canvas_bgr[y0:y1, x0:x1]
    part = slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)
    cv2.multiply(region, stamp.keep[part], dst=region, scale=1 / 255)
    cv2.add(region, stamp.colour_bgr[part], dst=region)


def _sides(rect: Rect, thickness: int, *, inset: int) -> tuple[Rect, ...]:
    left, top = rect.left + inset, rect.top + inset
    width, height = rect.width - 2 * inset, rect.height - 2 * inset
    return (
        Rect(left, top, width, thickness),
        Rect(left, top + height - thickness, width, thickness),
        Rect(left, top, thickness, height),
        Rect(left + width - thickness, top, thickness, height),
    )


def _dashes(line: Rect, dash: int) -> list[Rect]:
    if dash <= 0:
        return [line]
    if line.width >= line.height:
        starts = range(line.left, line.right, 2 * dash)
        return [Rect(start, line.top, min(dash, line.right - start), line.height) for start in starts]
    starts = range(line.top, line.bottom, 2 * dash)
    return [Rect(line.left, start, line.width, min(dash, line.bottom - start)) for start in starts]


def blend_heat(canvas_bgr: np.ndarray, heat: Heat) -> None:
    """Blends a map over its square of the picture, in place; what reaches outside is left out."""
    height, width = canvas_bgr.shape[:2]
    x, y, across, down = heat.square
    left, right = round(max(x, 0)), round(min(x + across, width))
    top, bottom = round(max(y, 0)), round(min(y + down, height))
    if left >= right or top >= bottom:
        return
    levels = np.rint(np.clip(np.nan_to_num(heat.values), 0, 1) * 255).astype(np.uint8)
    rows, columns = levels.shape
    # Pixel centres: frame (left + i + 0.5 - x) / across * columns - 0.5.
    scale_x, scale_y = columns / across, rows / down
    from_frame = np.array(
        [[scale_x, 0, (left + 0.5 - x) * scale_x - 0.5], [0, scale_y, (top + 0.5 - y) * scale_y - 0.5]]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (right - left, bottom - top)
    levels = cv2.warpAffine(levels, from_frame, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    paste(canvas_bgr, Stamp(cv2.applyColorMap(levels, _colours()), _keeps(levels)), left, top)


def _opacities() -> np.ndarray:
    """By level 0..255, 0..1: rises from FAINT, steeply at first."""
    share = np.clip((np.arange(256) / 255 - FAINT) / (1 - FAINT), 0, 1)
    return MOST_OPACITY * share**0.7


def _colours() -> np.ndarray:
    """uint8 (256, 1, 3): the inferno map's colours by level, multiplied by their opacity."""
    inferno = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)
    return np.rint(inferno * _opacities()[:, None, None]).astype(np.uint8)


def _keeps(levels: np.ndarray) -> np.ndarray:
    keeps = np.rint(255 * (1 - _opacities())).astype(np.uint8)
    return cv2.applyColorMap(levels, np.repeat(keeps[:, None, None], 3, axis=2))
