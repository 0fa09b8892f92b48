"""What keeps readings while the live loop runs: the log, the annotated video, JSON lines, the summary."""

import json
from collections.abc import Callable
from typing import Any

from fer_core.live.log import PredictionLog
from fer_core.live.loop import Shown
from fer_core.live.summary import Summary
from fer_core.live.video_output import VideoOutput
from fer_core.store.clock import utc_text


class LogSink:
    """Writes one row per face and frame."""

    needs_picture = False
    is_done = False

    def __init__(self, log: PredictionLog):
        self._log = log

    def write(self, shown: Shown) -> None:
        """Writes the frame's rows. Raises DiskFullError."""
        self._log.write(shown.frame, shown.predictions)

    def close(self) -> None:
        """Closes the file."""
        self._log.close()


class VideoSink:
    """Writes the annotated pictures."""

    needs_picture = True
    is_done = False

    def __init__(self, video: VideoOutput):
        self._video = video

    def write(self, shown: Shown) -> None:
        """Writes the picture at its time in the source. Raises SourceError, DiskFullError."""
        self._video.write(shown.picture_bgr, shown.frame.seconds)

    def close(self) -> None:
        """Finishes the file, so that it plays."""
        self._video.close()


class JsonSink:
    """Prints one JSON object per frame."""

    needs_picture = False
    is_done = False

    def __init__(self, write_line: Callable[[str], None]):
        self._write_line = write_line

    def write(self, shown: Shown) -> None:
        """Prints the frame's readings."""
        self._write_line(json.dumps(as_json(shown), allow_nan=False))

    def close(self) -> None:
        """Has nothing to finish."""


class SummarySink:
    """Counts what is told at the end."""

    needs_picture = False
    is_done = False

    def __init__(self, summary: Summary):
        self._summary = summary

    def write(self, shown: Shown) -> None:
        """Counts the frame's readings, and the milliseconds that they took."""
        self._summary.add(shown.frame, shown.predictions, shown.stage_seconds)

    def close(self) -> None:
        """Has nothing to finish."""


def as_json(shown: Shown) -> dict[str, Any]:
    """Returns a frame's readings as plain values."""
    frame = shown.frame
    named = {"name": frame.name} if frame.name else {}
    return named | {
        "frame": frame.number,
        "seconds": round(frame.seconds, 3),
        "utc": utc_text(frame.utc),
        "faces": [prediction.to_json() for prediction in shown.predictions],
    }
