"""Video files and network streams, read by PyAV: picture after picture, each with its time and turned upright."""

from __future__ import annotations

import contextlib
import errno
import heapq
import math
import re
import shlex
import socket
import threading
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np

from fer_core.data.face_picture import MAX_PIXELS
from fer_core.data.picture_header import JPEG
from fer_core.errors import SourceError
from fer_core.live.frame import ANSWER_SECONDS, MOST_NOTED, EveryFrame, Frame, NewestFrame, Wait, frame_now

with contextlib.suppress(ModuleNotFoundError):  # `check_pyav` says so where it is needed
    import av
    from av.video.reformatter import VideoReformatter

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp")

_ELSEWHERE = "See whether another program plays it. If one does, convert it with that; if none does, record it again."
_IS_IT_RIGHT = "Is the address right, and the network up?"
_ASSUMED_RATE = 25.0
"""Frames a second where nothing tells."""
_SLOWEST, _FASTEST = 0.1, 480.0
_FRAMES_TOO_FEW, _SHARE_TOO_FEW = 5, 0.05
"""Headers promise a few frames more than there are; only beyond this is a video called cut short."""
_SPARSE = 2
"""From so many frames for each one that is wanted, those that no other is made from are not decoded."""
_SOUGHT_SECONDS = 4.0
"""Across such a gap it is sought: a frame that can be decoded by itself comes every few seconds."""
_ROUNDING = 1e-6
_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


def check_pyav(what: str) -> None:
    """Raises SourceError where PyAV is not installed, without which there are cameras and pictures alone."""
    if "av" not in globals():
        raise SourceError(f"{what} needs PyAV, which is not installed.", hint="`pip install av` brings it.")


def open_video_file(path: Path) -> EveryFrame:
    """Returns a video file as a source. Raises SourceError if it cannot be opened or has no frame that can be read."""
    return _every_frame(open_reader(path), str(path))


def open_reader(path: Path, *, threads: int = 0) -> VideoReader:
    """Returns an opened video file; `threads` decode it (0: as many as there are cores).

    Raises SourceError, OSError if it cannot be opened.
    """
    check_pyav(str(path))
    with path.open("rb") as file:
        head = file.read(12)
    try:
        # FFmpeg takes what stands before a colon for a protocol; an absolute path has a slash before it.
        container = av.open(str(path.absolute()))
    except av.error.FFmpegError:
        raise _no_video(path, head) from None
    # FFmpeg draws text as films of a terminal, zeros as karaoke without a codec, and finds JPEGs inside archives.
    name = container.format.name
    if name in ("tty", "cdg") or (name == "mjpeg" and not head.startswith(JPEG)):
        container.close()
        raise _no_video(path, head)
    return VideoReader(container, title=str(path), threads=threads)


def sampled_frames(
    reader: VideoReader, *, start: float = 0.0, end: float = math.inf, fps: float | None = None
) -> Generator[Frame, None, None]:
    """Yields the frames from `start` to before `end`, in seconds; with `fps`, the first one of each 1/fps seconds.

    `number` is the frame's place by the video's rate. What is not wanted is not converted, where it can be not decoded,
    and across long gaps sought over. Closes the reader.
    """
    rate, zero = reader.rate or _ASSUMED_RATE, reader.begins_at
    is_sparse = fps is not None and rate / fps >= _SPARSE
    seconds, last_slot, count = start, -1, -1
    seek_to = zero + start if start > 0 else None
    try:
        while seconds < end:
            for frame in reader.decoded_from(seek_to, without_unneeded=is_sparse):
                count += 1
                seconds = count / rate if frame.time is None else frame.time - zero
                slot = math.floor(seconds * (fps or rate) + _ROUNDING)
                if seconds >= end:
                    break
                if seconds < start or (fps is not None and slot <= last_slot):
                    continue
                last_slot = slot
                yield frame_now(reader.picture(frame), round(seconds * rate), seconds)
                if fps is not None and 1 / fps >= _SOUGHT_SECONDS and frame.time is not None:
                    break
            else:
                return
            seek_to = zero + (last_slot + 1) / (fps or rate)
    finally:
        reader.release()


