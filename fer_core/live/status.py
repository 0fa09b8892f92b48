"""What is drawn once per picture: status line, colours of the emotions, badges, the message and the keys."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fer_core.live.canvas import DIMMED, PLATE_OPACITY, WHITE, Canvas, Colour, Rect
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
AMBER: Colour = (38, 178, 255)
BADGES: dict[str, tuple[str, Colour]] = {
    "recording": ("\N{BLACK CIRCLE}", (58, 58, 240)),
    "paused": ("\N{HEAVY VERTICAL BAR}" * 2, WHITE),
    "heat map": ("\N{BLACK SQUARE}", (9, 142, 249)),
}
STRONG_OPACITY = 0.84
NAME_LETTERS, MESSAGE_LETTERS = 34, 44
LEAST_SIDE = 100
"""Pixels: on a smaller picture there is room for boxes and labels only."""


@dataclass(frozen=True)
class Status:
    """What is shown beside the faces. A rate or delay of 0.0 is left out."""

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


class Piece(NamedTuple):
    """A piece of text; it takes at least `width` pixels."""

    text: str
    colour: Colour = DIMMED
    bold: bool = False
    width: int = 0


Item = tuple[Piece, ...]
"""Pieces that stay together when lines are broken."""


class Block(NamedTuple):
    """A plate, and the pieces of text on it, each with its left and upper edge on the plate."""

    rect: Rect
    texts: list[tuple[Piece, int, int]]
    small: bool
    opacity: float

    def at(self, left: int, top: int) -> "Block":
        """Returns it at this place."""
        return self._replace(rect=self.rect._replace(left=left, top=top))

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""
        canvas.plate(self.rect, opacity=self.opacity)
        for (text, colour, bold, _), left, top in self.texts:
            canvas.text(text, self.rect.left + left, self.rect.top + top, colour, small=self.small, bold=bold)


def status_blocks(canvas: Canvas, status: Status, legend: Sequence[tuple[str, Colour]] = ()) -> list[Block]:
    """Returns what there is to show and where, so that the marks of faces can keep away from it.

    `legend`: names and their colours.
    """
    picture, gap = canvas.picture, canvas.sizes.gap
    if min(picture.width, picture.height) < LEAST_SIDE:
        return []
    blocks, bottom = list(_badges(canvas, status)), picture.bottom - gap
    colours = [(Piece("\N{BLACK SQUARE}", colour), Piece(name)) for name, colour in legend]
    for items in ([(Piece(fact),) for fact in _facts(status)], colours):
        if items:
            block = _block(canvas, items, gap=3 * gap, room=picture.width - 2 * gap)
            blocks.append(block.at(gap, bottom - block.rect.height))
            bottom = blocks[-1].rect.top - gap
    if status.message:
        words = [(Piece(word, WHITE),) for word in one_line(status.message).split()]
        space = canvas.size_of("n n")[0] - canvas.size_of("nn")[0]
        room = min(picture.width - 2 * gap, MESSAGE_LETTERS * canvas.sizes.text)
        block = _block(canvas, words, gap=space, room=room, small=False, opacity=STRONG_OPACITY)
        blocks.append(block.at((picture.width - block.rect.width) // 2, bottom - block.rect.height))
    if status.help:
        column = round(1.5 * canvas.sizes.text)
        keys = [(Piece(key, AMBER, True, column), Piece(meaning, WHITE)) for key, meaning in KEYS.items()]
        blocks.append(_block(canvas, keys, gap=gap, small=False, opacity=STRONG_OPACITY).at(gap, gap))
    return blocks


def _facts(status: Status) -> Iterator[str]:
    rate, delay = status.frames_per_second, status.delay_seconds
    if 0 < rate < float("inf"):
        yield f"{rate:.0f} frames/s" if rate >= 9.95 else f"{rate:.1f} frames/s"
    if 0 < delay < float("inf"):
        yield f"delay {1000 * delay:.0f} ms" if delay < 9.9995 else f"delay {delay:.0f} s"
    yield from (shortened(one_line(name), NAME_LETTERS) for name in (status.model, status.detector) if name)


def _badges(canvas: Canvas, status: Status) -> Iterator[Block]:
    """From the right edge to the left."""
    right = canvas.picture.right - canvas.sizes.gap
    shown = {"recording": status.recording, "paused": status.paused, "heat map": status.heat}
    for name in (name for name, is_on in shown.items() if is_on):
        sign, colour = BADGES[name]
        block = _block(canvas, [(Piece(sign, colour), Piece(name, WHITE, bold=True))], opacity=STRONG_OPACITY)
        yield block.at(right - block.rect.width, canvas.sizes.gap)
        right -= block.rect.width + canvas.sizes.gap


def _block(
    canvas: Canvas,
    items: Sequence[Item],
    *,
    gap: int = 0,
    room: int = 0,
    small: bool = True,
    opacity: float = PLATE_OPACITY,
) -> Block:
    """Returns a block at the upper left, of lines no wider than `room` where possible; without that, of an item each.

    `gap`: pixels between two items of a line.
    """
    pad, inner = canvas.sizes.pad, canvas.sizes.gap // 2
    row, edge = canvas.size_of("x", small=small)[1] + (0 if small else pad // 2), pad // 2 if small else pad
    texts, left, top, width = [], pad, edge, 0
    for item in items:
        sizes = [max(canvas.size_of(one.text, small=small, bold=one.bold)[0], one.width) for one in item]
        if left > pad and left + sum(sizes) + inner * (len(item) - 1) + pad > room:
            left, top = pad, top + row
        for piece, size in zip(item, sizes, strict=True):
            texts.append((piece, left, top))
            left += size + inner
        width = max(width, left - inner + pad)
        left += gap - inner
    return Block(Rect(0, 0, width, top + row + edge), texts, small, opacity)
