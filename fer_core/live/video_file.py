"""Videos that have an end, in files or on a web server: every frame counts."""

import shlex
import time
from collections.abc import Callable, Generator
from pathlib import Path

import cv2

from fer_core.data.picture_header import JPEG
from fer_core.errors import SourceError
from fer_core.live.frame import Frame
from fer_core.live.frame_times import FrameTimes, Packets, Place, measure_rate
from fer_core.live.prediction_thread import MOST_NOTED, EveryFrame
from fer_core.live.video_capture import VideoCapture, open_capture
from fer_core.store.clock import Clock, utc_now

_FRAMES_TOO_FEW, _SHARE_TOO_FEW = 5, 0.05
"""Headers promise a few frames more than there are; only beyond this is a video called cut short."""
_TABLE_OF_FRAGMENTS = 2**16
"""Bytes in which it stands, as the first one of a file in fragments, without any frames in it."""
_ELSEWHERE = "See whether another program plays it. If one does, convert it with that; if none does, record it again."


def open_video_file(path: Path, *, clock: Callable[[], float] = time.monotonic, now: Clock = utc_now) -> EveryFrame:
    """Returns a video file as a source. Raises SourceError if it cannot be opened or has no frame that can be read."""
    # FFmpeg takes what stands before a colon for a protocol; an absolute path has a slash before it.
    location = str(path.absolute())
    head = _head(path)
    capture = open_capture(location, cv2.CAP_FFMPEG, title=str(path)) if head else None
    if capture is None or _is_guess(capture, head):
        raise _refusal(path, head)
    rate, promised = measure_rate(location, capture.rate), capture.frame_count if _counts_frames(path) else 0
    packets = Packets(location)
    return video_source(capture, str(path), rate=rate, packets=packets, promised=promised, clock=clock, now=now)


def video_source(
    capture: VideoCapture,
    title: str,
    *,
    rate: float | None,
    packets: Packets | None = None,
    promised: int = 0,
    clock: Callable[[], float],
    now: Clock,
) -> EveryFrame:
    """Returns an opened video as a source. Raises SourceError if it has no frame that can be read.

    `promised`: the frames that the header has counted; 0 where it does not tell.
    """
    skipped: list[str] = []
    frames = _frames(capture, FrameTimes(rate, packets), skipped, promised, clock=clock, now=now)
    first = next(frames, None)
    if first is None:
        raise SourceError(
            f"{title} has no frame that can be read: it is cut short or damaged.",
            hint=_ELSEWHERE,
        )
    return EveryFrame(title, first, frames, rate=rate, skipped=skipped)


def _frames(
    capture: VideoCapture,
    times: FrameTimes,
    skipped: list[str],
    promised: int,
    *,
    clock: Callable[[], float],
    now: Clock,
) -> Generator[Frame, None, None]:
    frames = 0
    try:
        while (picture_bgr := capture.read()) is not None:
            place = times.place(capture.stamp_seconds, capture.passed_over)
            _note_missing(place, skipped)
            frames = place.number + 1
            yield Frame(picture_bgr, place.number, place.seconds, now(), clock())
        _note_missing_end(frames, promised, skipped)
    finally:
        capture.release()
        times.close()


def _note_missing(place: Place, skipped: list[str]) -> None:
    if place.missing and len(skipped) < MOST_NOTED:
        first, last = place.number - place.missing, place.number - 1
        which = f"frame {last}" if first == last else f"frames {first} to {last}"
        skipped.append(f"{which} ({place.seconds:.2f} s): damaged or missing")


def _note_missing_end(frames: int, promised: int, skipped: list[str]) -> None:
    if frames and promised - frames > max(_FRAMES_TOO_FEW, _SHARE_TOO_FEW * promised):
        skipped.append(f"frames {frames} to {promised - 1}: missing, the video is cut short")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(12)


def _counts_frames(path: Path) -> bool:
    """Returns whether the header has a count of frames; elsewhere OpenCV makes one of length and rate.

    AVI has one, and MP4 and MOV have a table of all frames unless they are written in fragments.
    """
    with path.open("rb") as file:
        head = file.read(_TABLE_OF_FRAGMENTS)
    return head[8:12] == b"AVI " or (head[4:8] == b"ftyp" and b"mvex" not in head)


def _is_container(head: bytes) -> bool:
    return head[4:8] == b"ftyp" or head.startswith(b"\x1aE\xdf\xa3") or head[8:] == b"AVI "


def _is_guess(capture: VideoCapture, head: bytes) -> bool:
    """FFmpeg draws text as films of a terminal, zeros as karaoke without a codec, and finds JPEGs inside archives."""
    if capture.codec in ("ansi", "\0\0\0\0"):
        return True
    is_bare = capture.codec == "MJPG" and not capture.frame_count
    return is_bare and not (head.startswith(JPEG) or _is_container(head))


def _refusal(path: Path, head: bytes) -> SourceError:
    """Returns why a file is no video, and what can be done."""
    name = shlex.quote(str(path))
    if not head:
        finding, hint = "is empty", "Record or download it again."
    elif head.startswith((b"PK", b"\x1f\x8b", b"7z", b"Rar!")):
        finding, hint = "is an archive: unpack it, and give the folder of the pictures", "Then: --source FOLDER"
    elif _is_container(head):
        finding, hint = "is cut short or damaged, or has no pictures", _ELSEWHERE
    else:
        finding, hint = "is neither a video nor a picture that can be read", f"See what it is: file {name}"
    return SourceError(f"{path} {finding}.", hint=hint)
