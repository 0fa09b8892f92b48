"""Lays small translucent bitmaps, bars and boxes over a picture. Knows nothing of faces, emotions or lettering."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

import cv2
import numpy as np

from fer_core.live.layout import Rect

Colour = tuple[int, int, int]
"""Blue, green, red: 0..255 each."""

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)
SMOOTH = 4
"""Round shapes are drawn so many times larger and shrunk by area."""


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


class StampCache:
    """Stamps by what they show; the one that was not needed for longest goes when they take more than `most_bytes`."""

    def __init__(self, most_bytes: int = 8 * 2**20):
        self._most_bytes = most_bytes
        self._bytes = 0
        self._stamps: OrderedDict[Hashable, Stamp] = OrderedDict()

    @property
    def bytes(self) -> int:
        """What the stamps take now."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], Stamp]) -> Stamp:
        """Returns the stamp of that key, made now if it is not there."""
        stamp = self._stamps.get(key)
        if stamp is None:
            stamp = self._stamps[key] = make()
            self._bytes += _bytes(stamp)
            while self._bytes > self._most_bytes and len(self._stamps) > 1:
                self._bytes -= _bytes(self._stamps.popitem(last=False)[1])
        else:
            self._stamps.move_to_end(key)
        return stamp


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


def plate(size: tuple[int, int], *, radius: int, colour_bgr: Colour, opacity: float) -> Stamp:
    """Returns a rectangle with round corners. `size`: width and height in pixels; `opacity`: 0..1."""
    width, height = size
    radius = max(0, min(radius, width // 2, height // 2))
    mask = np.full((height, width), 255, np.uint8)
    corner = np.zeros((SMOOTH * radius, SMOOTH * radius), np.uint8)
    if radius:
        cv2.circle(corner, (SMOOTH * radius - 1, SMOOTH * radius - 1), SMOOTH * radius - 1, 255, cv2.FILLED)
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


def fill(canvas_bgr: np.ndarray, rect: Rect, colour_bgr: Colour) -> None:
    """Fills a rectangle, in place."""
    if rect.width > 0 and rect.height > 0:
        cv2.rectangle(canvas_bgr, (rect.left, rect.top), (rect.right - 1, rect.bottom - 1), colour_bgr, cv2.FILLED)


def outline(canvas_bgr: np.ndarray, rect: Rect, colour_bgr: Colour, *, thickness: int, dash: int = 0) -> None:
    """Draws a frame of the rectangle with a dark edge on both sides, in place; with `dash` pixels on and off.

    Its lines lie inside the rectangle, so that neighbours do not touch.
    """
    inner, edge = max(1, thickness), max(1, thickness // 4)
    for line in _sides(rect, inner + 2 * edge, inset=0):
        for piece in _dashes(line, dash):
            fill(canvas_bgr, piece, BLACK)
    for line in _sides(rect, inner, inset=edge):
        for piece in _dashes(line, dash):
            fill(canvas_bgr, piece, colour_bgr)


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


def _bytes(stamp: Stamp) -> int:
    return stamp.colour_bgr.nbytes + stamp.keep.nbytes
