"""What turns pictures into a video file: the program ffmpeg where it has an H.264 encoder, else OpenCV.

An encoder takes pictures of one even size, one a frame. When which picture is due is not decided here.
"""

import contextlib
import shutil
import subprocess
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from fer_core.errors import FerError, SourceError
from fer_core.live.output_path import disk_full
from fer_core.live.video_capture import silence_video_libraries

H264, MPEG4 = "H.264", "MPEG-4 Part 2"

_FRAGMENTS = ("-movflags", "+frag_keyframe+empty_moov+default_base_moof")
_CONTAINER_OPTIONS = {".mp4": _FRAGMENTS, ".mov": _FRAGMENTS, ".avi": ("-bf", "0")}

_END_SECONDS = 60.0
_LAST_WORDS_SECONDS = 5.0
_CHECK_ROOM_EVERY = 30
_ROOM_BYTES = 16 * 2**20
_OPENCV_CODES = {H264: "avc1", MPEG4: "mp4v"}
_MPEG4_CODE_IN_AVI = "XVID"

_MATRIX = "smpte170m"
"""How colours become brightness and two differences. Untagged, players guess it by the size of the picture."""


class Encoder(Protocol):
    """Takes pictures, uint8 BGR of the size that it was made for, and makes a file that plays."""

    def write(self, picture_bgr: np.ndarray) -> None:
        """Encodes one frame. Raises DiskFullError, SourceError."""

    def close(self) -> None:
        """Finishes the file. Raises DiskFullError, SourceError."""


class VideoShape(NamedTuple):
    """What an encoder is made for: (width, height), both even, and frames a second."""

    size: tuple[int, int]
    rate: float


class FfmpegEncoder:
    """H.264 by the program ffmpeg, which gets the pictures through a pipe.

    The file grows in fragments that play by themselves, and a closed pipe ends it properly: also where this process, or
    both, are killed, what was written plays. Ctrl-C in the terminal reaches only this process: ffmpeg is in a session
    of its own.
    """

    codec = H264

    def __init__(self, path: Path, shape: VideoShape, program: str):
        self._path = path
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads would fill and block ffmpeg
        self._is_torn = False
        self._child = subprocess.Popen(
            _ffmpeg_command(path, shape, program),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._messages,
            bufsize=0,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    def write(self, picture_bgr: np.ndarray) -> None:
        """Encodes one frame. Raises DiskFullError, SourceError."""
        if self._is_torn:
            return
        # Half a picture would shift all that follow; whatever interrupts this write ends the video.
        self._is_torn = True
        data = memoryview(np.ascontiguousarray(picture_bgr)).cast("B")
        try:
            while data:
                data = data[self._child.stdin.write(data) :]
        except OSError:
            raise self._failed() from None
        self._is_torn = False

    def close(self) -> None:
        """Finishes the file. Raises DiskFullError, SourceError."""
        try:
            self._child.stdin.close()
            code = self._child.wait(_END_SECONDS)
        except OSError:
            code = self._child.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        if code:
            raise self._failed()
        self._messages.close()

    def _failed(self) -> FerError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(_LAST_WORDS_SECONDS)
        self._child.kill()
        self._child.wait()
        self._messages.seek(0)
        told = self._messages.read().decode(errors="replace").strip()
        if "No space left" in told or "File too large" in told or "Disk quota" in told:
            return disk_full(self._path)
        last = told.splitlines()[-1] if told else f"exit code {self._child.returncode}"
        return SourceError(
            f"{self._path} cannot be written any more: ffmpeg ended ({last}).",
            hint="What was written before it plays. Is its disk still there?",
        )


class OpenCVEncoder:
    """H.264 or MPEG-4 by OpenCV's own encoders, which tell nothing: room on the disk is looked after here."""

    def __init__(self, path: Path, shape: VideoShape, codec: str):
        """Raises SourceError if the encoder does not open, DiskFullError if there is no room."""
        silence_video_libraries()
        self.codec = codec
        self._path = path
        self._frames = 0
        self._check_room()
        code = cv2.VideoWriter.fourcc(*_code(codec, path))
        self._writer = cv2.VideoWriter(str(path.absolute()), cv2.CAP_ANY, code, shape.rate, shape.size)
        if not self._writer.isOpened():
            raise SourceError(f"{path} cannot be encoded: OpenCV has no encoder for {codec}.", hint="Install ffmpeg.")

    def write(self, picture_bgr: np.ndarray) -> None:
        """Encodes one frame. Raises DiskFullError while there is still room to finish the file."""
        self._frames += 1
        if self._frames % _CHECK_ROOM_EVERY == 0:
            self._check_room()
        self._writer.write(picture_bgr)

    def close(self) -> None:
        """Finishes the file."""
        self._writer.release()

    def _check_room(self) -> None:
        if shutil.disk_usage(self._path.parent).free < _ROOM_BYTES:
            raise disk_full(self._path)


def has_h264(program: str) -> bool:
    """Returns whether this ffmpeg can be started and has the encoder libx264."""
    try:
        told = subprocess.run(
            [program, "-hide_banner", "-encoders"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return b" libx264 " in told.stdout


def opencv_has_h264(suffix: str) -> bool:
    """Returns whether OpenCV's H.264 encoder opens, found by writing a small file: it claims more than it can."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"try{suffix}"
        try:
            encoder = OpenCVEncoder(path, VideoShape((64, 64), 25.0), H264)
        except FerError:  # also where there is no room to try
            return False
        encoder.write(np.zeros((64, 64, 3), np.uint8))
        encoder.close()
        return path.is_file() and path.stat().st_size > 0


def _ffmpeg_command(path: Path, shape: VideoShape, program: str) -> list[str]:
    (width, height), rate = shape
    exact = Fraction(rate).limit_denominator(1001)
    return [
        *(program, "-hide_banner", "-loglevel", "error", "-y"),
        *("-f", "rawvideo", "-pix_fmt", "bgr24", "-video_size", f"{width}x{height}", "-framerate", str(exact)),
        *("-i", "pipe:0", "-an", "-c:v", "libx264", "-preset", "superfast", "-crf", "20", "-pix_fmt", "yuv420p"),
        *("-g", str(max(1, round(2 * rate)))),
        *("-colorspace", _MATRIX, "-color_primaries", _MATRIX, "-color_trc", _MATRIX, "-color_range", "tv"),
        *_CONTAINER_OPTIONS.get(path.suffix.lower(), ()),
        str(path.absolute()),
    ]


def _code(codec: str, path: Path) -> str:
    return _MPEG4_CODE_IN_AVI if codec == MPEG4 and path.suffix.lower() == ".avi" else _OPENCV_CODES[codec]
