"""`Manifest`: all that is known about a run, as `manifest.json` and as an attribute of its `.h5`.

Written when the run is created and completed while it trains; fields that are known only later are None until then.
"""

import platform
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.store.files import plain
from fer_core.store.stored_values import Count, HistoryPath, RunId, Scores, Temperature, Timestamp

Kind = Literal["train", "trial", "retrain", "ensemble"]

SCHEMA = 1
LARGEST_BYTES = 60_000
"""The whole manifest is an attribute of the .h5, and HDF5 promises no more than 64 KB for one."""

_PROJECT = Path(__file__).parents[2]
_DISTRIBUTIONS = {
    "keras": ("keras",),
    "tensorflow": ("tensorflow", "tensorflow-cpu"),
    "jax": ("jax",),
    "numpy": ("numpy",),
    "opencv": ("opencv-python", "opencv-python-headless"),
}


class _Metadata(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True)


class SplitMetadata(_Metadata):
    """One part of the data: what its source calls it, and how many images it has."""

    name: str
    images: Count


class TrainingImages(_Metadata):
    """The set of images trained on: the file training_images.bin holds their sorted 8-byte content hashes."""

    count: Count
    sha256: str


class FramingMetadata(_Metadata):
    """How faces of one detector are cut out for the model, as `fer_core.faces.framing.Framing`."""

    scale: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
    right: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] = 0.0
    down: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)] = 0.0


class LiteRTMetadata(_Metadata):
    """The exported model.tflite, and how far its probabilities are from those of Keras at most."""

    sha256: str
    largest_difference: float


class Int8Metadata(_Metadata):
    """The exported model_int8.tflite, and its accuracy on the test images. `scores` says what decided."""

    sha256: str
    accuracy: float


class Manifest(_Metadata):
    """Everything that decides what a model is and where it came from."""

    schema_version: Literal[1] = Field(SCHEMA, alias="schema")
    run_id: RunId
    created_utc: Timestamp
    kind: Kind
    parent: str | None = None
    """The search of a trial, or the run that a retraining starts from."""
    members: tuple[RunId, ...] = ()
    """The runs that an ensemble averages."""
    recipe: str | None = None
    config: TrainConfig
    promote: bool = True
    """Whether the run becomes the model in use when it is done."""
    history_csv: HistoryPath
    """Relative to the history folder."""

    labels: tuple[str, ...] | None = None
    side: int | None = None
    channels: int | None = None
    teachers: dict[str, str] | None = None
    """The SHA-256 of each model that it was distilled from, by the id of its run."""
    framing: dict[str, FramingMetadata] | None = None
    """By detector."""
    temperature: Temperature = 1.0

    plan: dict[str, float] | None = None
    """With a time budget: the epochs that were planned, and what they were reckoned from."""
    seed: int
    threads: int | None = None
    backend: str | None = None
    devices: str | None = None
    precision: str | None = None
    """What was used; precision_reason says why."""
    precision_reason: str | None = None

    data_name: str | None = None
    data_source: str | None = None
    data_fingerprint: str | None = None
    split_fingerprint: str | None = None
    splits: dict[str, SplitMetadata] | None = None
    """By part: train, validation, test."""
    training_images: TrainingImages | None = None

    versions: dict[str, str] = {}
    git_commit: str | None = None
    scores: Scores | None = None
    litert: LiteRTMetadata | None = None
    int8: Int8Metadata | None = None

    def to_json(self) -> str:
        """Returns the manifest as JSON. Raises ArtifactError if it is too long for the .h5."""
        text = self.model_dump_json(by_alias=True, indent=2)
        if len(text.encode()) > LARGEST_BYTES:
            raise ArtifactError(
                f"The manifest of run {self.run_id} has {len(text.encode()):,} bytes; at most {LARGEST_BYTES:,} fit.",
                hint="Keep only summary figures in its scores; the rest belongs in evaluation.json.",
            )
        return text + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str) -> "Manifest":
        """Returns the manifest; `where` names its file in the error. Raises ArtifactError if it is not one of ours."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"]) or "JSON"
            raise ArtifactError(
                f"{where} is no manifest of this version ({field}: {first['msg']}).",
                hint=f"This version reads schema {SCHEMA}; a file of a newer version needs that version.",
            ) from None

    def completed(self, fields: dict[str, Any]) -> "Manifest":
        """Returns a copy with other fields, checked; NumPy numbers become Python's, NaN becomes None."""
        changed = {name: plain(_as_values(value)) for name, value in fields.items()}
        return Manifest.model_validate(self.model_dump(by_alias=True) | changed)


def _as_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_values(part) for name, part in value.items()}
    return value.model_dump() if isinstance(value, BaseModel) else value


def installed_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that decide a training, without importing them."""
    found = {name: _version(distributions) for name, distributions in _DISTRIBUTIONS.items()}
    found["fer-workbench"] = _project_version()
    return {"python": platform.python_version()} | {name: version for name, version in found.items() if version}


def _project_version() -> str | None:
    """The checkout's own, since it is run without being installed; else that of the installed package."""
    try:
        return tomllib.loads((_PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return _version(("fer-workbench",))


def _version(distributions: tuple[str, ...]) -> str | None:
    for distribution in distributions:
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return None


def checkout_commit(project: Path = _PROJECT) -> str | None:
    """Returns the git commit of the project's own checkout; None if it is none, has none, or there is no git."""
    command = ["git", "-C", str(project), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    # An installed package may lie inside somebody else's repository, whose commit says nothing about us.
    return answer[1] if len(answer) == 2 and Path(answer[0]) == project.resolve() else None
