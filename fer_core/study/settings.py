"""What a study is asked for, and the parts that it is read in, as values: loads nothing that reads pictures.

How a video is cut depends on nothing but its length, so that the tables are the same however many processes there are.
"""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from fer_core.config import Settings
from fer_core.faces import WIDTHS

Format = Literal["csv", "parquet"]

WARM_UP = "warm_up"
"""The last column of a piece's table: read only so that people and probabilities are settled when it begins."""


class StudySettings(Settings):
    """With what a study is read."""

    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    """Read so many frames of a second of video. Default: all frames."""
    model: str | None = None
    """A run id, a .h5, .hdf5 or .keras file, or best, tiny or ferplus, which came along. Default: the model in use."""
    labels: Path | None = None
    """The labels of a model from elsewhere."""
    pixels: Literal["0..255", "0..1", "-1..1"] | None = None
    """The grey values that a model from elsewhere was trained on."""
    colours: Literal["rgb", "bgr", "gray"] | None = None
    """What a model from elsewhere with three channels was trained on."""
    runtime: Literal["litert", "int8", "keras"] = "litert"
    """What classifies."""
    prior: Annotated[float, Field(ge=0, le=1)] | None = None
    """How far the frequencies of the emotions in training are taken out of the answers. Default: as it was saved."""
    detector: str = "auto"
    """Finds faces: haar, yunet or auto."""
    detector_model: Path | None = None
    """The .onnx file of yunet."""
    detection_width: Annotated[int, Field(ge=WIDTHS[0], le=WIDTHS[1])] | None = None
    """Faces are looked for on a picture of at most this width. Default: the detector's own, and more in pictures."""
    faces: Literal["find", "given"] = "find"
    """In pictures: find faces, or each picture is one face already."""
    identify: bool = False
    """Know people again who come back in a video: by SFace, which is downloaded once (39 MB), and with yunet. What it
    makes of faces is biometric data; it is thrown away when a video is read."""
    recognizer_model: Path | None = None
    """The .onnx file of SFace."""
    threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    """A reading with less confidence is unsure. Default: what the model's validation images ask for."""
    smoothing: Annotated[float, Field(ge=0, le=60)] = 0.5
    """Seconds after which a change in a video has passed half its height; 0 = off."""


class ResultSettings(Settings):
    """What is made of the readings; may be changed without reading again."""

    baseline: float = Field(0.0, ge=0)
    """Compare each person with the first seconds in which he or she was seen."""
    markers: Path | None = None
    """A csv of file, seconds and name: how people changed there."""
    marker_window: float = Field(3.0, gt=0)
    """Seconds before and after each marker."""
    coding: Path | None = None
    """A csv of file, start, end, label (and person): what people saw, to compare with."""


class StudyFile(BaseModel):
    """What stands in study.json."""

    source: str
    settings: StudySettings
    format: Format = "csv"


class Part(BaseModel):
    """What one process reads at a time. Its id changes with the files and the settings.

    `files` are (name, path). `end` is None where it goes on to the end.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    kind: Literal["pictures", "video"]
    files: tuple[tuple[str, str], ...]
    start: float = 0.0
    end: float | None = None
    piece: int = 0
    work: float = 1.0
    """How long it takes, beside the others."""


class FileRecord(NamedTuple):
    """What came of a file, or of a piece of one. `frames` of a picture is 1."""

    file: str
    status: Literal["read", "failed"]
    reason: str
    frames: int
    with_face: int
    seconds: float
    bytes: int
    changed_ns: int
    embeddings: dict[str, list[float]] = {}
    """By the person's number, if people are to be known again."""


def state_of(path: str | Path) -> tuple[int, int]:
    """Returns size in bytes and time of change in nanoseconds; (-1, -1) where there is no file."""
    try:
        status = Path(path).stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns
