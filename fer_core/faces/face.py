"""What a detector finds and what it is made of: the words of this room. Finds nothing itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fer_core.paths import Paths

MIN_FACE_PIXELS = 40
"""Smaller faces are not looked for: enlarged to the 48 pixels that FER-2013 has, they show less than it does."""


class Box(NamedTuple):
    """A rectangle in pixels of the frame, from its left upper corner; may reach outside the frame."""

    x: float
    y: float
    width: float
    height: float


class Face(NamedTuple):
    """One face found. `score` is 0..1, and 1.0 where the detector gives none."""

    box: Box
    score: float


@dataclass(frozen=True)
class DetectorOptions:
    """What every detector's `make` is given; each takes what it has a use for.

    `model_file` as the user gave it; `width` of the picture that the detection runs on (its longer side, None: the
    detector's own default); `min_face_pixels` of the frame; `may_download` a missing model file.
    """

    paths: Paths
    model_file: Path | None = None
    width: int | None = None
    min_face_pixels: int = MIN_FACE_PIXELS
    may_download: bool = False
