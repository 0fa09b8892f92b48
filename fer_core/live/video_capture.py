"""A camera, stream or video file as OpenCV reads it: picture after picture, damaged ones passed over.

Knows nothing of threads and of trying again.
"""

import math
import os
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from fer_core.data.face_picture import MAX_PIXELS
from fer_core.errors import SourceError

ASSUMED_RATE = 25.0
"""Frames a second where nothing tells."""

_SLOWEST, _FASTEST = 0.1, 480.0
_DAMAGED_IN_A_ROW = 100
_PATIENCE_SECONDS = 1.0


class VideoCapture:
    """An opened cv2.VideoCapture. `passed_over` counts the damaged pictures before the one that was read last."""

    def __init__(self, capture: cv2.VideoCapture, *, clock: Callable[[], float] = time.monotonic):
        self._capture = capture
        self._clock = clock
        self.passed_over = 0

    @property
    def rate(self) -> float | None:
        """The frames a second that the header states; None where they cannot be meant (0, 1000, not a number)."""
        return plausible_rate(self._capture.get(cv2.CAP_PROP_FPS))

    @property
    def frame_count(self) -> int:
        """The frames that the header promises; 0 where it does not tell, as in a live stream."""
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if math.isfinite(count) and 0 < count < 2**53 else 0

    @property
    def codec(self) -> str:
        """The four letters that name how the pictures are encoded."""
        return int(self._capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=True).decode("latin-1")

    @property
    def stamp_seconds(self) -> float:
        """The container's time stamp of the picture read last; 0.0 where it has none."""
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def read(self) -> np.ndarray | None:
        """Returns the next picture that can be decoded, uint8 BGR (height, width, 3); None at the end.

        OpenCV answers "no" at the end and at a damaged frame alike; only asking again tells them apart. Not for long:
        a stream that hangs would be waited for each time.
        """
        began = self._clock()
        for self.passed_over in range(_DAMAGED_IN_A_ROW):
            picture_bgr = self._one_picture()
            if picture_bgr is not None:
                return picture_bgr
            if self._clock() - began > _PATIENCE_SECONDS:
                break
        return None

    def release(self) -> None:
        """Closes the file, connection or device."""
        self._capture.release()

    def _one_picture(self) -> np.ndarray | None:
        try:
            is_read, picture_bgr = self._capture.read()
        except cv2.error:
            return None
        return picture_bgr if is_read else None


def open_capture(source: str | int, backend: int, options: Sequence[int] = (), *, title: str) -> VideoCapture | None:
    """Returns an opened capture, or None. Raises SourceError for frames of more than `MAX_PIXELS`."""
    silence_video_libraries()
    capture = cv2.VideoCapture(source, backend, list(options))
    if not capture.isOpened():
        return None
    width, height = (int(capture.get(size)) for size in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    if width * height > MAX_PIXELS:
        capture.release()
        raise SourceError(
            f"{title} has frames of {width} x {height} pixels, more than {MAX_PIXELS // 1_000_000} megapixels.",
            hint="Make it smaller: ffmpeg -i INPUT -vf scale=1280:-2 smaller.mp4",
        )
    return VideoCapture(capture)


def plausible_rate(rate: float | None) -> float | None:
    """Returns the rate if a video can have it, else None."""
    return rate if rate and math.isfinite(rate) and _SLOWEST <= rate <= _FASTEST else None


def silence_video_libraries() -> None:
    """Keeps FFmpeg's and OpenCV's remarks out of the terminal, unless the environment asks for them.

    OpenCV reads the level of its FFmpeg from the environment, once, when it first opens a video; there is no other way
    to set it.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
