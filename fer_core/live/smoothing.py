"""Steadies one person's readings over time, not over frames: probabilities, what is shown of them, the box.

Each object belongs to one person. Knows no frames, no detector and no clock: every value comes with its time.
"""

import math

import numpy as np

from fer_core.faces.face import Box
from fer_core.live.prediction import Shown

SHORTEST_SECONDS = 0.3
"""Nothing is shown for less. A shorter label cannot be read, and looks like a fault."""

PATIENCE_SECONDS = 0.1
"""What changes and is back within this time is not shown: where two labels are level, noise decides."""

_HALF_LIFE = 0.9
"""Of the smoothing time, so that half the height is passed by then and not just reached."""

_STEADIEST_HERTZ = 0.5
_HERTZ_PER_SPEED = 8.0
_SPEED_HERTZ = 1.0
"""For a face of 200 pixels these leave a quarter of the detectors' trembling, and lag by 15 ms behind a fast one."""


class SteadyProbabilities:
    """An exponential mean over time, at any frame rate, even or not."""

    def __init__(self, smoothing_seconds: float):
        """A step has passed half its height after this time; 0 gives back what comes in."""
        self._half_life = _HALF_LIFE * smoothing_seconds
        self._value: np.ndarray | None = None
        self._at = -math.inf

    def update(self, probabilities: np.ndarray, seconds: float) -> np.ndarray:
        """Returns the mean, float64 (labels,); `probabilities` float (labels,) sum to 1, and so does the mean."""
        new = probabilities.astype(np.float64)
        if self._value is None or self._half_life == 0:
            self._value = new
        else:
            kept = 0.5 ** (max(0.0, seconds - self._at) / self._half_life)
            self._value = kept * self._value + (1 - kept) * new
        self._at = max(self._at, seconds)
        return self._value


class SteadyLabel:
    """What is shown follows what the probabilities say, but nothing is shown for less than 0.3 s.

    It changes once it has differed for 0.1 s without a break, to what is right then; and not before it has been shown
    for 0.3 s. So it lags by 0.3 s and a frame at most. Only what comes last, before the source ends, may be shown for
    less: that nobody can know.
    """

    def __init__(self) -> None:
        self._shown: Shown | None = None
        self._shown_since = self._last = 0.0
        self._differs_since: float | None = None

    def update(self, right: Shown, seconds: float) -> Shown:
        """Returns what to show at this time, when the probabilities of now say `right`."""
        if self._shown is None:
            self._show(right, seconds)
        elif right == self._shown:
            self._differs_since = None
        else:
            self._differs_since = seconds if self._differs_since is None else self._differs_since
            if self._may_change(seconds):
                self._show(right, seconds)
        self._last = seconds
        return self._shown

    def _may_change(self, seconds: float) -> bool:
        # Until the frame before, since that is the last one that showed it.
        could_be_read = self._last - self._shown_since >= SHORTEST_SECONDS
        return could_be_read and seconds - self._differs_since >= PATIENCE_SECONDS

    def _show(self, right: Shown, seconds: float) -> None:
        self._shown, self._shown_since, self._differs_since = right, seconds, None


class SteadyBox:
    """A box that does not tremble while a face is still, and hardly lags when it moves.

    The One Euro filter (Casiez, Roussel and Vogel, CHI 2012): a low-pass whose cutoff grows with the speed. Speeds are
    in widths of the face, so that near and far faces are treated alike.
    """

    def __init__(self) -> None:
        self._at: float | None = None
        self._raw = self._steady = self._speed = (0.0,) * 4

    def update(self, box: Box, seconds: float) -> Box:
        """Returns the steadied box, in pixels like `box`."""
        x, y, width, height = box
        raw = (x + width / 2, y + height / 2, width, height)
        elapsed = 0.0 if self._at is None else seconds - self._at
        if self._at is None:
            self._raw = self._steady = raw
        elif elapsed > 0:
            self._follow(raw, elapsed, unit=max(width, 1.0))
        self._at = seconds
        centre_x, centre_y, width, height = self._steady
        return Box(centre_x - width / 2, centre_y - height / 2, width, height)

    def _follow(self, raw: tuple[float, ...], elapsed: float, *, unit: float) -> None:
        of_speed = _share(_SPEED_HERTZ, elapsed)
        ways = zip(self._speed, raw, self._raw, strict=True)
        # of_speed / elapsed stays finite however short the time was; a way divided by it does not.
        per_way = of_speed / elapsed / unit
        self._speed = tuple((1 - of_speed) * speed + per_way * (new - old) for speed, new, old in ways)
        shares = [_share(_STEADIEST_HERTZ + _HERTZ_PER_SPEED * abs(speed), elapsed) for speed in self._speed]
        moves = zip(self._steady, raw, shares, strict=True)
        self._steady = tuple(old + share * (new - old) for old, new, share in moves)
        self._raw = raw


def _share(cutoff_hertz: float, elapsed: float) -> float:
    """Returns how much of a new value a first-order low-pass takes after `elapsed` seconds."""
    turn = 2 * math.pi * cutoff_hertz * elapsed
    return turn / (turn + 1)
