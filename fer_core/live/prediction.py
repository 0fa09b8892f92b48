"""`Prediction`: what was read in one face; and how one person's predictions are steadied over time, not over frames.

Knows no frames, no detector and no clock: every value comes with its time.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fer_core.faces.face import Box

UNSURE_BELOW = 0.4
"""With the shipped model, 11 % of the 3,589 images of PublicTest are below it; 36 % of those are right, and 74 % of the
others."""
SHORTEST_SECONDS = 0.3
"""Nothing is shown for less. A shorter label cannot be read, and looks like a fault."""
PATIENCE_SECONDS = 0.1
"""What changes and is back within this time is not shown: where two labels are level, noise decides."""
_HALF_LIFE = 0.9
"""Of the smoothing time, so that half the height is passed by then and not just reached."""
_STEADIEST_HERTZ, _HERTZ_PER_SPEED, _SPEED_HERTZ = 0.5, 8.0, 1.0
"""For a face of 200 pixels these leave a quarter of the detectors' trembling, and lag by 15 ms behind a fast one."""


class ShownLabel(NamedTuple):
    """What is shown of the probabilities: the number of the label, and whether it is unsure."""

    label: int
    is_unsure: bool


@dataclass(frozen=True, slots=True)
class Prediction:
    """One face's emotion.

    `box` is in pixels of the picture and may reach outside it. `probabilities` are calibrated, by label name, and sum
    to 1; `confidence` is that of `label`; `unsure` says that it is below the threshold. `person` numbers the people of
    a video from 1, and is None in a single picture.

    So that they do not flicker in a video, `label` and `unsure` may lag behind the probabilities, by 0.3 s and a frame
    at most: then `label` is not the most probable one yet, or `unsure` not what its confidence says now.
    """

    box: Box
    label: str
    confidence: float
    probabilities: Mapping[str, float]
    unsure: bool
    person: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Returns the prediction as plain values for JSON; the box as x, y, width, height in tenths of a pixel."""
        return {
            "person": self.person,
            "box": {name: round(float(value), 1) for name, value in self.box._asdict().items()},
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "unsure": self.unsure,
            "probabilities": {label: round(share, 4) for label, share in self.probabilities.items()},
        }


def make_prediction(
    box: Box, probabilities: np.ndarray, shown: ShownLabel, *, labels: Sequence[str], person: int | None = None
) -> Prediction:
    """Returns the prediction of one face from its calibrated probabilities, float (labels,), and what is shown."""
    plain = probabilities.tolist()
    by_label = dict(zip(labels, plain, strict=True))
    name, confidence = labels[shown.label], plain[shown.label]
    return Prediction(Box(*map(float, box)), name, confidence, by_label, shown.is_unsure, person)


def shown_of(probabilities: np.ndarray, threshold: float) -> ShownLabel:
    """Returns what probabilities, float (labels,), say: the likeliest label, and whether it is below the threshold."""
    label = int(probabilities.argmax())
    return ShownLabel(label, is_unsure=not probabilities[label] >= threshold)


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
            old_share = 0.5 ** (max(0.0, seconds - self._at) / self._half_life)
            self._value = old_share * self._value + (1 - old_share) * new
        self._at = max(self._at, seconds)
        return self._value


class SteadyLabel:
    """What is shown follows what the probabilities say, but nothing is shown for less than 0.3 s.

    It changes once it has differed for 0.1 s without a break, to what is right then; and not before it has been shown
    for 0.3 s. So it lags by 0.3 s and a frame at most. Only what comes last, before the source ends, may be shown for
    less: that nobody can know.
    """

    def __init__(self) -> None:
        self._shown: ShownLabel | None = None
        self._shown_since = self._last = 0.0
        self._differs_since: float | None = None

    def update(self, right: ShownLabel, seconds: float) -> ShownLabel:
        """Returns what to show at this time, when the probabilities of now say `right`."""
        if right == self._shown:
            self._differs_since = None
        elif self._differs_since is None:
            self._differs_since = seconds
        if self._differs_since is not None:
            # Until the frame before, since that is the last one that showed it.
            could_be_read = self._last - self._shown_since >= SHORTEST_SECONDS
            if self._shown is None or (could_be_read and seconds - self._differs_since >= PATIENCE_SECONDS):
                self._shown, self._shown_since, self._differs_since = right, seconds, None
        self._last = seconds
        return self._shown


class SteadyBox:
    """A box that does not tremble while a face is still, and hardly lags when it moves.

    The One Euro filter (Casiez, Roussel and Vogel, CHI 2012): a low-pass whose cutoff grows with the speed. Speeds are
    in widths of the face, so that near and far faces are treated alike.
    """

    def __init__(self) -> None:
        self._at: float | None = None
        self._raw = self._steady = self._speed = np.zeros(4)

    def update(self, box: Box, seconds: float) -> Box:
        """Returns the steadied box, in pixels like `box`."""
        x, y, width, height = box
        raw = np.array([x + width / 2, y + height / 2, width, height])
        elapsed = 0.0 if self._at is None else seconds - self._at
        if self._at is None:
            self._raw = self._steady = raw
        elif elapsed > 0:
            of_speed = _low_pass(_SPEED_HERTZ, elapsed)
            # of_speed / elapsed stays finite however short the time was; a way divided by it does not.
            per_way = of_speed / elapsed / max(width, 1.0)
            self._speed = (1 - of_speed) * self._speed + per_way * (raw - self._raw)
            share = _low_pass(_STEADIEST_HERTZ + _HERTZ_PER_SPEED * np.abs(self._speed), elapsed)
            self._steady, self._raw = self._steady + share * (raw - self._steady), raw
        self._at = seconds
        centre_x, centre_y, width, height = self._steady.tolist()
        return Box(centre_x - width / 2, centre_y - height / 2, width, height)


def _low_pass(cutoff_hertz: float | np.ndarray, elapsed: float) -> float | np.ndarray:
    """Returns how much of a new value a first-order low-pass takes after `elapsed` seconds."""
    turn = 2 * math.pi * cutoff_hertz * elapsed
    return turn / (turn + 1)
