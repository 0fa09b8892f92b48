"""`Batch`: pictures, videos and zips that somebody sent in pieces, and the study that is made of them.

    models/uploads/<digest>/   of the token in its address, which stands nowhere on the disk
        batch.json             what is sent, how long it is kept, what came of it
        incoming/0, 1, …       the files, as far as they are here
        source/                the same by their names, zips unpacked: what the study reads
        study/                 what `--study` writes; where workers read it, that is in the folder of their job
        annotated/             pictures and videos with what was read, once somebody wants them
        seen                   changed when somebody looks

All of it is below the models folder, which workers have too.

`python -m fer_core.web.batch` reads a batch, or draws what was read; it ends with its parent.
"""

import hashlib
import os
import re
import signal
import sys
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fer_core.cli import ended
from fer_core.errors import NotFoundError
from fer_core.paths import Paths
from fer_core.store.files import read_json
from fer_core.store.manifest import checked

Keep = Literal["session", "day", "week", "month"]
KEPT: dict[Keep, timedelta] = {
    "session": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
    "month": timedelta(days=30),
}
"""How long a batch is kept from its start on; `session`: from when it was read and its page was last open."""
MOST_FILES = 10_000
FPS = 5.0
"""So many frames of a second of video are read."""

_TOKEN = re.compile("[0-9a-f]{40}")
_LONGEST_NAME = 120
"""Bytes of a part of a path; tables and temporary files have longer names."""
_MOST_FOLDERS = 6
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"|?*#]')


class SentFile(BaseModel):
    """A file of a batch, by the name and the size that the browser says."""

    model_config = ConfigDict(use_attribute_docstrings=True, extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1, max_length=4000)]
    """With the folders that it lies in: holiday/beach.jpg."""
    size: Annotated[int, Field(ge=0, le=2**50)]
    """In bytes."""


class BatchFile(BaseModel):
    """What stands in batch.json."""

    model_config = ConfigDict(frozen=True)

    files: tuple[SentFile, ...]
    keep: Keep = "session"
    faces: Literal["find", "given"] = "find"
    created: datetime
    started: datetime | None = None
    job: str | None = None
    """That reads it, where there are workers."""
    left_out: dict[str, str] = {}
    """Files that are not read at all, and why."""
    is_read: bool = False
    problem: str = ""
    hint: str = ""


@dataclass(frozen=True)
class Batch:
    """A batch on disk. `about` is what it was when it was looked for."""

    folder: Path
    about: BatchFile
    paths: Paths

    incoming = property(lambda batch: batch.folder / "incoming")
    source = property(lambda batch: batch.folder / "source")
    annotated = property(lambda batch: batch.folder / "annotated")
    seen = property(lambda batch: batch.folder / "seen")
    size = property(lambda batch: sum(file.size for file in batch.about.files))

    @property
    def study_folder(self) -> Path:
        """Where the study is."""
        return self.paths.models / "studies" / self.about.job if self.about.job else self.folder / "study"

    def there(self) -> list[int]:
        """Returns how many bytes of each file are here, before the start."""
        return [size_of(self.incoming / str(number)) for number in range(len(self.about.files))]

    @property
    def expires(self) -> datetime:
        """When it is deleted."""
        about = self.about
        if about.started and about.keep != "session":
            return about.started + KEPT[about.keep]
        is_at_work = about.started and not (about.is_read or about.problem)
        seen = datetime.fromtimestamp(self.seen.stat().st_mtime, UTC)
        return seen + KEPT["day" if is_at_work else "session"]


def root_of(paths: Paths) -> Path:
    """Returns the folder of all batches, links followed: as the source of a job names it."""
    return (paths.models / "uploads").resolve()


def folder_of(paths: Paths, token: str) -> Path:
    """Returns the folder of the batch with that token. Raises NotFoundError for what is none."""
    if not _TOKEN.fullmatch(token):
        raise no_batch()
    return root_of(paths) / hashlib.sha256(token.encode()).hexdigest()[:40]


def open_batch(folder: Path, paths: Paths) -> Batch:
    """Returns the batch in a folder. Raises ArtifactError if there is none."""
    path = folder / "batch.json"
    return Batch(folder, checked(BatchFile, read_json(path, "upload"), otherwise=f"{path} is no upload"), paths)


def no_batch() -> NotFoundError:
    """Returns the error for an address that leads nowhere."""
    return NotFoundError(
        "There is no such upload, or it is deleted already.",
        hint="An upload is deleted when its time is over: send the files again.",
    )


def size_of(path: Path) -> int:
    """Returns the bytes of a file, or of all in a folder; 0 where there is none."""
    if path.is_dir():
        # Not by Path.rglob, which is upset by a folder that is removed meanwhile.
        return sum(size_of(Path(folder, name)) for folder, _, names in os.walk(path) for name in names)
    try:
        return path.stat().st_size
    except OSError:
        return 0


def safe_name(name: str) -> str:
    """Returns a name by which a file can lie in a folder here: relative, visible, short, no formula in a spreadsheet.

    What it cannot keep becomes _; the suffix stays.
    """
    parts = [_safe_part(part) for part in re.split(r"[/\\]", name) if part.strip() not in ("", ".", "..")]
    return "/".join(parts[-_MOST_FOLDERS:]) or "_"


def _safe_part(part: str) -> str:
    text = unicodedata.normalize("NFC", part.encode(errors="replace").decode()).strip()
    text = "".join("_" if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Cn") else one for one in text)
    text = re.sub(r"^[.=+@-]", "_", _NOT_IN_NAMES.sub("_", text)).rstrip(". ")
    stem, dot, suffix = text.rpartition(".")
    if len(suffix) > 10 or not dot:
        stem, dot, suffix = text, "", ""
    room = _LONGEST_NAME - len((dot + suffix).encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + suffix or "_"


def main(argv: Sequence[str]) -> None:
    """Does what the arguments say: folder, what, settings, processes, and the folders of models and history."""
    folder, what, spec, processes, *folders = argv
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if what == "reading":
        from fer_core.cli import study

        study.main([f"{folder}/study", "--spec", spec, "--processes", processes, *folders])
        return
    from fer_core.study.annotated import annotate_pictures, annotate_video
    from fer_core.study.study import find_study

    batch = open_batch(Path(folder), Paths.from_environment(models=folders[1], history=folders[3]))
    study = find_study(batch.study_folder)
    batch.annotated.mkdir(exist_ok=True)
    if what == "pictures":
        annotate_pictures(study, batch.source, batch.annotated / "pictures.zip")
    else:
        name = study.files()["file"][int(what)]
        annotate_video(study, name, batch.source / name, batch.annotated / f"{what}.mp4")


def _end_with_parent() -> None:
    """Waits for the end of the parent, which holds the other end of this pipe."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(ended(main, sys.argv[1:]))
