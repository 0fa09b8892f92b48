"""The detector `haar`: the cascade of Viola and Jones (CVPR 2001) that ships with OpenCV 4. Needs no file of ours.

The grey values are not equalised first: of 2,650 training images of FER-2013, enlarged onto a picture without faces,
75.1 % were found again as they are and 72.7 % equalised.
"""

from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import ArtifactError
from fer_core.faces import MIN_FACE_PIXELS, Face
from fer_core.faces.framing import Framing, largest_first, shrunk, without_doubles

FRAMING = Framing(scale=1.032, right=0.0, down=0.006)
"""Medians over 3,436 training images of FER-2013, of which 76.3 % were found again; the middle half of the scales
spreads over 14 % (python benchmarks/framing.py relation)."""
WIDTH = 320
"""At 640 x 480 it finds faces from 48 pixels on, FER-2013's own size. Of the training images 480 and 640 found no more
and framed them no better, for one and a half times and twice the time; 240 takes two thirds of it and frames them as
well, but sees no face below 64 pixels (the same benchmark: choice, speed)."""
_CASCADE = "haarcascade_frontalface_default.xml"
_SMALLEST = 24
"""Side of the cascade's window: it cannot find smaller faces."""
_SCALE_STEP = 1.1
"""1.2 would take two thirds of the time, and lose a further point of accuracy and a tenth of the faces."""
_NEIGHBOURS = 5


def make(*, width: int | None, **_: object) -> "HaarDetector":
    """Returns the detector; it needs no file. Raises ArtifactError where OpenCV came without its cascades."""
    return HaarDetector(width or WIDTH)


class HaarDetector:
    """Finds upright frontal faces in gray pictures. For one thread at a time."""

    name = "haar"
    framing = FRAMING

    def __init__(self, width: int):
        self._width, self._cascade = width, _cascade()

    def find(self, frame_bgr: np.ndarray) -> list[Face]:
        """Returns the faces, largest first, all with the score 1.0.

        Args:
            frame_bgr: uint8, BGR (height, width, 3) or gray (height, width).
        """
        if frame_bgr.size == 0:
            return []
        small = shrunk(frame_bgr, self._width)
        picture = small.picture
        gray = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
        smallest = max(_SMALLEST, round(MIN_FACE_PIXELS / small.across))
        boxes = self._cascade.detectMultiScale(gray, _SCALE_STEP, _NEIGHBOURS, minSize=(smallest, smallest))
        faces = (Face(small.in_frame(*map(float, box)), 1.0) for box in boxes)
        return without_doubles(largest_first(faces))


def _cascade() -> cv2.CascadeClassifier:
    try:
        cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades, _CASCADE)))
        if not cascade.empty():
            return cascade
    except (AttributeError, cv2.error, SystemError):
        pass
    raise ArtifactError(
        f"OpenCV {cv2.__version__} came without {_CASCADE}.", hint='pip install "opencv-python>=4.12,<5"'
    )
