"""Snapshots, recordings and captures: pictures and clips of the live view, each with its readings beside it."""

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import FerError, SourceError
from fer_core.live.frame import Shown, Sink
from fer_core.live.log import PredictionLog
from fer_core.live.output_path import free_path, make_folder
from fer_core.live.video_output import VideoOutput
from fer_core.store.files import write_atomically, write_json

LIVE_RATE = 25.0
"""About what a camera has: a clip may end half a frame early."""


def save_picture(shown: Shown, annotated_bgr: np.ndarray, folder: Path, *, kind: str) -> Path:
    """Writes kind_001.png (or the next free number), the annotated picture and the readings; returns the first path.

    Raises SourceError where the folder cannot be written to, DiskFullError.
    """
    number = 1
    while (folder / f"{kind}_{number:03d}.png").exists():
        number += 1
    path = folder / f"{kind}_{number:03d}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path.with_suffix(".json"), shown.to_json())
        annotated = path.with_name(f"{path.stem}_annotated.png")
        for file, picture_bgr in ((annotated, annotated_bgr), (path, shown.frame.picture_bgr)):
            write_atomically(file, cv2.imencode(".png", picture_bgr)[1].tobytes())
    except OSError as error:
        raise SourceError(f"{path} cannot be written: {error.strerror}.", hint="Give another --folder.") from error
    return path


class Recorder(Sink):
    """Snapshots and recordings on demand, as numbered files in a folder that appears with the first one."""

    def __init__(self, folder: Path, *, rate: float | None):
        self._folder, self._rate = folder, rate
        self._video: VideoOutput | None = None
        self.paths: list[Path] = []
        self.problem = ""
        """Why a recording ended by itself: a full disk ends it, not the view. Whoever has told it clears it."""

    @property
    def needs_picture(self) -> bool:
        """Whether a recording is running."""
        return self._video is not None

    @property
    def is_recording(self) -> bool:
        """Whether a recording is running."""
        return self._video is not None

    def snapshot(self, shown: Shown, annotated_bgr: np.ndarray) -> Path:
        """Writes a frame and returns its path. Raises SourceError, DiskFullError."""
        self.paths.append(save_picture(shown, annotated_bgr, self._folder, kind="snapshot"))
        return self.paths[-1]

    def start(self, size: tuple[int, int]) -> Path:
        """Starts a recording of pictures of this size, and returns its path. Raises ConfigError."""
        make_folder(self._folder)
        self._video = VideoOutput(free_path(self._folder, "recording.mp4"), size, self._rate)
        return self._video.path

    def write(self, shown: Shown) -> None:
        """Records the frame, if a recording is running."""
        if self._video is None or shown.picture_bgr is None:
            return
        try:
            self._video.write(shown.picture_bgr, shown.frame.seconds)
        except FerError as error:
            self.problem = str(error)
            self.close()

    def close(self) -> None:
        """Ends a recording, so that it plays."""
        if self._video is not None:
            video, self._video = self._video, None
            self.paths.append(video.path)
            video.close()


class PictureCapture(Sink):
    """Takes so many pictures, one a second of the source's time, each with its readings; then it is done."""

    needs_picture = True
    EVERY_SECONDS = 1.0

    def __init__(self, folder: Path, pictures: int, *, report: Callable[[Shown, Path], None]):
        """`report` is told of each picture when it is written."""
        self._folder, self._wanted, self._report = folder, pictures, report
        self._taken = 0
        self._due = 0.0

    @property
    def is_done(self) -> bool:
        """Whether all pictures are taken."""
        return self._taken >= self._wanted

    def write(self, shown: Shown) -> None:
        """Takes the frame if a second has passed since the last one taken. Raises DiskFullError."""
        if self.is_done or (self._taken and shown.frame.seconds < self._due):
            return
        self._taken += 1
        self._due = shown.frame.seconds + self.EVERY_SECONDS
        self._report(shown, save_picture(shown, shown.picture_bgr, self._folder, kind="picture"))

    def check_complete(self) -> None:
        """Raises SourceError if the source ended too early; what was taken stays."""
        if not self.is_done:
            raise SourceError(
                f"The source ended after {self._taken} of {self._wanted} pictures.",
                hint=f"They are in {self._folder}; take a longer source, or ask for fewer.",
            )


class ClipCapture(Sink):
    """Records so many seconds, the readings drawn in and as a CSV beside it; then it is done."""

    needs_picture = True

    def __init__(
        self, folder: Path, seconds: float, *, labels: Sequence[str], size: tuple[int, int], rate: float | None
    ):
        """Raises ConfigError where the files cannot be written. `size`: (width, height) of the frames."""
        self._wanted, self._margin = seconds, 0.5 / (rate or LIVE_RATE)
        self.path = free_path(folder, "clip.mp4")
        self._log = PredictionLog(free_path(folder, "clip.csv"), labels)
        self._video = VideoOutput(self.path, size, rate)
        self._began: float | None = None
        self._last = 0.0

    @property
    def is_done(self) -> bool:
        """Whether the clip has its length."""
        return self._seconds >= self._wanted - self._margin

    @property
    def _seconds(self) -> float:
        return 0.0 if self._began is None else self._last - self._began

    def write(self, shown: Shown) -> None:
        """Records the frame. Raises SourceError, DiskFullError."""
        self._last = shown.frame.seconds
        if self._began is None:
            self._began = self._last
        self._log.write(shown)
        self._video.write(shown.picture_bgr, self._seconds)

    def close(self) -> None:
        """Finishes the files, so that the clip plays."""
        self._log.close()
        self._video.close()

    def check_complete(self) -> None:
        """Raises SourceError if the source ended too early; what was recorded stays and plays."""
        if not self.is_done:
            raise SourceError(
                f"The source ended after {self._seconds:.1f} of {self._wanted:g} seconds of the clip.",
                hint="What was recorded stays; take a longer source, or ask for less.",
            )
