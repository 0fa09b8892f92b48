"""What a study is asked for, as values: loads nothing that reads pictures."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from fer_core.config import Settings
from fer_core.faces import WIDTHS

Format = Literal["csv", "parquet"]


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
