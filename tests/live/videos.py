"""What is in a video that was written."""

from pathlib import Path

import cv2


def frames_in(path: Path) -> int:
    """Returns how many frames can be read."""
    capture = cv2.VideoCapture(str(path))
    count = 0
    while capture.read()[0]:
        count += 1
    return count
