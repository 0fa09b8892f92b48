"""When each frame of a video is shown, and which place it has: by the container's time stamps.

Not by number / rate: phones and screen recorders write videos whose rate varies, and headers are wrong by a few percent
where an edit cut frames off.
"""

import heapq
import math
from typing import NamedTuple

import cv2
import numpy as np

from fer_core.live.video_capture import ASSUMED_RATE, plausible_rate, silence_video_libraries

_PACKETS, _PACKETS_IN_ORDER = 48, 32
_MOST_REORDERED = 32
"""Packets come in decoding order; H.264 and its like put no frame off by more than 16."""
_JITTER_SECONDS = 0.0025
"""Matroska rounds time stamps to milliseconds."""

_HEADER_IS_EXACT = 0.005


class Place(NamedTuple):
    """Where a frame stands; `missing` are the frames before it that are damaged or not there."""

    number: int
    seconds: float
    missing: int


class FrameTimes:
    """Places the frames of one video, one after another.

    Time stamps that do not rise are no time stamps; there the rate tells. Missing are frames that the file has and
    that could not be decoded: holes in the time stamps with packets in them. A hole alone may be meant, and packets of
    some containers have other stamps than their frames.
    """

    def __init__(self, rate: float | None, packets: "Packets | None" = None):
        """`packets`: of the same file, where it can be read twice; without them only `passed_over` counts."""
        self._step = 1 / (rate or ASSUMED_RATE)
        self._packets = packets
        self._zero = 0.0
        self._last: Place | None = None

    def place(self, stamp_seconds: float, passed_over: int) -> Place:
        """Returns the place of the next frame, before which `passed_over` frames could not be decoded."""
        packets = self._packets.until(stamp_seconds) if self._packets else 0
        if self._last is None:
            self._zero = stamp_seconds if math.isfinite(stamp_seconds) else 0.0
            self._last = Place(passed_over, 0.0, passed_over)
            return self._last
        missing, step = passed_over, stamp_seconds - self._zero - self._last.seconds
        if not (math.isfinite(step) and step > 0):
            step = self._step * (1 + passed_over)
        else:
            hole = round(step / self._step) - 1
            missing = max(passed_over, min(hole, packets - 1))
        self._last = Place(self._last.number + 1 + missing, self._last.seconds + step, missing)
        return self._last

    def close(self) -> None:
        """Closes the file of the packets."""
        if self._packets:
            self._packets.close()


class Packets:
    """The time stamps of a file's packets, each of which is one frame: read beside the frames, decoding nothing."""

    def __init__(self, path: str):
        self._capture = _packets_of(path)
        self._ahead: list[float] = []
        self._is_open = True

    def until(self, stamp_seconds: float) -> int:
        """Returns how many packets come up to this time that were not counted before."""
        count = 0
        while self._read_ahead() and self._ahead[0] <= stamp_seconds:
            heapq.heappop(self._ahead)
            count += 1
        return count

    def close(self) -> None:
        """Closes the file."""
        self._is_open = False
        self._capture.release()

    def _read_ahead(self) -> bool:
        while self._is_open and len(self._ahead) < _MOST_REORDERED:
            if self._capture.grab():
                heapq.heappush(self._ahead, self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
            else:
                self.close()
        return bool(self._ahead)


def measure_rate(path: str, stated: float | None) -> float | None:
    """Returns the frames a second of a video file, from its first time stamps.

    `stated` is what the header says, kept where the time stamps agree; where they vary, the faster of the two, so that
    a video of that rate has room for every frame. Takes some milliseconds: the packets are read, not decoded.
    """
    stamps = _first_stamps(path)
    steps = np.diff(stamps)
    if len(steps) < 3:
        return stated
    measured = plausible_rate(round(len(steps) / (stamps[-1] - stamps[0]), 6))
    if steps.max() - steps.min() > _JITTER_SECONDS:
        return max(stated or 0.0, measured or 0.0) or None
    agrees = stated and measured and abs(measured / stated - 1) < _HEADER_IS_EXACT
    return stated if agrees else measured


def _first_stamps(path: str) -> np.ndarray:
    """Returns rising time stamps in seconds. Packets come in decoding order: those at the end may lack neighbours."""
    packets = _packets_of(path)
    stamps = []
    while len(stamps) < _PACKETS and packets.grab():
        stamps.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    packets.release()
    return np.unique(stamps)[: _PACKETS_IN_ORDER if len(stamps) == _PACKETS else None]


def _packets_of(path: str) -> cv2.VideoCapture:
    silence_video_libraries()
    return cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
