"""What may stand in a state file, as pydantic types: checked wherever one is read, so that all else may rely on it.

A run's folder may come from elsewhere, and any file may be damaged: an id must not lead out of a folder, nor a date or
a count end whoever shows it.
"""

import re
from datetime import datetime
from typing import Annotated, Any, NotRequired, TypeVar

from pydantic import AfterValidator, BaseModel, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from fer_core.errors import ArtifactError

_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}")
_HISTORY_PATH = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]*/)?[A-Za-z0-9_][A-Za-z0-9._ ()+-]*\.csv")
_LONGEST_PATH = 260
_LONGEST_TIMESTAMP = 40


Model = TypeVar("Model", bound=BaseModel)


def checked(model: type[Model], values: Any, *, otherwise: str, hint: str) -> Model:
    """Returns the values out of a file as a model. Raises ArtifactError that names the first field that is wrong.

    Args:
        otherwise: how its sentence begins, e.g. "This is no evaluation of ours".
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole"
        raise ArtifactError(f"{otherwise}: {field}: {first['msg'].lower()}.", hint=hint) from None


def is_run_id(text: str) -> bool:
    """Whether it can be the id of a run or search: a name in one folder, never a path out of it."""
    return _RUN_ID.fullmatch(text) is not None


def _timestamp(text: str) -> str:
    if len(text) > _LONGEST_TIMESTAMP or datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("it is no moment such as 2026-01-31T14:02:12.345Z")
    return text


def _run_id(text: str) -> str:
    if not is_run_id(text):
        raise ValueError("it is no id of a run")
    return text


def _history_path(text: str) -> str:
    if len(text) > _LONGEST_PATH or not _HISTORY_PATH.fullmatch(text):
        raise ValueError("it is no CSV in the history folder")
    return text


RunId = Annotated[str, AfterValidator(_run_id)]
"""The id of a run or search."""

Timestamp = Annotated[str, AfterValidator(_timestamp)]
"""A date and time with its offset, as `clock.utc_text` writes it."""

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]
"""Of epochs, attempts, images."""

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


def _scores(values: dict[str, Any]) -> dict[str, Any]:
    """Checks those that are shown, and returns all as they are, in their order."""
    TypeAdapter(_Scores).validate_python(values)
    return values


Scores = Annotated[dict[str, Any], AfterValidator(_scores)]
"""The summary figures of a finished run."""