def open_stream(
    url: str, *, wait: Wait = threading.Event.wait, answer_seconds: float = ANSWER_SECONDS
) -> NewestFrame | EveryFrame:
    """Returns a stream as a live source; a video with an end, on a web server, as one of which every frame counts.

    Raises SourceError if it refuses, is no video, or does not answer in time. `wait`: for the pauses before a lost
    stream is tried again.
    """
    title = without_password(url)
    check_pyav(title)

    def connect() -> VideoReader:
        return _connected(url, title, answer_seconds)

    reader = connect()
    if reader.promised_frames:
        return _every_frame(reader, title)
    return NewestFrame(title, reader, connect, wait=wait, answer_seconds=answer_seconds)


def without_password(url: str) -> str:
    """Returns an address, or a text with one in it, as it may be shown: nobody's name, password or token."""
    shown = re.sub(r"(?<=://)[^/?#\s]*@", "", url)
    return re.sub(r"(?<=[?&])([^=&#\s]*)=[^&#\s]*", r"\1=…", shown)


class VideoReader:
    """The pictures of an opened video. `passed_over` counts those before the one read last that could not be decoded.

    Missing is what the video has a packet for: a packet whose time stamp no decoded frame has. A hole in the time
    stamps alone may be meant. Frames that the decoder itself calls corrupt are missing too.
    """

    def __init__(self, container: av.container.InputContainer, *, title: str, is_live: bool = False, threads: int = 0):
        """Raises SourceError for what has no pictures, or frames of more than `MAX_PIXELS`; closes it then.

        `is_live`: with one decoding thread, since each further one holds one more frame back.
        """
        self._container, self._stream = container, container.streams.best("video")
        codec = self._stream.codec_context if self._stream else None
        if codec is None:
            container.close()
            raise SourceError(f"{title} has no pictures that can be read.", hint=_ELSEWHERE)
        if codec.width * codec.height > MAX_PIXELS:
            container.close()
            raise SourceError(
                f"{title} has frames of {codec.width} x {codec.height} pixels, more than "
                f"{MAX_PIXELS // 1_000_000} megapixels.",
                hint="Make it smaller: ffmpeg -i INPUT -vf scale=1280:-2 smaller.mp4",
            )
        codec.options = {"max_pixels": str(MAX_PIXELS)}
        codec.thread_type, codec.thread_count = ("SLICE", 1) if is_live else ("AUTO", threads)
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
        """The frames that the header counts; 0 where it does not say, as in a live stream."""
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
            if not frame.is_corrupt:
                self.passed_over, self.stamp_seconds = self._missing_before(frame), frame.time
                return self.picture(frame)
        return None

    def picture(self, frame: av.VideoFrame) -> np.ndarray:
        """Returns a decoded frame as uint8 BGR (height, width, 3), upright."""
        picture_bgr = self._to_bgr.reformat(frame, format="bgr24").to_ndarray()
        turn = _TURNS.get(round(frame.rotation / 90) * 90 % 360)
        return picture_bgr if turn is None else cv2.rotate(picture_bgr, turn)

    @property
    def begins_at(self) -> float:
        """The time stamp of its first frame, in seconds."""
        start = self._stream.start_time
        return 0.0 if start is None else float(start * self._stream.time_base)

    @property
    def seconds(self) -> float | None:
        """How long it is; None where nothing tells."""
        if self._stream.duration:
            return float(self._stream.duration * self._stream.time_base)
        if self._container.duration:
            return self._container.duration / av.time_base
        return self.promised_frames / self.rate if self.promised_frames and self.rate else None

    def decoded_from(self, stamp_seconds: float | None, *, without_unneeded: bool) -> Iterator[av.VideoFrame]:
        """Yields decoded frames, from the last one at or before that time that can be decoded by itself.

        `without_unneeded`: frames that no other one is made from are left out.
        """
        if stamp_seconds is not None:
            with contextlib.suppress(av.error.FFmpegError):  # what cannot be sought in is read from where it stands
                self._container.seek(max(0, round(stamp_seconds * av.time_base)))
        self._stream.codec_context.skip_frame = "NONREF" if without_unneeded else "DEFAULT"
        yield from (frame for frame in self._decoded() if not frame.is_corrupt)

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
        if self._packets and self._packets[0] == frame.pts:
            heapq.heappop(self._packets)
            return missing
        return failures


