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
        radius = round(WIDER * max(box.width, box.height) / 2)
        across, down = round(box.x + box.width / 2), round(box.y + box.height / 2)
        left, top = max(0, across - radius), max(0, down - radius)
        face = covered[top : min(height, down + radius), left : min(width, across + radius)]
        if not face.size:
            continue
        circle = np.zeros(face.shape[:2], np.uint8)
        cv2.circle(circle, (across - left, down - top), radius, 255, cv2.FILLED)
        np.copyto(face, _cover(face, how), where=(circle > 0).reshape(*circle.shape, *[1] * (face.ndim - 2)))
    return covered


def _cover(face: np.ndarray, how: Anonymize) -> np.ndarray:
    if how == "mask":
        return np.full_like(face, _MASK_BGR if face.ndim == 3 else _MASK_BGR[0])
    height, width = face.shape[:2]
    small = cv2.resize(face, (CELLS, max(1, round(CELLS * height / width))), interpolation=cv2.INTER_AREA)
    smoothly = cv2.INTER_CUBIC if how == "blur" else cv2.INTER_NEAREST
    return cv2.resize(small, (width, height), interpolation=smoothly)
