"""How far a face is turned in its picture, by its eyes. Training and live reading undo it in the same way."""

import cv2
import numpy as np

from fer_core.faces import Detector, Face
from fer_core.faces.framing import Framing, crop_face

_LOOKS = 2
"""YuNet puts the eyes nearer to a level line than they are: of images of FER-2013 turned by 30 degrees, the middle
error is 11 degrees after one look and 4 after a second one at the face turned back; by 15 degrees, 4 and 1."""
_SIDE = 224
"""Of the picture of the face alone that is looked at. In smaller ones the eyes hardly follow the turn: of a face that
is 90 pixels wide, turned by 30 degrees, 3 are seen."""
_AROUND = Framing(scale=1.1)


def aligned(face: Face, frame_gray: np.ndarray, detector: Detector) -> Face:
    """Returns the face with a `roll` that is measured nearby; as it is where the detector finds no eyes.

    Args:
        face: as the detector found it.
        frame_gray: uint8 (height, width), in which it was found.
    """
    if face.roll is None:
        return face
    roll = 0.0
    for _ in range(_LOOKS):
        around = crop_face(frame_gray, face.box, framing=_AROUND, roll=roll)
        shrinks = len(around) > _SIDE
        near = cv2.resize(around, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        found = detector.find(near)
        if not found:
            break
        roll += found[0].roll
    return face._replace(roll=roll)