def plausible_rate(rate: Fraction | float | None) -> float | None:
    """Returns the rate if a video can have it, else None."""
    return float(rate) if rate and math.isfinite(rate) and _SLOWEST <= rate <= _FASTEST else None


def _every_frame(reader: VideoReader, title: str) -> EveryFrame:
    skipped: list[str] = []
    frames = _frames(reader, skipped)
    first = next(frames, None)
    if first is None:
        raise SourceError(f"{title} has no frame that can be read: it is cut short or damaged.", hint=_ELSEWHERE)
    return EveryFrame(title, first, frames, rate=reader.rate, skipped=skipped)


def _frames(reader: VideoReader, skipped: list[str]) -> Generator[Frame, None, None]:
    """Yields every frame at its time: by the time stamps, by the rate where they do not rise."""

    def note(first: int, last: int, what: str) -> None:
        if len(skipped) < MOST_NOTED:
            skipped.append(f"{f'frame {first}' if first == last else f'frames {first} to {last}'} {what}")

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
                note(number - missing, number - 1, f"({seconds:.2f} s): damaged or missing")
            yield frame_now(picture_bgr, number, seconds)
        if number >= 0 and reader.missing_at_end:
            note(number + 1, number + reader.missing_at_end, "at the end: damaged, or the video is cut short")
    finally:
        reader.release()


def _no_video(path: Path, head: bytes) -> SourceError:
    """Returns why a file is no video, and what can be done."""
    if not head:
        return SourceError(f"{path} is empty.", hint="Record or download it again.")
    if head.startswith((b"PK", b"\x1f\x8b", b"7z", b"Rar!")):
        finding = "is an archive: unpack it, and give the folder of the pictures"
        return SourceError(f"{path} {finding}.", hint="Then: --source FOLDER")
    if head[4:8] == b"ftyp" or head.startswith(b"\x1aE\xdf\xa3") or head[8:] == b"AVI ":
        return SourceError(f"{path} is cut short or damaged, or has no pictures.", hint=_ELSEWHERE)
    hint = f"See what it is: file {shlex.quote(str(path))}"
    return SourceError(f"{path} is neither a video nor a picture that can be read.", hint=hint)


def _connected(url: str, title: str, answer_seconds: float) -> VideoReader:
    """Raises SourceError where nothing can be read there; RTSP goes over TCP, which loses no packets."""
    try:
        parts = urlsplit(url)
        reason = "" if parts.hostname and parts.port != 0 else "it names no host"  # a port that is no number raises
    except ValueError as error:
        reason = str(error)
    if reason:
        raise SourceError(f"{title} is no address: {reason}.", hint="An address: http://192.168.1.20:8080/video")
    options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    try:
        container = av.open(url, options=options, timeout=answer_seconds)
    except av.error.FFmpegError as error:
        raise _refusal(error, parts.hostname, parts.port, title) from None
    return VideoReader(container, title=title, is_live=True)


def _refusal(error: av.error.FFmpegError, host: str, port: int | None, title: str) -> SourceError:
    """Returns what FFmpeg found, in plain words."""
    match error:
        case av.error.HTTPUnauthorizedError():
            return SourceError(f"{title} asks for a password.", hint="Write it as http://user:password@host/…")
        case av.error.HTTPClientError() | av.error.HTTPServerError():
            return SourceError(f"{title} answers: {error.strerror}.", hint="Is the path of the address right?")
        case ConnectionRefusedError():
            hint = "Is the camera's server running, and is this its port?"
            return SourceError(f"{title}: {host} refuses connections{f' on port {port}' if port else ''}.", hint=hint)
        case av.error.ExitError() | TimeoutError():
            return SourceError(f"{title} does not answer, or sends no video.", hint=_IS_IT_RIGHT)
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return SourceError(f"{title}: there is no host named {host}.", hint=_IS_IT_RIGHT)
    if isinstance(error, av.error.InvalidDataError) or error.errno == errno.EIO:  # a page, as a rule
        hint = "Give the address of the stream itself, not of a page that shows it."
        return SourceError(f"{title} sends no video that can be read.", hint=hint)
    return SourceError(f"{title}: {host} cannot be reached ({error.strerror}).", hint=_IS_IT_RIGHT)
