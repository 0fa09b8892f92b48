"""Pictures and folders of pictures: each is read on its own, without tracking and smoothing, and written or shown."""

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from fer_core.errors import ConfigError, FerError, SourceError
from fer_core.live.frame import Frame, Shown, Source
from fer_core.live.log import SUFFIXES as LOG_SUFFIXES
from fer_core.live.loop import WAIT_SECONDS
from fer_core.live.output_path import disk_full
from fer_core.live.overlay import Overlay, Status
from fer_core.live.pictures import SUFFIXES as PICTURE_SUFFIXES
from fer_core.live.pictures import picture_names
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import FacePredictor
from fer_core.live.video_output import SUFFIXES as VIDEO_SUFFIXES
from fer_core.live.video_output import fitted
from fer_core.live.window import Window
from fer_core.store.files import DiskFullError, write_atomically

WRITTEN_SUFFIXES = (".png", ".jpg", ".jpeg")

CANVAS = (1600, 1200)
"""Width and height on which all pictures of a folder are shown: a window keeps the proportions of its first picture."""

_NO_FOLDERS = (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES, *LOG_SUFFIXES)
"""Who gives a name with one of these means a file."""


def read_stills(
    source: Source, predictor: FacePredictor, *, faces: Literal["find", "given"], overlay: Overlay | None
) -> Iterator[Shown]:
    """Yields each picture with its readings; annotated where there is an overlay. Raises SourceError."""
    read = predictor.read if faces == "find" else predictor.read_given
    while not source.ended:
        frame = source.read(WAIT_SECONDS)
        if frame is not None:
            predictions = tuple(read(frame.picture_bgr))
            yield Shown(frame, predictions, annotated(frame, predictions, predictor, overlay) if overlay else None)


def annotated(
    frame: Frame, predictions: Sequence[Prediction], predictor: FacePredictor, overlay: Overlay, *, message: str = ""
) -> np.ndarray:
    """Returns the picture with its readings and a sentence drawn in: uint8 BGR, of the same size."""
    status = Status(
        model=predictor.classifier.name,
        detector=predictor.detector.name,
        frames_per_second=0.0,
        delay_seconds=0.0,
        message=message,
    )
    return overlay.draw(frame.picture_bgr, predictions, status)


class AnnotatedPictures:
    """The annotated pictures of a run. `output` is the name of the one picture's, or a folder.

    What is there already is replaced only where it may be, and no two pictures of a run get the same name.
    """

    def __init__(self, output: Path, source: Path, *, overwrite: bool):
        """Makes the folder. Raises ConfigError where something cannot be written, before the first picture is read.

        `source`: the picture, or the folder of the pictures.
        """
        self._output, self._overwrite = output, overwrite
        self._paths: dict[str, Path] = {}
        self._taken: set[str] = set()
        try:
            is_one = source.is_file()
            self._is_file = is_one and bool(output.suffix) and not output.is_dir()
            _check_kind(output, source)
            _check_writable(output.parent if self._is_file else output)
            for name in [source.name] if is_one else picture_names(source):
                self._check_free(self.path_of(name))
        except OSError as error:
            raise ConfigError(
                f"--output {output} cannot be written: {error.strerror}.", hint="Give a place that you may write to."
            ) from None

    def path_of(self, name: str) -> Path:
        """Returns where the annotated picture of `name` goes."""
        if self._is_file:
            return self._output
        if name not in self._paths:
            chosen = next(free for free in _names(name) if free.casefold() not in self._taken)
            self._taken.add(chosen.casefold())
            self._paths[name] = self._output / chosen
        return self._paths[name]

    def save(self, picture_bgr: np.ndarray, name: str) -> Path:
        """Writes the annotated picture of `name`, and returns its path.

        Raises ConfigError where something has come there since, SourceError, DiskFullError.
        """
        path = self.path_of(name)
        try:
            self._check_free(path)
            write_atomically(path, _encoded(picture_bgr, path))
        except DiskFullError:
            raise disk_full(path) from None
        except OSError as error:
            raise SourceError(
                f"{path} cannot be written: {error.strerror}.", hint="What was written before is kept."
            ) from None
        return path

    def _check_free(self, path: Path) -> None:
        if self._overwrite or not path.exists() or (path.is_file() and not path.stat().st_size):
            return
        raise ConfigError(f"{path} is already there, and is not replaced.", hint="Give another name, or --overwrite.")


class StillsScreen:
    """Shows one picture after another, each until a key is pressed and in its own proportions."""

    def __init__(
        self,
        window: Window,
        size: tuple[int, int],
        *,
        keys: str,
        draw: Callable[[Shown, str], np.ndarray],
        save: Callable[[Shown], Path],
    ):
        """`size`: of what the window shows, width and height; pictures are fitted into it.

        `keys` is a sentence that says what they do. `draw` returns the annotated picture with a sentence in it, `save`
        keeps a picture and returns its path.
        """
        self._window, self._size = window, size
        self._keys, self._draw, self._save = keys, draw, save

    def show(self, shown: Shown) -> bool:
        """Shows a picture, and returns whether the next one is wanted: not after q, and not where the window closed."""
        self._put(shown.picture_bgr)
        while not self._window.is_closed:
            key = self._window.key()
            if key == "h":
                self._put(self._draw(shown, self._keys))
            elif key == "s":
                self._put(self._draw(shown, self._saved(shown)))
            elif key is not None:
                return key != "q"
        return False

    def _put(self, picture_bgr: np.ndarray) -> None:
        self._window.show(fitted(picture_bgr, self._size))

    def _saved(self, shown: Shown) -> str:
        try:
            return f"Saved {self._save(shown).name}."
        except FerError as error:  # what cannot be saved does not end the view
            return f"{error} {error.hint}"


def _check_kind(output: Path, source: Path) -> None:
    """Raises ConfigError where `output` names what annotated pictures cannot go to, or the pictures themselves."""
    suffix = output.suffix.lower()
    if output.is_dir():
        if source.is_dir() and output.samefile(source):
            raise ConfigError(
                f"--output {output} is the folder that is read: its results would be read next time.",
                hint=f"Give another folder, for example {output / 'annotated'}",
            )
        return
    if source.is_file() and suffix and suffix not in WRITTEN_SUFFIXES:
        raise ConfigError(
            f"--output {output}: an annotated picture ends in {', '.join(WRITTEN_SUFFIXES)}.",
            hint="Give such a name, or a folder.",
        )
    if source.is_dir() and (output.is_file() or suffix in _NO_FOLDERS):
        raise ConfigError(
            f"--output {output} is the name of a file, and {source} is a folder.",
            hint="Give the name of a folder for the annotated pictures.",
        )


def _check_writable(folder: Path) -> None:
    """Makes a folder. Raises OSError if that cannot be, or if nothing can be written in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def _names(name: str) -> Iterator[str]:
    """Yields names for the annotated picture of `name`, the best one first: x.jpg may lie beside x.png."""
    stem, suffix = Path(name).stem, Path(name).suffix[1:]
    yield f"{stem}_annotated.png"
    yield f"{stem}_{suffix}_annotated.png"
    for number in itertools.count(2):
        yield f"{stem}_{suffix}_{number}_annotated.png"


def _encoded(picture_bgr: np.ndarray, path: Path) -> bytes:
    try:
        return cv2.imencode(path.suffix, picture_bgr)[1].tobytes()
    except cv2.error:
        height, width = picture_bgr.shape[:2]
        raise SourceError(
            f"{path} cannot be written: {width} x {height} pixels are too many for this format.",
            hint="Give a name that ends in .png.",
        ) from None
