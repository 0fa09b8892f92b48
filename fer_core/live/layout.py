"""Where marks go on a picture so that they stay inside it and hide as little as possible. Geometry only."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

FAR_OUTSIDE = 64
"""Pixels: a box that reaches further outside the picture is drawn as if it ended here."""
STAYS = 0.6
"""A mark moves to another side only if it hides less than this share of what it hides now; else it would jump about."""


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

    @property
    def area(self) -> int:
        """In pixels."""
        return self.width * self.height

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
    left, right = (_clipped(edge, picture.left, picture.right) for edge in (x, x + width))
    top, bottom = (_clipped(edge, picture.top, picture.bottom) for edge in (y, y + height))
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
    width, height = size
    left, right, top, bottom = room.left, room.right - width, room.top, room.bottom - height
    return {
        "upper right": Rect(right, top, width, height),
        "upper left": Rect(left, top, width, height),
        "lower right": Rect(right, bottom, width, height),
        "lower left": Rect(left, bottom, width, height),
    }


def best_place(
    paths: dict[str, Rect], obstacles: Iterable[Obstacle], *, picture: Rect, last: str | None = None
) -> Place:
    """Returns the place that hides least, inside the picture: the `last` one unless another is much better."""
    obstacles = list(obstacles)
    found = []
    for side in sorted(paths, key=lambda side: side != last):
        rect = paths[side].moved_inside(picture)
        hides = sum(rect.shared_area(obstacle.rect) * obstacle.weight for obstacle in obstacles)
        found.append(Place(side, rect, hides))
    return min(found, key=lambda place: place.hides * (STAYS if place.side == last else 1))


def wrapped(widths: Sequence[int], most: int, *, gap: int) -> list[list[int]]:
    """Returns which pieces go on which line: their places in `widths`, no line wider than `most` where possible."""
    lines: list[list[int]] = []
    used = 0
    for place, width in enumerate(widths):
        if lines and used + gap + width <= most:
            lines[-1].append(place)
            used += gap + width
        else:
            lines.append([place])
            used = width
    return lines


def _clipped(edge: float, low: int, high: int) -> int:
    return round(min(max(edge, low - FAR_OUTSIDE), high + FAR_OUTSIDE))
