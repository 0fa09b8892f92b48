"""What is drawn once per picture: status line, badges (recording, paused, heat map), the message and the keys."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2

from fer_core.live.drawing import WHITE, Colour
from fer_core.live.layout import Rect, wrapped
from fer_core.live.lettering import one_line, shortened
from fer_core.live.pen import DIMMED, Pen

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
STRONG_OPACITY = 0.84
NAME_LETTERS = 34
LEAST_SIDE = 100
"""Pixels: on a smaller picture there is room for boxes and labels only."""


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


class Block(NamedTuple):
    """One plate with its text, and where it stands."""

    kind: str
    """'status', 'message', 'help', or a badge: 'recording', 'paused', 'heat map'."""
    rect: Rect
    lines: list[list[str]]


def status_blocks(pen: Pen, status: Status) -> list[Block]:
    """Returns what there is to tell and where, so that the marks of faces can keep away from it."""
    if min(pen.picture.width, pen.picture.height) < LEAST_SIDE:
        return []
    blocks = [_status_block(pen, status), *_badges(pen, status)]
    if status.message:
        blocks.append(_message_block(pen, status.message, above=blocks[0].rect.top))
    if status.help:
        blocks.append(_help_block(pen))
    return [block for block in blocks if block.lines]


def draw_block(pen: Pen, block: Block) -> None:
    """Draws one of them."""
    draw = {"status": _draw_status, "message": _draw_message, "help": _draw_help}.get(block.kind, _draw_badge)
    draw(pen, block)


def _status_block(pen: Pen, status: Status) -> Block:
    metadata = list(_metadata(status))
    widths = [pen.size_of(fact, small=True)[0] for fact in metadata]
    sizes, picture = pen.sizes, pen.picture
    most = picture.width - 2 * (sizes.gap + sizes.pad)
    paths = wrapped(widths, most, gap=_separator(pen))
    width = max((_line_width(pen, [widths[place] for place in line]) for line in paths), default=0) + 2 * sizes.pad
    height = len(paths) * _row(pen, small=True) + sizes.pad
    lines = [[metadata[place] for place in line] for line in paths]
    return Block("status", Rect(sizes.gap, picture.bottom - sizes.gap - height, width, height), lines)


def _metadata(status: Status) -> Iterator[str]:
    rate, delay = status.frames_per_second, status.delay_seconds
    if 0 < rate < float("inf"):
        yield f"{rate:.0f} frames/s" if rate >= 9.95 else f"{rate:.1f} frames/s"
    if 0 < delay < float("inf"):
        yield f"delay {1000 * delay:.0f} ms" if delay < 9.9995 else f"delay {delay:.0f} s"
    yield from (shortened(one_line(name), NAME_LETTERS) for name in (status.model, status.detector) if name)


def _draw_status(pen: Pen, block: Block) -> None:
    pen.plate(block.rect)
    top = block.rect.top + pen.sizes.pad // 2
    for line in block.lines:
        left = block.rect.left + pen.sizes.pad
        for number, fact in enumerate(line):
            if number:
                pen.fill(Rect(left - _separator(pen) // 2, top + pen.sizes.pad // 2, 1, pen.sizes.small), SEPARATOR)
            left = pen.text(fact, left, top, DIMMED, small=True) + _separator(pen)
        top += _row(pen, small=True)


def _badges(pen: Pen, status: Status) -> Iterator[Block]:
    """From the right edge to the left."""
    right = pen.picture.right - pen.sizes.gap
    shown = {"recording": status.recording, "paused": status.paused, "heat map": status.heat}
    for kind in (kind for kind, is_on in shown.items() if is_on):
        width, height = pen.size_of(kind, small=True, bold=True)
        width += 2 * pen.sizes.pad + pen.sizes.gap + _symbol(pen)
        yield Block(kind, Rect(right - width, pen.sizes.gap, width, height + pen.sizes.pad), [[kind]])
        right -= width + pen.sizes.gap


def _draw_badge(pen: Pen, block: Block) -> None:
    rect, side = block.rect, _symbol(pen)
    pen.plate(rect, opacity=STRONG_OPACITY)
    symbol = Rect(rect.left + pen.sizes.pad, rect.top + (rect.height - side) // 2, side, side)
    _SYMBOLS[block.kind](pen, symbol)
    pen.text(block.kind, symbol.right + pen.sizes.gap, rect.top + pen.sizes.pad // 2, small=True, bold=True)


def _recording_dot(pen: Pen, rect: Rect) -> None:
    centre = (rect.left + rect.width // 2, rect.top + rect.height // 2)
    cv2.circle(pen.canvas_bgr, centre, rect.width // 2, RED, cv2.FILLED, cv2.LINE_AA)


def _pause_bars(pen: Pen, rect: Rect) -> None:
    bar = Rect(rect.left, rect.top, max(2, round(0.34 * rect.width)), rect.height)
    pen.fill(bar, WHITE)
    pen.fill(bar._replace(left=rect.right - bar.width), WHITE)


def _heat_squares(pen: Pen, rect: Rect) -> None:
    for number, colour in enumerate(((80, 18, 66), (84, 55, 187), (9, 142, 249), (121, 252, 240))):
        pen.fill(Rect(rect.left + number * rect.width // 4, rect.top, -(-rect.width // 4), rect.height), colour)


_SYMBOLS = {"recording": _recording_dot, "paused": _pause_bars, "heat map": _heat_squares}


def _message_block(pen: Pen, message: str, *, above: int) -> Block:
    words = one_line(message).split()
    widths = [pen.size_of(word)[0] for word in words]
    sizes, picture = pen.sizes, pen.picture
    room = min(picture.width - 2 * sizes.gap, 44 * sizes.text) - 3 * sizes.pad - sizes.line
    paths = wrapped(widths, room, gap=_space(pen))
    lines = [[" ".join(words[place] for place in line)] for line in paths]
    width = max((pen.size_of(line)[0] for (line,) in lines), default=0) + 3 * sizes.pad + sizes.line
    height = len(lines) * _row(pen) + 2 * sizes.pad
    return Block("message", Rect((picture.width - width) // 2, above - sizes.gap - height, width, height), lines)


def _draw_message(pen: Pen, block: Block) -> None:
    rect, sizes = block.rect, pen.sizes
    pen.plate(rect, opacity=STRONG_OPACITY)
    pen.fill(Rect(rect.left + sizes.pad, rect.top + sizes.pad, sizes.line, rect.height - 2 * sizes.pad), AMBER)
    top = rect.top + sizes.pad
    for (line,) in block.lines:
        pen.text(line, rect.left + 2 * sizes.pad + sizes.line, top)
        top += _row(pen)


def _help_block(pen: Pen) -> Block:
    sizes = pen.sizes
    width = max(pen.size_of(meaning)[0] for meaning in KEYS.values()) + _key_side(pen) + sizes.gap + 4 * sizes.pad
    height = len(KEYS) * (_key_side(pen) + sizes.pad) + 3 * sizes.pad
    return Block("help", Rect(sizes.gap, sizes.gap, width, height), [[key, meaning] for key, meaning in KEYS.items()])


def _draw_help(pen: Pen, block: Block) -> None:
    pen.plate(block.rect, opacity=STRONG_OPACITY)
    side = _key_side(pen)
    left, top = block.rect.left + 2 * pen.sizes.pad, block.rect.top + 2 * pen.sizes.pad
    for key, meaning in block.lines:
        pen.plate(Rect(left, top, side, side), KEY, 1.0)
        width, height = pen.size_of(key, bold=True)
        pen.text(key, left + (side - width) // 2, top + (side - height) // 2, bold=True)
        pen.text(meaning, left + side + pen.sizes.gap, top + (side - height) // 2)
        top += side + pen.sizes.pad


def _key_side(pen: Pen) -> int:
    return round(1.5 * pen.sizes.text)


def _symbol(pen: Pen) -> int:
    return round(0.72 * pen.sizes.small)


def _separator(pen: Pen) -> int:
    return 2 * pen.sizes.gap + 1


def _space(pen: Pen) -> int:
    return pen.size_of("n n")[0] - pen.size_of("nn")[0]


def _row(pen: Pen, *, small: bool = False) -> int:
    return pen.size_of("x", small=small)[1]


def _line_width(pen: Pen, widths: list[int]) -> int:
    return sum(widths) + _separator(pen) * (len(widths) - 1)
