"""What goes through the live loop: frames of a source, and what was read in them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol

import numpy as np

from fer_core.live.prediction import Prediction
from fer_core.store.clock import utc_text


class Frame(NamedTuple):
    """One picture of a source.

    `picture_bgr` is uint8 (height, width, 3). `number` is its place in the source, from 0; frames that were dropped or
    could not be read are counted. `seconds` run from the source's first frame: by the container's time stamps in a
    video, by the clock in a camera or stream, one a picture in a folder. `utc` is when it was read, `read_at` the same
    by the monotonic clock. `name` is that of the file, for pictures.
    """

    picture_bgr: np.ndarray
    number: int
    seconds: float
    utc: datetime
    read_at: float
    name: str = ""


class Source(Protocol):
    """Frames, one after another.

    `title` is for people and holds no password. A live source (camera, stream) gives the newest frame and counts in
    `dropped` those that nobody took; any other gives every frame. `is_still` says that the frames are pictures which
    have nothing to do with each other. `rate` is frames a second, None where the source is live or does not tell;
    `size` is (width, height) of the first frame. `message` tells of a live source that is gone for the moment, else it
    is empty. `skipped` names what was damaged.
    """

    title: str
    is_live: bool
    is_still: bool
    rate: float | None
    size: tuple[int, int]
    ended: bool
    message: str
    dropped: int
    skipped: list[str]

    def read(self, timeout: float) -> Frame | None:
        """Returns the next frame; None if there is none within `timeout` seconds, or if the source has ended."""

    def close(self) -> None:
        """Ends the source's thread and gives back what it holds. May be called again."""


class Shown(NamedTuple):
    """A frame and what was read in it.

    `picture_bgr` is the annotated picture to be kept, None where no sink wants it; `rate` is frames a second of late;
    `stage_seconds` says how long each stage took.
    """

    frame: Frame
    predictions: tuple[Prediction, ...]
    picture_bgr: np.ndarray | None
    rate: float = 0.0
    stage_seconds: Mapping[str, float] = {}

    def to_json(self) -> dict[str, Any]:
        """Returns the frame's predictions as plain values."""
        frame = self.frame
        named = {"name": frame.name} if frame.name else {}
        return named | {
            "frame": frame.number,
            "seconds": round(frame.seconds, 3),
            "utc": utc_text(frame.utc),
            "faces": [prediction.to_json() for prediction in self.predictions],
        }


class Sink(Protocol):
    """Takes every frame that was read: a log, a video, the summary.

    `needs_picture`: whether `write` wants the annotated picture. `is_done`: whether it has all that it wanted, so that
    the loop may end.
    """

    needs_picture: bool = False
    is_done: bool = False

    def write(self, shown: Shown) -> None:
        """Takes one frame. Raises SourceError, DiskFullError."""

    def close(self) -> None:
        """Finishes its files. May be called again."""
