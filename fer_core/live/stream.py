"""Streams of the network: http, https, rtsp and their like, read by PyAV."""

import errno
import re
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import av

from fer_core.errors import SourceError
from fer_core.live.frame_sources import ANSWER_SECONDS, EveryFrame, NewestFrame, Wait
from fer_core.live.video import VideoReader, every_frame
from fer_core.store.clock import Clock, utc_now

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp")
_IS_IT_RIGHT = "Is the address right, and the network up?"


def open_stream(
    url: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Clock = utc_now,
    wait: Wait = threading.Event.wait,
    answer_seconds: float = ANSWER_SECONDS,
) -> NewestFrame | EveryFrame:
    """Returns a stream as a live source; a video with an end, on a web server, as one of which every frame counts.

    Raises SourceError if it refuses, is no video, or does not answer in time.
    """
    title = without_password(url)

    def connect() -> VideoReader:
        return _connected(url, title, answer_seconds)

    reader = connect()
    if reader.promised_frames:
        return every_frame(reader, title, clock=clock, now=now)
    return NewestFrame(title, reader, connect, clock=clock, now=now, wait=wait, answer_seconds=answer_seconds)


def without_password(url: str) -> str:
    """Returns an address, or a text with one in it, as it may be shown: nobody's name, password or token."""
    shown = re.sub(r"(?<=://)[^/?#\s]*@", "", url)
    return re.sub(r"(?<=[?&])([^=&#\s]*)=[^&#\s]*", r"\1=…", shown)


def _connected(url: str, title: str, answer_seconds: float) -> VideoReader:
    """Raises SourceError where nothing can be read there; RTSP goes over TCP, which loses no packets."""
    _check_address(url, title)
    options = {"rtsp_transport": "tcp"} if url.lower().startswith("rtsp") else {}
    try:
        container = av.open(url, options=options, timeout=answer_seconds)
    except av.error.FFmpegError as error:
        raise _refusal(error, url, title) from None
    return VideoReader(container, title=title, is_live=True)


def _check_address(url: str, title: str) -> None:
    try:
        parts = urlsplit(url)
        if parts.hostname and parts.port != 0:  # a port that is no number raises
            return
        reason = "it names no host"
    except ValueError as error:
        reason = str(error)
    raise SourceError(f"{title} is no address: {reason}.", hint="An address: http://192.168.1.20:8080/video")


def _refusal(error: av.error.FFmpegError, url: str, title: str) -> SourceError:
    """Returns what FFmpeg found, in plain words."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
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
