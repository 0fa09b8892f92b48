"""An annotated video: frames in, a file out that plays, at a constant rate and in the source's own time."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import FerError
from fer_core.live.frame import Shown, Sink
from fer_core.live.output import check_output, write_error
from fer_core.live.video import check_pyav, plausible_rate

with contextlib.suppress(ModuleNotFoundError):
    import av
    from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

VIDEO_SUFFIXES = (".mp4", ".mkv", ".avi", ".mov")
USUAL_RATE = 30.0
"""Frames a second where the source does not say: most cameras have it."""
LONGEST_HOLE_SECONDS = 10.0
"""A longer time without frames (a stream that was gone) is cut to this."""
_SMALLEST_SIDE, _LARGEST_SIDE = 16, 7680
_ENCODERS = {
    "libx264": {"preset": "superfast", "crf": "20"},
    "libopenh264": {},
    "mpeg4": {"q:v": "3"},
}
"""The best one that PyAV was built with is taken; its wheels have the first."""
_FRAGMENTS = {"movflags": "+empty_moov+default_base_moof+frag_keyframe", "frag_duration": "500000"}
"""MP4 and MOV grow in pieces of half a second which play by themselves, also where this process is killed."""
_SMPTE170M = 6
"""FFmpeg's number of the matrix that its converter knows as ITU-R 601."""
_PLAYERS = {
    ".mp4": "plays in browsers, on phones, in VLC, QuickTime and on Windows.",
    ".mov": "plays in QuickTime, Safari, VLC and on phones.",
    ".mkv": "plays in VLC, mpv, Chrome and on Windows, not in QuickTime and Safari.",
    ".avi": "plays in VLC, mpv and on Windows; browsers and QuickTime want .mp4.",
}
_PLAYERS_OF_MPEG4 = "plays in VLC, mpv and most programs, not in browsers: this PyAV was built without H.264."


class VideoOutput(Sink):
    """A video file of constant rate. `codec` is what it is encoded with, `players` says who plays it.

    A picture is shown at its own time: it is repeated where the next one is late, and left out where another one falls
    on the same frame, so that what is live plays no faster than it happened. Pictures of another size than the video
    are fitted into it, with black bars. The file appears with the first picture.
    """

    needs_picture = True

    def __init__(self, path: Path, size: tuple[int, int], rate: float | None, *, overwrite: bool = False):
        """Raises ConfigError if the file cannot be written, or is there, not empty and not to be overwritten.

        Args:
            path: .mp4, .mkv, .avi or .mov.
            size: (width, height) of the pictures in pixels; odd ones get one more row or column.
            rate: frames a second; None where nobody knows.
        """
        check_output(path, suffixes=VIDEO_SUFFIXES, overwrite=overwrite)
        check_pyav(str(path))
        self.path = path
        self._encoder = next(name for name in _ENCODERS if name in av.codecs_available)
        is_h264 = self._encoder != "mpeg4"
        self.codec = "H.264" if is_h264 else "MPEG-4 Part 2"
        self.players = _PLAYERS[path.suffix.lower()] if is_h264 else _PLAYERS_OF_MPEG4
        # Even, neither too small nor too large for an encoder, and nearest in its proportions.
        scale = min(1.0, _LARGEST_SIDE / max(size))
        self._size = tuple(max(_SMALLEST_SIDE, math.ceil(side * scale / 2 - 1e-6) * 2) for side in size)
        self._rate = plausible_rate(rate) or USUAL_RATE
        self._to_yuv = VideoReformatter()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._is_closed = False
        self._last: np.ndarray | None = None
        self._frames = 0
        self._zero = self._last_seconds = 0.0

    def write(self, shown: Shown) -> None:
        """Writes the annotated picture at its time; does nothing after `close` and after an error.

        Raises:
            DiskFullError: what was written before plays.
            SourceError: the encoder ended.
        """
        if self._is_closed or (due := self._due(shown.frame.seconds)) < self._frames:
            return
        for _ in range(self._frames, due):
            self._encode(self._last)
        self._last = fitted(shown.picture_bgr, self._size)
        self._encode(self._last)

    def close(self) -> None:
        """Finishes the file, so that it plays; without a picture there is none. May be called again.

        Raises DiskFullError, SourceError.
        """
        self._is_closed = True
        container, self._container = self._container, None
        if container is None:
            return
        with self._errors_named():
            try:
                if self._stream is not None:
                    container.mux(self._stream.encode(None))
            finally:
                container.close()

    def _due(self, seconds: float) -> int:
        """Returns the number of the frame on which a picture of this time falls."""
        if self._frames == 0:
            self._zero = seconds
        elif seconds < self._last_seconds:
            self._zero -= self._last_seconds - seconds
        self._last_seconds = seconds
        hole = seconds - self._zero - self._frames / self._rate
        self._zero += max(0.0, hole - LONGEST_HOLE_SECONDS)
        return math.floor((seconds - self._zero) * self._rate + 0.5)

    def _encode(self, picture_bgr: np.ndarray) -> None:
        try:
            with self._errors_named():
                if self._container is None:
                    self._open()
                frame = av.VideoFrame.from_ndarray(picture_bgr, format="bgr24")
                frame = self._to_yuv.reformat(frame, format="yuv420p", dst_colorspace=Colorspace.ITU601)
                frame.pts, frame.time_base = self._frames, 1 / self._stream.codec_context.framerate
                self._container.mux(self._stream.encode(frame))
        except FerError:
            with contextlib.suppress(FerError):
                self.close()
            raise
        self._frames += 1

    def _open(self) -> None:
        suffix = self.path.suffix.lower()
        fragments = _FRAGMENTS if suffix in (".mp4", ".mov") else {}
        self._container = av.open(str(self.path.absolute()), "w", options={"flush_packets": "1", **fragments})
        options = _ENCODERS[self._encoder] | {"g": str(max(1, round(2 * self._rate)))}
        options |= {"bf": "0"} if suffix == ".avi" else {}
        rate = Fraction(self._rate).limit_denominator(1001)
        self._stream = self._container.add_stream(self._encoder, rate=rate, options=options)
        codec = self._stream.codec_context
        (codec.width, codec.height), codec.pix_fmt = self._size, "yuv420p"
        # Untagged, players guess by the size of the picture how colours become brightness and two differences.
        codec.colorspace, codec.color_range = _SMPTE170M, ColorRange.MPEG
        codec.color_primaries, codec.color_trc = ColorPrimaries.SMPTE170M, ColorTrc.SMPTE170M

    @contextlib.contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except av.error.FFmpegError as error:
            raise write_error(self.path, error.errno, error.strerror) from None


def fitted(picture_bgr: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns a picture in a frame of another size, as large as it fits and in its own proportions; the rest is black.

    A picture that is one row or column short of it gets its last one twice.
    """
    width, height = size
    rows, columns = picture_bgr.shape[:2]
    if 0 <= height - rows <= 1 and 0 <= width - columns <= 1:
        return cv2.copyMakeBorder(picture_bgr, 0, height - rows, 0, width - columns, cv2.BORDER_REPLICATE)
    scale = min(width / columns, height / rows)
    inner = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    small = cv2.resize(picture_bgr, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    right, bottom = width - inner[0] - left, height - inner[1] - top
    return cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT)
