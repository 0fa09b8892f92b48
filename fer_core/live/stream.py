"""Streams of the network: http, https, rtsp and their like, all read by OpenCV's FFmpeg.

RTSP goes over TCP where the server takes it: OpenCV asks for that by itself.
"""

import re
import threading
import time
from collections.abc import Callable
from functools import partial

import cv2

from fer_core.errors import SourceError
from fer_core.live.prediction_thread import ANSWER_SECONDS, EveryFrame, NewestFrame, Wait, within
from fer_core.live.stream_check import why_refused
from fer_core.live.video_capture import open_capture
from fer_core.live.video_file import video_source
from fer_core.store.clock import Clock, utc_now

SCHEMES = ("http", "https", "rtsp", "rtsps", "rtmp", "udp")


def open_stream(
    url: str,
    *,
    clock: Callable[[], float] = time.monotonic,
    now: Clock = utc_now,
    wait: Wait = threading.Event.wait,
    answer_seconds: float = ANSWER_SECONDS,
) -> NewestFrame | EveryFrame:
    """Returns a stream as a live source; a video with an end, on a web server, as one of which every frame counts.

    Raises SourceError if it refuses, is no video, or does not answer in time (and a second to find out why).
    """
    title = without_password(url)
    late = SourceError(f"{title} does not answer.", hint="Is the address right, and the network up?")
    connect = partial(open_capture, url, cv2.CAP_FFMPEG, _options(answer_seconds), title=title)
    capture = within(answer_seconds + 0.5, connect, late=late)
    if capture is None:
        raise why_refused(url, title)
    if capture.frame_count:
        return video_source(capture, title, rate=capture.rate, clock=clock, now=now)
    return NewestFrame(title, capture, connect, clock=clock, now=now, wait=wait, answer_seconds=answer_seconds)


def without_password(url: str) -> str:
    """Returns an address, or a text with one in it, as it may be shown: nobody's name, password or token."""
    shown = re.sub(r"(?<=://)[^/?#\s]*@", "", url)
    return re.sub(r"(?<=[?&])([^=&#\s]*)=[^&#\s]*", r"\1=…", shown)


def _options(answer_seconds: float) -> list[int]:
    milliseconds = round(answer_seconds * 1000)
    return [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds),
        # Each further thread of a decoder holds one more frame back.
        *(cv2.CAP_PROP_N_THREADS, 1),
    ]
