"""Text as pictures, in DejaVu Sans, the font that matplotlib ships, and in fonts of the system where that one lacks a
character (Chinese, Japanese, Korean …). OpenCV's own lettering knows ASCII only."""

import importlib.util
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

NO_CHARACTER = "\U0010ffff"
"""No font has it, so it shows what a font draws for a character that it lacks."""
DRAWN_BY_OTHERS = ("Mn", "Me", "Cf", "Zs", "Cc")
"""Unicode's categories of marks, joiners and blanks, which have no picture of their own."""
MOST_LETTERS = 200


class Lettering:
    """Renders one line of text after another, and keeps the fonts."""

    def __init__(self):
        self._file, self._font = lru_cache(256)(font_file), lru_cache(64)(_font)

    def opacity(self, text: str, size: int, *, bold: bool = False) -> np.ndarray:
        """Returns uint8 (height, width). `size`: of the letters in pixels, as fonts count it (ascent and descent)."""
        from PIL import Image, ImageDraw

        line = one_line(text)
        characters = "" if line.isascii() else "".join(sorted(set(line)))
        font = self._font(self._file(characters, bold=bold), size)
        left, _, right, _ = (round(edge) for edge in font.getbbox(line))
        image = Image.new("L", (max(1, right - min(left, 0)), sum(font.getmetrics())))
        ImageDraw.Draw(image).text((-min(left, 0), 0), line, font=font, fill=255)
        return np.asarray(image)


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


def font_file(text: str, *, bold: bool = False) -> Path:
    """Returns a font file that has every character of `text`: DejaVu Sans, else one of the system's.

    Where no font has them all: DejaVu Sans, which draws empty boxes.
    """
    own = _dejavu(bold=bold)
    if text.isascii() or has_characters(own, text):
        return own
    from matplotlib.font_manager import findSystemFonts

    files = sorted(map(Path, findSystemFonts()), key=_oddness)
    return next((file for file in files if has_characters(file, text)), own)


def has_characters(file: Path, text: str) -> bool:
    """Returns whether a font draws every character of `text`."""
    try:
        font = _font(file, 24)
        nothing = _picture(font, NO_CHARACTER)
        seen = {letter for letter in text if unicodedata.category(letter) not in DRAWN_BY_OTHERS}
        return all(_picture(font, letter) != nothing for letter in seen)
    except OSError:  # bitmap fonts of one size, and broken files
        return False


def _picture(font: "FreeTypeFont", letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def _font(file: Path, size: int) -> "FreeTypeFont":
    from PIL import ImageFont

    return ImageFont.truetype(file, size)


def _dejavu(*, bold: bool) -> Path:
    """Finds the file without importing matplotlib, which takes longer than a frame has."""
    (folder,) = importlib.util.find_spec("matplotlib").submodule_search_locations
    return Path(folder, "mpl-data", "fonts", "ttf", "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


def _oddness(file: Path) -> tuple:
    """Sorts upright sans-serif fonts first, and last the one of macOS that has a box for everything."""
    name = file.name.lower()
    return "lastresort" in name, "italic" in name or "oblique" in name, "sans" not in name, "regular" not in name, name
