"""`Reading`: what was read in one face."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fer_core.faces.face import Box

UNSURE_BELOW = 0.4
"""With the shipped model, 11 % of the 3,589 images of PublicTest are below it; 36 % of those are right, and 74 % of the
others."""


class Shown(NamedTuple):
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
        """Returns the reading as plain values for JSON; the box as x, y, width, height in tenths of a pixel."""
        return {
            "person": self.person,
            "box": {name: round(float(value), 1) for name, value in self.box._asdict().items()},
            "label": self.label,
            "confidence": round(self.confidence, 4),
            "unsure": self.unsure,
            "probabilities": {label: round(share, 4) for label, share in self.probabilities.items()},
        }


def make_prediction(
    box: Box, shares: np.ndarray, shown: Shown, *, labels: Sequence[str], person: int | None = None
) -> Prediction:
    """Returns the reading of one face from its calibrated probabilities, float (labels,), and what is shown of them."""
    plain = shares.tolist()
    return Prediction(
        box=Box(*map(float, box)),
        label=labels[shown.label],
        confidence=plain[shown.label],
        probabilities=dict(zip(labels, plain, strict=True)),
        unsure=shown.is_unsure,
        person=person,
    )


def shown_of(shares: np.ndarray, threshold: float) -> Shown:
    """Returns what probabilities, float (labels,), say: the likeliest label, and whether it is below the threshold."""
    label = int(shares.argmax())
    return Shown(label, is_unsure=not shares[label] >= threshold)
