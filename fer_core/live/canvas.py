"""A picture that is drawn on: text, translucent plates, bars and boxes, in sizes that suit it.

Text is in DejaVu Sans, the font that matplotlib ships, and in fonts of the system where that one lacks a character
(Chinese, Japanese, Korean …): OpenCV's own lettering knows ASCII only. Knows nothing of faces and emotions.
"""

import importlib.util
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

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
MOST_LETTERS = 200
_DRAWN_BY_OTHERS = ("Mn", "Me", "Cf", "Zs", "Cc")
"""Unicode's categories of marks, joiners and blanks, which have no picture of their own."""


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


class Stamps:
    """Rendered text and plates: the ones used last are kept, since drawing them anew takes longer than a frame has."""

    def __init__(self, most_texts: int = 512, most_plates: int = 48):
        self.text, self.plate = lru_cache(most_texts)(self._text), lru_cache(most_plates)(plate)
        self._file, self._font = lru_cache(256)(font_file), lru_cache(64)(_font)

    def _text(self, text: str, size: int, colour_bgr: Colour, bold: bool) -> Stamp:
        """`size`: of the letters in pixels, as fonts count it (ascent and descent)."""
        from PIL import Image, ImageDraw

        line = one_line(text)
        characters = "" if line.isascii() else "".join(sorted(set(line)))
        font = self._font(self._file(characters, bold=bold), size)
        left, _, right, _ = (round(edge) for edge in font.getbbox(line))
        image = Image.new("L", (max(1, right - min(left, 0)), sum(font.getmetrics())))
        ImageDraw.Draw(image).text((-min(left, 0), 0), line, font=font, fill=255)
        return tinted(np.asarray(image), colour_bgr)


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


def one_line(text: str) -> str:
    """Returns text without line breaks and other control characters, of at most 200 letters."""
    return shortened("".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text), MOST_LETTERS)


def shortened(text: str, letters: int) -> str:
    """Returns at most so many letters, the last one an ellipsis if there were more."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def writable(label: str, labels: Sequence[str]) -> str:
    """Returns a label that some font here can write: itself, else `class 3`, as labels.json numbers it."""
    is_fine = label.isascii() or label not in labels or has_characters(font_file(label), label)
    return label if is_fine else f"class {labels.index(label)}"


def in_dejavu(text: str) -> str:
    """Returns the text with a question mark for every character that DejaVu Sans lacks, for texts of mixed scripts."""
    file = _dejavu(bold=True)
    return "".join(letter if letter.isascii() or has_characters(file, letter) else "?" for letter in text)


def font_file(text: str, *, bold: bool = False) -> Path | None:
    """Returns a font file that has every character of `text`: DejaVu Sans, else one of the system's.

    Where no font has them all: DejaVu Sans, which draws empty boxes. None where matplotlib, which brings it, is not
    installed: for Pillow's own font.
    """
    own = _dejavu(bold=bold)
    if own is None or text.isascii() or has_characters(own, text):
        return own
    from matplotlib.font_manager import findSystemFonts

    files = sorted(map(Path, findSystemFonts()), key=_oddness)
    return next((file for file in files if has_characters(file, text)), own)


def has_characters(file: Path | None, text: str) -> bool:
    """Returns whether a font has every character of `text`."""
    if file is None:
        return text.isascii()
    from matplotlib.ft2font import FT2Font

    try:
        known = FT2Font(str(file)).get_charmap()
    except (OSError, RuntimeError):  # bitmap fonts of one size, and broken files
        return False
    return all(ord(one) in known or unicodedata.category(one) in _DRAWN_BY_OTHERS for one in set(text))


def _font(file: Path | None, size: int) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.load_default(size) if file is None else ImageFont.truetype(file, size)


def _dejavu(*, bold: bool) -> Path | None:
    """Finds the file without importing matplotlib, which takes longer than a frame has."""
    package = importlib.util.find_spec("matplotlib")
    if package is None:
        return None
    (folder,) = package.submodule_search_locations
    return Path(folder, "mpl-data", "fonts", "ttf", "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


def _oddness(file: Path) -> tuple:
    """Sorts upright sans-serif fonts first, and last the one of macOS that has a box for everything."""
    name = file.name.lower()
    return "lastresort" in name, "italic" in name or "oblique" in name, "sans" not in name, "regular" not in name, name
