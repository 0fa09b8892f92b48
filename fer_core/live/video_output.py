"""An annotated video: frames in, a file out that plays, at a constant rate and in the source's own time."""

import contextlib
import math
import shutil
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import FerError
from fer_core.live.encoders import (
    H264,
    MPEG4,
    Encoder,
    FfmpegEncoder,
    OpenCVEncoder,
    VideoShape,
    has_h264,
    opencv_has_h264,
)
from fer_core.live.output_path import check_output
from fer_core.live.video_capture import plausible_rate

SUFFIXES = (".mp4", ".mkv", ".avi", ".mov")

USUAL_RATE = 30.0
"""Frames a second where the source does not tell: most cameras have it."""

LONGEST_HOLE_SECONDS = 10.0
"""A longer time without frames (a stream that was gone) is cut to this."""

_SMALLEST_SIDE, _LARGEST_SIDE = 16, 7680

_PLAYERS = {
    (H264, ".mp4"): "plays in browsers, on phones, in VLC, QuickTime and on Windows.",
    (H264, ".mov"): "plays in QuickTime, Safari, VLC and on phones.",
    (H264, ".mkv"): "plays in VLC, mpv, Chrome and on Windows, not in QuickTime and Safari.",
    (H264, ".avi"): "plays in VLC, mpv and on Windows; browsers and QuickTime want .mp4.",
}
_PLAYERS_OF_MPEG4 = "plays in VLC, mpv and most programs, not in browsers; with ffmpeg installed it becomes H.264."


class VideoOutput:
    """A video file of constant rate. `codec` is what it is encoded with, `players` says who plays it.

    A picture is shown at its own time: it is repeated where the next one is late, and left out where another one falls
    on the same frame, so that what is live plays no faster than it happened. Pictures of another size than the video
    are fitted into it, with black bars. The file appears with the first picture.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: float | None,
        *,
        overwrite: bool = False,
        ffmpeg: str | None = "ffmpeg",
    ):
        """Raises ConfigError if the file cannot be written, or is there, not empty and not to be overwritten.

        Args:
            path: .mp4, .mkv, .avi or .mov.
            size: (width, height) of the pictures in pixels; odd ones get one more row or column.
            rate: frames a second; None where nobody knows.
            ffmpeg: the program, or None to do without it.
        """
        check_output(path, suffixes=SUFFIXES, overwrite=overwrite)
        self.path = path
        self._program = shutil.which(ffmpeg) if ffmpeg else None
        if self._program and not has_h264(self._program):
            self._program = None
        suffix = path.suffix.lower()
        self.codec = H264 if self._program or opencv_has_h264(suffix) else MPEG4
        self.players = _PLAYERS[H264, suffix] if self.codec == H264 else _PLAYERS_OF_MPEG4
        self._shape = VideoShape(_encodable(size), plausible_rate(rate) or USUAL_RATE)
        self._encoder: Encoder | None = None
        self._is_closed = False
        self._last: np.ndarray | None = None
        self._frames = 0
        self._zero = self._last_seconds = 0.0

    def write(self, picture_bgr: np.ndarray, seconds: float | None = None) -> None:
        """Writes a picture; does nothing after `close` and after an error.

        Args:
            picture_bgr: uint8 (height, width, 3).
            seconds: when it is shown, by any clock that does not run backward; None: right after the one before it.

        Raises:
            DiskFullError: what was written before plays.
            SourceError: the encoder ended.
        """
        if self._is_closed:
            return
        due = self._frames if seconds is None else self._due(seconds)
        if due < self._frames:
            return
        for _ in range(self._frames, due):
            self._encode(self._last)
        self._last = fitted(picture_bgr, self._shape.size)
        self._encode(self._last)

    def close(self) -> None:
        """Finishes the file, so that it plays; without a picture there is none. May be called again.

        Raises DiskFullError, SourceError.
        """
        self._is_closed = True
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            encoder.close()

    def _due(self, seconds: float) -> int:
        """Returns the number of the frame on which a picture of this time falls."""
        if self._frames == 0:
            self._zero = seconds
        elif seconds < self._last_seconds:
            self._zero -= self._last_seconds - seconds
        self._last_seconds = seconds
        hole = seconds - self._zero - self._frames / self._shape.rate
        self._zero += max(0.0, hole - LONGEST_HOLE_SECONDS)
        return math.floor((seconds - self._zero) * self._shape.rate + 0.5)

    def _encode(self, picture_bgr: np.ndarray) -> None:
        try:
            if self._encoder is None:
                self._encoder = self._make_encoder()
            self._encoder.write(picture_bgr)
        except FerError:
            with contextlib.suppress(FerError):
                self.close()
            raise
        self._frames += 1

    def _make_encoder(self) -> Encoder:
        if self._program:
            return FfmpegEncoder(self.path, self._shape, self._program)
        return OpenCVEncoder(self.path, self._shape, self.codec)


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
    frame_bgr = np.zeros((height, width, 3), np.uint8)
    left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    frame_bgr[top : top + inner[1], left : left + inner[0]] = cv2.resize(picture_bgr, inner, interpolation=how)
    return frame_bgr


def _encodable(size: tuple[int, int]) -> tuple[int, int]:
    """Returns the even size, neither too small nor too large for an encoder, that is nearest in its proportions."""
    scale = min(1.0, _LARGEST_SIDE / max(size))
    width, height = (max(_SMALLEST_SIDE, math.ceil(side * scale / 2 - 1e-6) * 2) for side in size)
    return width, height
