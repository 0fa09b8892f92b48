"""Video files and network streams, read by PyAV: picture after picture, each with its time and turned upright.

Knows nothing of threads and of trying again.
"""

import heapq
import math
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from fer_core.data.face_picture import MAX_PIXELS
from fer_core.errors import SourceError
from fer_core.live.frame import Frame
from fer_core.live.frame_sources import MOST_NOTED, EveryFrame
from fer_core.store.clock import Clock

ELSEWHERE = "See whether another program plays it. If one does, convert it with that; if none does, record it again."

_ASSUMED_RATE = 25.0
"""Frames a second where nothing tells."""
_SLOWEST, _FASTEST = 0.1, 480.0
_FRAMES_TOO_FEW, _SHARE_TOO_FEW = 5, 0.05
"""Headers promise a few frames more than there are; only beyond this is a video called cut short."""
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class VideoReader:
    """The pictures of an opened video. `passed_over` counts those before the one read last that could not be decoded.

    Missing is what the video has a packet for: a packet whose time stamp no decoded frame has. A hole in the time
    stamps alone may be meant. Frames that the decoder itself calls corrupt are missing too.
    """

    def __init__(self, container: av.container.InputContainer, *, title: str, is_live: bool = False):
        """Raises SourceError for what has no pictures, or frames of more than `MAX_PIXELS`; closes it then.

        `is_live`: with one decoding thread, since each further one holds one more frame back.
        """
        self._container = container
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            container.close()
            raise SourceError(f"{title} has no pictures that can be read.", hint=ELSEWHERE)
        self._stream, codec = stream, stream.codec_context
        if codec.width * codec.height > MAX_PIXELS:
            container.close()
            raise SourceError(
                f"{title} has frames of {codec.width} x {codec.height} pixels, more than "
                f"{MAX_PIXELS // 1_000_000} megapixels.",
                hint="Make it smaller: ffmpeg -i INPUT -vf scale=1280:-2 smaller.mp4",
            )
        codec.options = {"max_pixels": str(MAX_PIXELS)}
        codec.thread_type, codec.thread_count = ("SLICE", 1) if is_live else ("AUTO", 0)
        self._to_bgr = VideoReformatter()
        self._packets: list[int] = []
        self._all_packets = self._failures = 0
        self._frames = self._decoded()
        self.passed_over = 0
        self.stamp_seconds: float | None = None

    @property
    def rate(self) -> float | None:
        """Frames a second; None where nothing tells, or nothing that can be meant (0, 1000, not a number)."""
        return plausible_rate(self._stream.guessed_rate) or plausible_rate(self._stream.average_rate)

    @property
    def promised_frames(self) -> int:
        """The frames that the header counts; 0 where it does not tell, as in a live stream."""
        return self._stream.frames

    @property
    def missing_at_end(self) -> int:
        """After the last picture: how many frames should have followed."""
        promised = self.promised_frames - self._all_packets
        is_cut_short = promised > max(_FRAMES_TOO_FEW, _SHARE_TOO_FEW * self.promised_frames)
        return len(self._packets) + (promised if is_cut_short else 0)

    def read(self) -> np.ndarray | None:
        """Returns the next picture that can be decoded, uint8 BGR (height, width, 3), upright; None at the end."""
        for frame in self._frames:
            if frame.is_corrupt:
                continue
            self.passed_over, self.stamp_seconds = self._missing_before(frame), frame.time
            return self._picture(frame)
        return None

    def release(self) -> None:
        """Closes the file or connection."""
        self._container.close()

    def _decoded(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._container.demux(self._stream):
                self._all_packets += bool(packet.size)
                if packet.size and packet.pts is not None and not packet.is_discard:
                    heapq.heappush(self._packets, packet.pts)
                try:
                    yield from packet.decode()
                except av.error.InvalidDataError:
                    self._failures += 1
        except av.error.FFmpegError:  # the file is cut off, the stream broke off or hangs
            return

    def _missing_before(self, frame: av.VideoFrame) -> int:
        """Returns how many packets before it gave no frame; where its own packet is not known, how many failed."""
        failures, self._failures = self._failures, 0
        if frame.pts is None:
            return failures
        missing = 0
        while self._packets and self._packets[0] < frame.pts:
            heapq.heappop(self._packets)
            missing += 1
        if not self._packets or self._packets[0] != frame.pts:
            return failures
        heapq.heappop(self._packets)
        return missing

    def _picture(self, frame: av.VideoFrame) -> np.ndarray:
        picture_bgr = self._to_bgr.reformat(frame, format="bgr24").to_ndarray()
        turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
        return picture_bgr if turn is None else cv2.rotate(picture_bgr, turn)


def every_frame(reader: VideoReader, title: str, *, clock: Callable[[], float], now: Clock) -> EveryFrame:
    """Returns a video with an end as a source. Raises SourceError if it has no frame that can be read."""
    skipped: list[str] = []
    frames = _frames(reader, skipped, clock=clock, now=now)
    first = next(frames, None)
    if first is None:
        raise SourceError(f"{title} has no frame that can be read: it is cut short or damaged.", hint=ELSEWHERE)
    return EveryFrame(title, first, frames, rate=reader.rate, skipped=skipped)


def plausible_rate(rate: Fraction | float | None) -> float | None:
    """Returns the rate if a video can have it, else None."""
    return float(rate) if rate and math.isfinite(rate) and _SLOWEST <= rate <= _FASTEST else None


def _frames(
    reader: VideoReader, skipped: list[str], *, clock: Callable[[], float], now: Clock
) -> Generator[Frame, None, None]:
    """Yields every frame at its time: by the time stamps, by the rate where they do not rise."""
    step, zero, number, seconds = 1 / (reader.rate or _ASSUMED_RATE), 0.0, -1, 0.0
    try:
        while (picture_bgr := reader.read()) is not None:
            missing, stamp = reader.passed_over, reader.stamp_seconds
            if number < 0:
                zero = stamp or 0.0
            elif stamp is not None and stamp - zero > seconds:
                seconds = stamp - zero
            else:
                seconds += step * (1 + missing)
            number += 1 + missing
            if missing:
                _note(skipped, number - missing, number - 1, f"({seconds:.2f} s): damaged or missing")
            yield Frame(picture_bgr, number, seconds, now(), clock())
        if number >= 0 and reader.missing_at_end:
            _note(skipped, number + 1, number + reader.missing_at_end, "at the end: damaged, or the video is cut short")
    finally:
        reader.release()


def _note(skipped: list[str], first: int, last: int, what: str) -> None:
    if len(skipped) < MOST_NOTED:
        skipped.append(f"{f'frame {first}' if first == last else f'frames {first} to {last}'} {what}")
