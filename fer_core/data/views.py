"""Fixed views of a picture: itself, mirrored, moved by a few pixels. What a teacher is asked about once, and what
several answers to one picture are averaged over. Light: NumPy only.
"""

import numpy as np

_SHIFTS = ((0, 0), (-2, -2), (2, 2), (2, -2), (-2, 2), (0, -3), (0, 3), (3, 0), (-3, 0))
"""Down and across, in pixels of a picture of side 48."""
_SIDE = 48

FORMAT = 1
"""Raised whenever a number means another view: what was said of the old ones is asked anew."""

MOST_VIEWS = 2 * len(_SHIFTS)


def view(images: np.ndarray, number: int) -> np.ndarray:
    """Returns one view of each picture: 0 is itself, 1 its mirror image, then both for each of the shifts.

    Args:
        images: (n, side, side, channels); the edge is repeated where a shift leaves it.
        number: 0 to MOST_VIEWS - 1.
    """
    down, across = (round(pixels * images.shape[1] / _SIDE) for pixels in _SHIFTS[number // 2])
    moved = _moved(images, down, across) if down or across else images
    return moved[:, :, ::-1] if number % 2 else moved


def views_in_turn(images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Returns for each picture the view with its own number, int (n,)."""
    turned = images.copy()
    for number in np.unique(numbers):
        turned[numbers == number] = view(images[numbers == number], int(number))
    return turned


def _moved(images: np.ndarray, down: int, across: int) -> np.ndarray:
    room = max(abs(down), abs(across))
    wider = np.pad(images, [(0, 0), (room, room), (room, room), (0, 0)], mode="edge")
    side = images.shape[1]
    return wider[:, room - down : room - down + side, room - across : room - across + side]
