"""Where things go on a picture: status line, colours of the emotions, badges, message and keys, which are drawn once;
and the marks of a face, so that they hide least."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from fer_core.live.canvas import DIMMED, PLATE_OPACITY, WHITE, Canvas, Colour, Rect, one_line, shortened

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
FAR_OUTSIDE = 64
"""Pixels: a box that reaches further outside the picture is drawn as if it ended here."""
OWN_FACE, STATUS, OTHERS, LABEL = 0.3, 0.5, 1.0, 4.0
"""How much it weighs that a mark hides its own face, the status line, other faces and their bars, a label."""
STAYS = 0.6
"""A mark moves to another side only if it hides less than this share of what it hides now; else it would jump about."""


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


class Obstacle(NamedTuple):
    """What shall not be hidden, and how much it weighs when there is no room."""

    rect: Rect
    weight: float = 1.0


class Place(NamedTuple):
    """Where a mark goes: on which side, and how much it hides there (weight times pixels)."""

    side: str
    rect: Rect
    hides: float


def rect_of(box: Sequence[float], picture: Rect) -> Rect:
    """Returns a box (x, y, width, height; floats, anywhere) in whole pixels, cut off a little outside the picture."""
    x, y, width, height = box
    columns, rows = (-FAR_OUTSIDE, picture.width + FAR_OUTSIDE), (-FAR_OUTSIDE, picture.height + FAR_OUTSIDE)
    left, right = (round(min(max(edge, columns[0]), columns[1])) for edge in (x, x + width))
    top, bottom = (round(min(max(edge, rows[0]), rows[1])) for edge in (y, y + height))
    return Rect(left, top, max(1, right - left), max(1, bottom - top))


def beside(face: Rect, label: Rect, size: tuple[int, int], *, gap: int) -> dict[str, Rect]:
    """Returns the places of a panel of `size` beside a face, best first; above and below also clear of its label."""
    width, height = size
    top, bottom = min(face.top, label.top), max(face.bottom, label.bottom)
    return {
        "right": Rect(face.right + gap, face.top, width, height),
        "left": Rect(face.left - gap - width, face.top, width, height),
        "below": Rect(face.left, bottom + gap, width, height),
        "below, leftwards": Rect(face.right - width, bottom + gap, width, height),
        "above": Rect(face.left, top - gap - height, width, height),
        "above, leftwards": Rect(face.right - width, top - gap - height, width, height),
    }


def corners(size: tuple[int, int], room: Rect) -> dict[str, Rect]:
    """Returns the places of a panel of `size` in the corners of `room`, for a face that leaves no place beside it."""
    (width, height), right, bottom = size, room.right - size[0], room.bottom - size[1]
    return {
        "upper right": Rect(right, room.top, width, height),
        "upper left": Rect(room.left, room.top, width, height),
        "lower right": Rect(right, bottom, width, height),
        "lower left": Rect(room.left, bottom, width, height),
    }


def best_place(
    places: Mapping[str, Rect],
    obstacles: Sequence[Obstacle],
    *,
    picture: Rect,
    last: str | None = None,
    own: Rect | None = None,
) -> Place:
    """Returns the place that hides least, inside the picture: the `last` one unless another is much better.

    The face itself (`own`) weighs less: better hide a part of it than of another one.
    """
    found = []
    for side in sorted(places, key=lambda side: side != last):
        left, top, width, height = places[side]
        left = max(picture.left, min(left, picture.right - width))
        rect = Rect(left, max(picture.top, min(top, picture.bottom - height)), width, height)
        hides = sum(rect.shared_area(one) * (OWN_FACE if one == own else weight) for one, weight in obstacles)
        found.append(Place(side, rect, hides))
    return min(found, key=lambda place: place.hides * (STAYS if place.side == last else 1))
