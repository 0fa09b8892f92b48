"""The face detectors: one file each, named as the detector. A new file is a new detector; nothing else is edited.

A detector's file holds `FRAMING: Framing` (how its boxes relate to FER-2013's pictures) and
`make(*, paths, model_file, width, may_download) -> Detector`, with the arguments of `make_detector`. Listing them
imports none of them, and no OpenCV.
"""

import importlib
import pkgutil
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, Protocol

from fer_core.errors import ConfigError, FerError, did_you_mean
from fer_core.paths import Paths

if TYPE_CHECKING:
    import numpy as np

    from fer_core.faces.framing import Framing

AUTO = "auto"
WIDTHS = (64, 1920)
"""Smallest and largest width for the detection: faces vanish below it; above it takes seconds and gigabytes."""
DETECT_EVERY = 4
"""Frames of a video. In between, a box is moved by the optical flow, which takes 0.4 ms instead of 3 (yunet) or 20
(haar). It then lies 0.012 of its width beside where yunet would have put it (0.008 for 2, 0.014 for 5; standing still
or walking by)."""
PHOTO_WIDTH = 640
"""Faces are looked for on a picture of at most this width. Twice that of a video, since a photograph may hold many
small faces; on 1000 and more, yunet loses or doubles a face that fills the picture."""
MIN_FACE_PIXELS = 40
"""Smaller faces (the square root of the box's area, in pixels of the frame) are not looked for: enlarged to the 48
pixels that FER-2013 has, they show less than it does."""


class Box(NamedTuple):
    """A rectangle in pixels of the frame, from its left upper corner; may reach outside the frame."""

    x: float
    y: float
    width: float
    height: float


class Face(NamedTuple):
    """One face found. `score` is 0..1, and 1.0 where the detector gives none.

    `roll` is how far it is turned in the picture, in degrees, clockwise; None where the detector finds no eyes.
    `landmarks` are x and y of eyes, nose and corners of the mouth, those on the left of the picture first.
    """

    box: Box
    score: float
    roll: float | None = None
    landmarks: tuple[float, ...] | None = None


class Detector(Protocol):
    """Finds faces in a picture. `name` as in `names()`; for one thread at a time."""

    name: str
    framing: "Framing"

    def find(self, frame_bgr: "np.ndarray") -> list[Face]:
        """Returns the faces, largest first. `frame_bgr` is uint8, BGR (height, width, 3) or gray (height, width)."""


def names() -> tuple[str, ...]:
    """Returns the names of all detectors; 'auto' is none of them."""
    return tuple(sorted({module.name for module in pkgutil.iter_modules(__path__)} - {"framing"}))


def framings() -> dict[str, dict[str, float]]:
    """Returns every detector's framing as plain numbers, by its name, for a model's manifest."""
    return {name: asdict(detector_module(name).FRAMING) for name in names()}


def detector_module(name: str) -> ModuleType:
    """Returns the file of a detector; raises ConfigError for a name that there is not."""
    if name not in names():
        raise ConfigError(f"There is no face detector {name!r}.", hint=did_you_mean(name, (AUTO, *names())))
    return importlib.import_module(f"{__name__}.{name}")


def make_detector(
    name: str,
    *,
    paths: Paths,
    model_file: Path | None = None,
    width: int | None = None,
    may_download: bool | None = None,
) -> Detector:
    """Returns the detector of this name; 'auto' is yunet where its file is there, otherwise haar.

    Args:
        paths: `paths.cache` keeps what is downloaded: yunet's file, once, when yunet is asked for by name.
        model_file: yunet's file; without it $FER_YUNET, then the cache. haar has no use for it.
        width: detection runs on a picture whose longer side has at most so many pixels. None: the detector's default.
        may_download: None: only where the detector is asked for by its name.

    Raises:
        ConfigError: an unknown name, or a width out of range.
        ArtifactError: the file named is not there, or is not YuNet.
        SourceError: the download failed.
    """
    low, high = WIDTHS
    if width is not None and not low <= width <= high:
        raise ConfigError(
            f"Faces cannot be looked for at a width of {width} pixels.", hint=f"Give {low} to {high}, or none."
        )
    may_download = name != AUTO if may_download is None else may_download
    options = {"paths": paths, "model_file": model_file, "may_download": may_download}
    return detector_module(_resolved(name, options)).make(width=width, **options)


def detector_key(name: str, *, paths: Paths) -> str:
    """Returns a text that changes when `make_detector` would return one that finds or frames faces in another way.

    It is empty where that detector cannot be made. Downloads nothing.
    """
    options = {"paths": paths, "model_file": None, "may_download": False}
    try:
        name = _resolved(name, options)
        module, digest = detector_module(name), ""
        if name == "yunet":  # where its file is not there, the published one will be downloaded
            file = module.find_file(**options)
            digest = sha256(file.read_bytes()).hexdigest() if file else module.YUNET.sha256
        return f"{name} {digest} {module.FRAMING}"
    except (FerError, OSError):
        return ""


def _resolved(name: str, options: dict) -> str:
    if name != AUTO:
        return name
    return "haar" if detector_module("yunet").find_file(**options) is None else "yunet"
