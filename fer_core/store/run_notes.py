"""What people say about a run: a name, tags, notes, and whether lists hide it. One small file in the run's folder.

Not in the manifest, which says what the run is and does not change once it is finished.
"""

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fer_core.errors import ArtifactError, ConfigError
from fer_core.store.files import read_json, write_json
from fer_core.store.run import Run

FILE = "notes.json"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MOST = {"name": "100 characters", "tags": "20 tags of 40 characters", "notes": "10,000 characters"}

Tag = Annotated[str, Field(min_length=1, max_length=40)]


class RunNotes(BaseModel):
    """What people say about a run."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Annotated[str, Field(max_length=100)] = ""
    tags: Annotated[tuple[Tag, ...], Field(max_length=20)] = ()
    notes: Annotated[str, Field(max_length=10_000)] = ""
    archived: bool = False
    """Lists leave it out unless they are asked for it. Nothing else changes."""


def notes_of(run: Run) -> RunNotes:
    """Returns what was said about a run; nothing where there is no such file, or none of ours."""
    try:
        return RunNotes.model_validate(read_json(run.folder / FILE, "notes"))
    except (ArtifactError, ValidationError):  # they must never hide the run
        return RunNotes()


def save_notes(run: Run, *, name: str, tags: Sequence[str], notes: str, archived: bool) -> RunNotes:
    """Writes what people say about a run, whole, and returns it, without spaces around it and tags that come twice.

    Raises ConfigError for what is too long, DiskFullError.
    """
    plain_tags = dict.fromkeys(filter(None, map(_on_one_line, tags)))
    values = {"name": _on_one_line(name), "tags": tuple(plain_tags), "notes": notes.strip(), "archived": archived}
    try:
        found = RunNotes(**values)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        raise ConfigError(f"The {field} of a run may have at most {_MOST[field]}.", hint="Shorten it.") from None
    write_json(run.folder / FILE, found.model_dump())
    return found


def _on_one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()
