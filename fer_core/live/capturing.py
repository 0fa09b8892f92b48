"""Snapshots, recordings and captures of the live view, each with its predictions beside it; and annotated pictures."""

import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from fer_core.errors import ConfigError, FerError, SourceError
from fer_core.live.frame import Shown, Sink
from fer_core.live.output import LOG_SUFFIXES, PredictionLog, check_free, disk_full, free_path, make_folder
from fer_core.live.sources import PICTURE_SUFFIXES, picture_names
from fer_core.live.video_output import VIDEO_SUFFIXES, VideoOutput
from fer_core.store.files import DiskFullError, write_atomically, write_json

LIVE_RATE = 25.0
"""About what a camera has: a clip may end half a frame early."""
WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg")
_NO_FOLDERS = (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES, *LOG_SUFFIXES)
"""Who gives a name with one of these means a file."""


def save_picture(shown: Shown, annotated_bgr: np.ndarray, folder: Path, *, kind: str) -> Path:
    """Writes kind_001.png (or the next free number), the annotated picture and its data; returns the first path.

    Raises SourceError where the folder cannot be written to, DiskFullError.
    """
    path = next(path for n in itertools.count(1) if not (path := folder / f"{kind}_{n:03d}.png").exists())
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
        """Why a recording ended by itself: a full disk ends it, not the view. Whoever has shown it clears it."""

    @property
    def needs_picture(self) -> bool:
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
            self._video.write(shown)
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
    """Takes so many pictures, one a second of the source's time, each with its predictions; then it is done."""

    needs_picture = True
    EVERY_SECONDS = 1.0

    def __init__(self, folder: Path, pictures: int, *, report: Callable[[Shown, Path], None]):
        """`report` is called with each picture when it is written."""
        self._folder, self._wanted, self._report = folder, pictures, report
        self._taken, self._due = 0, 0.0

    @property
    def is_done(self) -> bool:
        """Whether all pictures are taken."""
        return self._taken >= self._wanted

    @property
    def progress(self) -> str:
        """How much of it there is."""
        return f"{self._taken} of {self._wanted} pictures"

    def write(self, shown: Shown) -> None:
        """Takes the frame if a second has passed since the last one taken. Raises DiskFullError."""
        if self.is_done or (self._taken and shown.frame.seconds < self._due):
            return
        self._taken += 1
        self._due = shown.frame.seconds + self.EVERY_SECONDS
        self._report(shown, save_picture(shown, shown.picture_bgr, self._folder, kind="picture"))


class ClipCapture(Sink):
    """Records so many seconds, the predictions drawn in and as a CSV beside it; then it is done."""

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
        self._seconds = 0.0

    @property
    def is_done(self) -> bool:
        """Whether the clip has its length."""
        return self._seconds >= self._wanted - self._margin

    @property
    def progress(self) -> str:
        """How much of it there is."""
        return f"{self._seconds:.1f} of {self._wanted:g} seconds of the clip"

    def write(self, shown: Shown) -> None:
        """Records the frame. Raises SourceError, DiskFullError."""
        self._began = shown.frame.seconds if self._began is None else self._began
        self._seconds = shown.frame.seconds - self._began
        self._log.write(shown)
        self._video.write(shown)

    def close(self) -> None:
        """Finishes the files, so that the clip plays."""
        self._log.close()
        self._video.close()


class AnnotatedPictures:
    """The annotated pictures of a run, whose `paths` are by the names of the pictures.

    `output` is the name of the one picture's, or a folder. What is there already is replaced only where it may be, and
    no two pictures of a run get the same name.
    """

    def __init__(self, output: Path, source: Path, *, overwrite: bool):
        """Makes the folder. Raises ConfigError where something cannot be written, before the first picture is read.

        `source`: the picture, or the folder of the pictures.
        """
        self._overwrite = overwrite
        try:
            is_file = source.is_file() and bool(output.suffix) and not output.is_dir()
            _check_kind(output, source)
            folder = output.parent if is_file else output
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
            names = picture_names(source)
            self.paths = dict.fromkeys(names, output) if is_file else _paths(names, folder)
            for path in self.paths.values():
                check_free(path, overwrite=overwrite)
        except OSError as error:
            raise ConfigError(
                f"--output {output} cannot be written: {error.strerror}.", hint="Give a place that you may write to."
            ) from None

    def save(self, picture_bgr: np.ndarray, name: str) -> Path:
        """Writes the annotated picture of `name`, and returns its path.

        Raises ConfigError where something has come there since, SourceError, DiskFullError.
        """
        path = self.paths[name]
        try:
            check_free(path, overwrite=self._overwrite)
            write_atomically(path, cv2.imencode(path.suffix, picture_bgr)[1].tobytes())
        except DiskFullError:
            raise disk_full(path) from None
        except OSError as error:
            hint = "What was written before is kept."
            raise SourceError(f"{path} cannot be written: {error.strerror}.", hint=hint) from None
        except cv2.error:
            height, width = picture_bgr.shape[:2]
            problem = f"{width} x {height} pixels are too many for this format"
            raise SourceError(f"{path} cannot be written: {problem}.", hint="Give a name that ends in .png.") from None
        return path


def _check_kind(output: Path, source: Path) -> None:
    """Raises ConfigError where `output` names what annotated pictures cannot go to, or the pictures themselves."""
    suffix, is_folder = output.suffix.lower(), source.is_dir()
    if is_folder and output.is_dir() and output.samefile(source):
        raise ConfigError(
            f"--output {output} is the folder that is read: its results would be read next time.",
            hint=f"Give another folder, for example {output / 'annotated'}",
        )
    if not is_folder and not output.is_dir() and suffix and suffix not in WRITTEN_SUFFIXES:
        raise ConfigError(
            f"--output {output}: an annotated picture ends in {', '.join(WRITTEN_SUFFIXES)}.",
            hint="Give such a name, or a folder.",
        )
    if is_folder and not output.is_dir() and (output.is_file() or suffix in _NO_FOLDERS):
        raise ConfigError(
            f"--output {output} is the name of a file, and {source} is a folder.",
            hint="Give the name of a folder for the annotated pictures.",
        )


def _paths(names: Sequence[str], folder: Path) -> dict[str, Path]:
    """Returns where the annotated pictures go: x.jpg may lie beside x.png, and X.PNG too."""
    paths, taken = {}, set()
    for name in names:
        stem, suffix = Path(name).stem, Path(name).suffix[1:]
        more = (f"{stem}_{suffix}_{number}" for number in itertools.count(2))
        candidates = itertools.chain((stem, f"{stem}_{suffix}"), more)
        free = next(one for one in candidates if one.casefold() not in taken)
        taken.add(free.casefold())
        paths[name] = folder / f"{free}_annotated.png"
    return paths
