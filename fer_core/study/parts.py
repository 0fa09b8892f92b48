"""The parts that a study is read in: what one process reads at a time, and what came of it.

How a video is cut depends on nothing but its length, so that the tables are the same however many processes there are.
"""

from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

WARM_UP = "warm_up"
"""The last column of a piece's table: read only so that people and probabilities are settled when it begins."""


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
