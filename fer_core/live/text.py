"""Text as pictures, in DejaVu Sans, the font that matplotlib ships.

OpenCV's own lettering knows ASCII only. Where DejaVu lacks a character (Chinese, Japanese, Korean …), a font of the
system that has it is looked for once.
"""

import importlib.util
import os
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

FONT_FOLDERS = {
    "darwin": ("/System/Library/Fonts", "/Library/Fonts", "~/Library/Fonts"),
    "win32": ("${WINDIR}/Fonts", "${LOCALAPPDATA}/Microsoft/Windows/Fonts"),
    "linux": ("/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts"),
}
FONT_ENDINGS = (".ttf", ".otf", ".ttc")
NO_CHARACTER = "\U0010ffff"
"""No font has it, so it shows what a font draws for a character that it lacks."""
DRAWN_BY_OTHERS = ("Mn", "Me", "Cf", "Zs", "Cc")
"""Unicode's categories of marks, joiners and blanks, which have no picture of their own."""
MOST_LETTERS = 200


class Lettering:
    """Renders one line of text after another, and keeps the fonts."""

    def __init__(self):
        self._fonts: dict[tuple[Path | None, int], FreeTypeFont] = {}
        self._files: dict[tuple[str, bool], Path | None] = {}

    def opacity(self, text: str, size: int, *, bold: bool = False) -> np.ndarray:
        """Returns uint8 (height, width). `size`: of the letters in pixels, as fonts count it (ascent and descent)."""
        from PIL import Image, ImageDraw

        line = one_line(text)
        font = self._font(self._file(line, bold=bold), size)
        left, _, right, _ = (round(edge) for edge in font.getbbox(line))
        ascent, descent = font.getmetrics()
        image = Image.new("L", (max(1, right - min(left, 0)), ascent + descent))
        ImageDraw.Draw(image).text((-min(left, 0), 0), line, font=font, fill=255)
        return np.asarray(image)

    def _file(self, line: str, *, bold: bool) -> Path | None:
        characters = "".join(sorted(set(line))) if not line.isascii() else ""
        key = (characters, bold)
        if key not in self._files:
            self._files[key] = font_file(characters, bold=bold)
        return self._files[key]

    def _font(self, file: Path | None, size: int) -> "FreeTypeFont":
        from PIL import ImageFont

        key = (file, size)
        if key not in self._fonts:
            self._fonts[key] = ImageFont.truetype(file, size) if file else ImageFont.load_default(size)
        return self._fonts[key]


def one_line(text: str) -> str:
    """Returns text without line breaks and other control characters, of at most 200 letters."""
    plain = "".join(" " if unicodedata.category(letter) == "Cc" else letter for letter in text)
    return plain if len(plain) <= MOST_LETTERS else f"{plain[: MOST_LETTERS - 1]}…"


def shortened(text: str, letters: int) -> str:
    """Returns at most so many letters, the last one an ellipsis if there were more."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def writable(label: str, labels: Sequence[str]) -> str:
    """Returns a label that some font here can write: itself, else `class 3`, as labels.json numbers it."""
    file = font_file(label)
    is_fine = label.isascii() or file is None or has_characters(file, label)
    return label if is_fine or label not in labels else f"class {labels.index(label)}"


def in_dejavu(text: str) -> str:
    """Returns the text with a question mark for every character that DejaVu Sans lacks, for texts of mixed scripts."""
    file = _dejavu(bold=True)
    if file is None or text.isascii() or has_characters(file, text):
        return text
    return "".join(letter if has_characters(file, letter) else "?" for letter in text)


def font_file(text: str, *, bold: bool = False) -> Path | None:
    """Returns a font file that has every character of `text`: DejaVu Sans, else one of the system's.

    Where no font has them all: DejaVu Sans, which draws empty boxes. None if matplotlib's fonts are missing.
    """
    own = _dejavu(bold=bold)
    if own is not None and (text.isascii() or has_characters(own, text)):
        return own
    return next((file for file in _system_fonts() if has_characters(file, text)), own)


def has_characters(file: Path, text: str) -> bool:
    """Returns whether a font draws every character of `text`."""
    from PIL import ImageFont

    try:
        font = ImageFont.truetype(file, 24)
        nothing = _picture(font, NO_CHARACTER)
        seen = {letter for letter in text if unicodedata.category(letter) not in DRAWN_BY_OTHERS}
        return all(_picture(font, letter) != nothing for letter in seen)
    except OSError:  # bitmap fonts of one size, and broken files
        return False


def _picture(font: "FreeTypeFont", letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def _dejavu(*, bold: bool) -> Path | None:
    found = importlib.util.find_spec("matplotlib")
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    folders = (found.submodule_search_locations or ()) if found else ()
    files = (Path(folder, "mpl-data", "fonts", "ttf", name) for folder in folders)
    return next((file for file in files if file.is_file()), None)


def _system_fonts() -> Iterator[Path]:
    """Yields the system's font files, upright sans-serif ones first."""
    folders = FONT_FOLDERS.get(sys.platform, FONT_FOLDERS["linux"])
    files = (
        file
        for folder in folders
        for file in Path(os.path.expandvars(folder)).expanduser().rglob("*")
        if file.suffix.lower() in FONT_ENDINGS and "lastresort" not in file.name.lower()
    )
    yield from sorted(files, key=_oddness)


def _oddness(file: Path) -> tuple:
    name = file.name.lower()
    return "italic" in name or "oblique" in name, "sans" not in name, "regular" not in name, name
