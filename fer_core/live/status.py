"""What is drawn once per picture: status line, colours of the emotions, badges, the message and the keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fer_core.live.canvas import DIMMED, PLATE_OPACITY, WHITE, Canvas, Colour
from fer_core.live.layout import Rect, wrapped
from fer_core.live.text import one_line, shortened

KEYS = {
    "q": "quit",
    "s": "snapshot",
    "r": "record on/off",
    "p": "pause",
    "d": "next detector",
    "e": "heat map on/off",
    "h": "this help on/off",
}
RED: Colour = (58, 58, 240)
AMBER: Colour = (38, 178, 255)
KEY: Colour = (92, 88, 84)
SEPARATOR: Colour = (140, 138, 136)
HEAT_COLOURS: tuple[Colour, ...] = ((80, 18, 66), (84, 55, 187), (9, 142, 249), (121, 252, 240))
STRONG_OPACITY = 0.84
NAME_LETTERS = 34
LEAST_SIDE = 100
"""Pixels: on a smaller picture there is room for boxes and labels only."""

Swatches = Sequence[tuple[str, Colour]]
"""Names and their colours."""


@dataclass(frozen=True)
class Status:
    """What is told beside the faces. A rate or delay of 0.0 is left out."""

    model: str
    detector: str
    frames_per_second: float
    delay_seconds: float
    message: str = ""
    """A sentence that matters now: the stream is gone, a snapshot was saved."""
    recording: bool = False
    paused: bool = False
    help: bool = False
    """Whether the keys are listed."""
    heat: bool = False
    """Whether heat maps are on."""


class Text(NamedTuple):
    """One piece of text and where it stands."""

    text: str
    left: int
    top: int
    colour: Colour = WHITE
    small: bool = False
    bold: bool = False


class Block(NamedTuple):
    """A plate, and what stands on it: coloured rectangles with round corners, then texts."""

    rect: Rect
    opacity: float
    marks: list[tuple[Rect, Colour, int]]
    """With the radius of the corners."""
    texts: list[Text]

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""
        canvas.plate(self.rect, opacity=self.opacity)
        for rect, colour, radius in self.marks:
            canvas.plate(rect, colour, 1.0, radius=radius)
        for text, left, top, colour, small, bold in self.texts:
            canvas.text(text, left, top, colour, small=small, bold=bold)


def status_blocks(canvas: Canvas, status: Status, swatches: Swatches = ()) -> list[Block]:
    """Returns what there is to tell and where, so that the marks of faces can keep away from it."""
    if min(canvas.picture.width, canvas.picture.height) < LEAST_SIDE:
        return []
    gap, blocks = canvas.sizes.gap, list(_badges(canvas, status))
    bottom = canvas.picture.bottom - gap
    for names, is_legend in (([(fact, SEPARATOR) for fact in _metadata(status)], False), (swatches, True)):
        if names:
            blocks.append(_line_block(canvas, names, bottom=bottom, is_legend=is_legend))
            bottom = blocks[-1].rect.top - gap
    if status.message:
        blocks.append(_message_block(canvas, one_line(status.message).split(), bottom=bottom))
    if status.help:
        blocks.append(_help_block(canvas))
    return blocks


def _metadata(status: Status) -> Iterator[str]:
    rate, delay = status.frames_per_second, status.delay_seconds
    if 0 < rate < float("inf"):
        yield f"{rate:.0f} frames/s" if rate >= 9.95 else f"{rate:.1f} frames/s"
    if 0 < delay < float("inf"):
        yield f"delay {1000 * delay:.0f} ms" if delay < 9.9995 else f"delay {delay:.0f} s"
    yield from (shortened(one_line(name), NAME_LETTERS) for name in (status.model, status.detector) if name)


def _line_block(canvas: Canvas, names: Swatches, *, bottom: int, is_legend: bool) -> Block:
    """Names side by side at the left edge: after a square of their colour in a legend, else divided by thin lines."""
    sizes, row, square = canvas.sizes, _row(canvas, small=True), _symbol(canvas)
    gap, indent = (2 * sizes.gap, square + sizes.gap // 2) if is_legend else (2 * sizes.gap + 1, 0)
    widths = [canvas.size_of(name, small=True)[0] + indent for name, _ in names]
    lines = wrapped(widths, canvas.picture.width - 2 * (sizes.gap + sizes.pad), gap=gap)
    width = max(sum(widths[place] for place in line) + gap * (len(line) - 1) for line in lines) + 2 * sizes.pad
    height = len(lines) * row + sizes.pad
    block = Block(Rect(sizes.gap, bottom - height, width, height), PLATE_OPACITY, [], [])
    top = block.rect.top + sizes.pad // 2
    for line in lines:
        left = block.rect.left + sizes.pad
        for number, place in enumerate(line):
            name, colour = names[place]
            if is_legend:
                block.marks.append((Rect(left, top + (row - square) // 2, square, square), colour, 1))
            elif number:
                block.marks.append((Rect(left - gap // 2 - 1, top + sizes.pad // 2, 1, sizes.small), colour, 0))
            block.texts.append(Text(name, left + indent, top, DIMMED, small=True))
            left += widths[place] + gap
        top += row
    return block


def _badges(canvas: Canvas, status: Status) -> Iterator[Block]:
    """From the right edge to the left."""
    sizes, side = canvas.sizes, _symbol(canvas)
    right = canvas.picture.right - sizes.gap
    shown = {"recording": status.recording, "paused": status.paused, "heat map": status.heat}
    for kind in (kind for kind, is_on in shown.items() if is_on):
        width, height = canvas.size_of(kind, small=True, bold=True)
        width += 2 * sizes.pad + sizes.gap + side
        rect = Rect(right - width, sizes.gap, width, height + sizes.pad)
        symbol = Rect(rect.left + sizes.pad, rect.top + (rect.height - side) // 2, side, side)
        text = Text(kind, symbol.right + sizes.gap, rect.top + sizes.pad // 2, small=True, bold=True)
        yield Block(rect, STRONG_OPACITY, _symbol_marks(kind, symbol), [text])
        right -= width + sizes.gap


def _symbol_marks(kind: str, rect: Rect) -> list[tuple[Rect, Colour, int]]:
    """A red dot, two upright bars, or the colours of a heat map."""
    side = rect.width
    if kind == "recording":
        return [(rect, RED, side // 2)]
    if kind == "paused":
        bar = rect._replace(width=max(2, round(0.34 * side)))
        return [(bar, WHITE, 0), (bar._replace(left=rect.right - bar.width), WHITE, 0)]
    return [
        (Rect(rect.left + number * side // 4, rect.top, -(-side // 4), side), colour, 0)
        for number, colour in enumerate(HEAT_COLOURS)
    ]


def _message_block(canvas: Canvas, words: list[str], *, bottom: int) -> Block:
    sizes, picture, row = canvas.sizes, canvas.picture, _row(canvas)
    room = min(picture.width - 2 * sizes.gap, 44 * sizes.text) - 3 * sizes.pad - sizes.line
    space = canvas.size_of("n n")[0] - canvas.size_of("nn")[0]
    places = wrapped([canvas.size_of(word)[0] for word in words], room, gap=space)
    lines = [" ".join(words[place] for place in line) for line in places]
    width = max((canvas.size_of(line)[0] for line in lines), default=0) + 3 * sizes.pad + sizes.line
    height = len(lines) * row + 2 * sizes.pad
    rect = Rect((picture.width - width) // 2, bottom - height, width, height)
    left, top = rect.left + sizes.pad, rect.top + sizes.pad
    accent = Rect(left, top, sizes.line, rect.height - 2 * sizes.pad)
    texts = [Text(line, accent.right + sizes.pad, top + number * row) for number, line in enumerate(lines)]
    return Block(rect, STRONG_OPACITY, [(accent, AMBER, 0)], texts)


def _help_block(canvas: Canvas) -> Block:
    sizes, side = canvas.sizes, round(1.5 * canvas.sizes.text)
    width = max(canvas.size_of(meaning)[0] for meaning in KEYS.values()) + side + sizes.gap + 4 * sizes.pad
    height = len(KEYS) * (side + sizes.pad) + 3 * sizes.pad
    block = Block(Rect(sizes.gap, sizes.gap, width, height), STRONG_OPACITY, [], [])
    left, top = block.rect.left + 2 * sizes.pad, block.rect.top + 2 * sizes.pad
    for key, meaning in KEYS.items():
        wide, high = canvas.size_of(key, bold=True)
        middle = top + (side - high) // 2
        block.marks.append((Rect(left, top, side, side), KEY, sizes.radius))
        block.texts.append(Text(key, left + (side - wide) // 2, middle, bold=True))
        block.texts.append(Text(meaning, left + side + sizes.gap, middle))
        top += side + sizes.pad
    return block


def _symbol(canvas: Canvas) -> int:
    return round(0.72 * canvas.sizes.small)


def _row(canvas: Canvas, *, small: bool = False) -> int:
    return canvas.size_of("x", small=small)[1]
