"""Covers faces in pictures that are shown or saved. What the detector does not find stays visible."""

from collections.abc import Iterable
from typing import Literal

import cv2
import numpy as np

from fer_core.faces import Box

Anonymize = Literal["none", "blur", "pixelate", "mask"]
WIDER = 1.5
"""The detectors' boxes end at brows and chin; so much larger they cover hair and ears."""
CELLS = 6
"""Of what is left of a face across its width: too few to tell a person."""
_MASK_BGR = (110, 110, 110)


def anonymized(picture_bgr: np.ndarray, boxes: Iterable[Box], how: Anonymize) -> np.ndarray:
    """Returns a copy of a picture, uint8 (height, width) or (height, width, 3), with the faces in the boxes covered."""
    covered = picture_bgr.copy()
    height, width = covered.shape[:2]
    for box in boxes:
        grown = WIDER * max(box.width, box.height)
        left, top = round(box.x + (box.width - grown) / 2), round(box.y + (box.height - grown) / 2)
        right, bottom = min(width, left + round(grown)), min(height, top + round(grown))
        left, top = max(0, left), max(0, top)
        if left >= right or top >= bottom:
            continue
        face = covered[top:bottom, left:right]
        ellipse = np.zeros(face.shape[:2], np.uint8)
        middle, radii = ((right - left) // 2, (bottom - top) // 2), ((right - left + 1) // 2, (bottom - top + 1) // 2)
        cv2.ellipse(ellipse, middle, radii, 0, 0, 360, 255, cv2.FILLED)
        np.copyto(face, _cover(face, how), where=ellipse.astype(bool)[..., None] if face.ndim == 3 else ellipse > 0)
    return covered


def _cover(face: np.ndarray, how: Anonymize) -> np.ndarray:
    if how == "mask":
        return np.full_like(face, _MASK_BGR if face.ndim == 3 else _MASK_BGR[0])
    height, width = face.shape[:2]
    small = cv2.resize(face, (CELLS, max(1, round(CELLS * height / width))), interpolation=cv2.INTER_AREA)
    smoothly = cv2.INTER_CUBIC if how == "blur" else cv2.INTER_NEAREST
    return cv2.resize(small, (width, height), interpolation=smoothly)
