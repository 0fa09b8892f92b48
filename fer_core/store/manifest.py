"""`Manifest`: all that is known about a run, as `manifest.json` and as an attribute of its `.h5`.

May come from elsewhere: its types see to it that no id leads out of a folder, and no date or count ends who shows it.
"""

import contextlib
import platform
import re
import subprocess
import tomllib
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.resources import PROJECT
from fer_core.store.files import plain

Kind = Literal["train", "trial", "retrain", "ensemble", "fold"]
ONLY_ASKED: tuple[Kind, ...] = ("trial", "fold")
"""One of many, of which only answers and scores are wanted: it gets no audit of its own, no export and no plots."""

SCHEMA = 1
LARGEST_BYTES = 60_000  # the whole manifest is an attribute of the .h5, and HDF5 promises no more than 64 KB for one

_RUN_ID = "[A-Za-z0-9][A-Za-z0-9._-]{0,120}"
_HISTORY_PATH = r"([A-Za-z0-9_][A-Za-z0-9._-]*/)?[A-Za-z0-9_][A-Za-z0-9._ ()+-]*\.csv"
_LONGEST_PATH = 260
_LONGEST_TIMESTAMP = 40

_DISTRIBUTIONS = {
    **{name: name for name in ("keras", "tensorflow", "jax", "numpy", "fer-workbench")},
    "tensorflow-cpu": "tensorflow",
    "opencv-python": "opencv",
    "opencv-python-headless": "opencv",
}
Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: Any, *, otherwise: str, hint: str = "") -> Model:
    """Returns what a file holds, as JSON or parsed, as a model. Raises ArtifactError that names the first wrong field.

    Args:
        otherwise: how its message begins, e.g. "This is no evaluation of ours".
    """
    validate = model.model_validate_json if isinstance(values, str | bytes) else model.model_validate
    try:
        return validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise ArtifactError(
            f"{otherwise}: {field}: {first['msg'].removeprefix('Value error, ').lower()}.", hint=hint
        ) from None


def checked_id(text: str, what: str) -> str:
    """Returns what can be the id of a run or search: a name in one folder, never a path out of it.

    Raises ArtifactError for anything else; `what` names it.
    """
    if not re.fullmatch(_RUN_ID, text):
        raise ArtifactError(f"{text[:200]!r} is no {what}: it has letters, digits, '-', '_' and '.' only.")
    return text


def _timestamp(text: str) -> str:
    if len(text) > _LONGEST_TIMESTAMP or datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("it is no moment such as 2026-01-31T14:02:12.345Z")
    return text


def _history_path(text: str) -> str:
    if len(text) > _LONGEST_PATH or not re.fullmatch(_HISTORY_PATH, text):
        raise ValueError("it is no CSV of the history folder")
    return text


RunId = Annotated[str, StringConstraints(pattern=f"^{_RUN_ID}$")]  # the id of a run or search
Timestamp = Annotated[str, AfterValidator(_timestamp)]
"""A date and time with its offset, as `clock.utc_text` writes it."""
Count = Annotated[int, Field(ge=0, le=1_000_000_000)]  # of epochs, attempts, images
Share = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0.01, le=100, allow_inf_nan=False)]
"""What logits are divided by: far more than is ever fitted, and never so little that what comes out is no number."""
HistoryPath = Annotated[str, AfterValidator(_history_path)]
"""A CSV in the history folder, or in one of the folders in it that are named by a search."""


class _Scores(TypedDict):
    split: NotRequired[str | None]
    images: NotRequired[Count | None]
    accuracy: NotRequired[Share | None]
    accuracy_interval: NotRequired[tuple[Share, Share] | None]
    macro_f1: NotRequired[Share | None]
    chosen_on: NotRequired[str]
    kept_epoch: NotRequired[Count | None]
    epochs: NotRequired[Count | None]


_CHECKED_SCORES = TypeAdapter(_Scores)


def _scores(values: dict[str, Any]) -> dict[str, Any]:
    """Checks those that are shown, and returns all as they are, in their order."""
    _CHECKED_SCORES.validate_python(values)
    return values


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
    """The exported model_int8.tflite, and its accuracy on the images of `scores`, which says what decided."""

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
    colours: Literal["gray", "rgb"] = "gray"
    """What three channels are: the same gray three times, or colours."""
    teachers: dict[str, str] | None = None
    """The SHA-256 of each model that it was distilled from, by the id of its run."""
    framing: dict[str, FramingMetadata] | None = None
    """By detector."""
    aligned: bool = False
    """Whether it was trained on faces turned upright by their eyes, and so reads them."""
    temperature: Temperature = 1.0
    unsure_below: Share | None = None
    """The calibrated confidence above which enough of the validation images are right; None: not measured."""
    prior: dict[str, Share] | None = None
    """How often each class was the target in training; they sum to 1."""
    prior_power: Share = 0.0
    """The answers are divided by the prior to this power: by the model itself."""

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
    scores: Annotated[dict[str, Any], AfterValidator(_scores)] | None = None
    """The summary figures of a finished run."""
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
        hint = f"This version reads schema {SCHEMA}; a file of a newer version needs that version."
        return checked(cls, text, otherwise=f"{where} is no manifest of this version", hint=hint)

    def completed(self, fields: dict[str, Any]) -> "Manifest":
        """Returns a copy with other fields, checked; NumPy numbers become Python's, NaN becomes None."""
        return Manifest.model_validate(self.model_dump(by_alias=True) | plain(fields))


def installed_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that decide a training, without importing them."""
    found = {"python": platform.python_version()}
    for distribution, name in _DISTRIBUTIONS.items():
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.setdefault(name, metadata.version(distribution))
    # The checkout's own version counts, since it is run without being installed.
    with contextlib.suppress(OSError, tomllib.TOMLDecodeError, KeyError):
        project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
        found["fer-workbench"] = project["project"]["version"]
    return found


def checkout_commit(project: Path = PROJECT) -> str | None:
    """Returns the git commit of the project's own checkout; None if it is none, has none, or there is no git."""
    command = ["git", "-C", str(project), "rev-parse", "--show-toplevel", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    # An installed package may lie inside somebody else's repository, whose commit says nothing about us.
    return answer[1] if len(answer) == 2 and Path(answer[0]) == project.resolve() else None
