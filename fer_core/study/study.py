"""`Study`: a folder of tables, and what is left to read for them. Any number of processes may read for it at once.

    study.json          with what is read, and the source
    files.csv           a row for each file: read, or failed and why; frames, faces, seconds
    readings/…          a table for each video, and one for all pictures
    people.csv …        what is made of them at the end
    parts/              only while it is read: the plan, and what was read of it so far

Each part is locked by the process that reads it, its table is written whole, then its record: a kill at any instant
loses the parts that were being read, no more, and nothing is read twice. What has changed on disk is read again.
"""

import csv
import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel

from fer_core.errors import ConfigError
from fer_core.locks import is_taken, read_notes, taken
from fer_core.resources import file_lock
from fer_core.store.files import full_disk_named, read_json, sweep, write_json
from fer_core.store.manifest import checked
from fer_core.study.settings import FileRecord, Format, Part, StudyFile, StudySettings, state_of
from fer_core.study.tables import joined, read_table, write_table

if TYPE_CHECKING:
    import pandas

    from fer_core.study.files import FoundFiles
    from fer_core.study.reading import StudyReader

FILES = ("file", "kind", "status", "reason", "seconds", "frames", "with_face", "faces", "people", "table")
"""The columns of files.csv that are for people; `faces` are those of all frames."""
_STATE = ("bytes", "changed_ns")
OF_JOBS = ("job.json", "result.json", "output.txt", "output")
"""What stands in the folder of a study that is a job, too."""

_LONGEST_NAME = 180
"""Bytes of a part of a table's path; what it is called while it is written has some fifty more."""
MOST_DEATHS = 2
"""So often a process may die over one file before that is left out."""


class _Plan(BaseModel):
    """What stands in parts/plan.json: what is being read. `files` counts those of the source."""

    parts: tuple[Part, ...] = ()
    files: int = 0


class StudyProgress(NamedTuple):
    """How far a study is: so many of its files are read, of a video all pieces; and the part of the work, 0..1."""

    read: int
    files: int
    done: float


@dataclass(frozen=True)
class Study:
    """A study on disk."""

    folder: Path
    about: StudyFile

    files_csv = property(lambda study: study.folder / "files.csv")
    parts_folder = property(lambda study: study.folder / "parts")
    log = property(lambda study: study.folder / "log.txt")

    def plan(self) -> list[Part]:
        """Returns the parts that are being read, whether they are read already or not."""
        return list(self._plan().parts)

    def left(self) -> list[Part]:
        """Returns the parts that are not read yet."""
        return [part for part in self.plan() if not self.is_read(part)]

    def free_parts(self, left: Sequence[Part], *, most: int) -> list[Part]:
        """Returns those of the parts that nobody is reading, so many at most."""
        return list(islice((part for part in left if not is_taken(self._file(part, "lock"))), most))

    def has_free_parts(self, count: int = 1) -> bool:
        """Whether so many processes more would find something to read."""
        return len(self.free_parts(self.left(), most=count)) == count

    def progress(self) -> StudyProgress | None:
        """Returns how far it is; None before anything is planned, and when it is read."""
        plan = self._plan()
        parts = [part for part in plan.parts if not self.is_read(part)]
        left = {name for part in parts for name, _ in part.files}
        work = sum(part.work for part in plan.parts)
        done = 1 - sum(part.work for part in parts) / work if work else 1.0
        return StudyProgress(plan.files - len(left), plan.files, done) if plan.files else None

    def is_read(self, part: Part) -> bool:
        """Whether the part was read to its end."""
        return self._file(part, "json").is_file()

    def prepare(self) -> "FoundFiles":
        """Plans to read what is new or has changed since it was read, and returns all files of the source.

        What was read for an earlier plan is kept. Raises SourceError for a source that cannot be read.
        """
        from fer_core.study.files import find_files, make_parts

        found = find_files(self.about.source, without=self.folder)
        with file_lock(self.folder / ".study.lock"):
            self._collect()
            known = {row["file"]: (row["bytes"], row["changed_ns"]) for row in self.files().to_dict("records")}
            new = [file for file in found.files if known.get(file.name) != state_of(file.path)]
            parts = tuple(make_parts(new, self.about.settings.model_dump_json()))
            self.parts_folder.mkdir(exist_ok=True)
            sweep(self.parts_folder)
            self._write_plan(_Plan(parts=parts, files=len(found.files)))
        return found

    def read_parts(self, reader: "StudyReader") -> None:
        """Reads parts that nobody else reads, until none are left. Raises DiskFullError, Interrupted."""
        for part in self.plan():
            with taken(self._file(part, "lock"), patience_seconds=0.0) as held:
                if held is None or self.is_read(part):
                    continue

                def begin(path: str, held=held) -> bool:
                    is_deadly = held.notes.deaths.get(path, 0) >= MOST_DEATHS
                    held.note(pid=os.getpid(), at="" if is_deadly else path)
                    return not is_deadly

                table, records = reader.read(part, begin=begin)
                write_table(table, self._file(part, "csv"))
                write_json(self._file(part, "json"), [record._asdict() for record in records])

    def note_death(self, pid: int) -> str | None:
        """Counts a process that has died over the file that it was reading, and returns that; None if it read none."""
        for part in self.plan():
            notes = read_notes(self._file(part, "lock"))
            if notes.pid != pid or not notes.at or self.is_read(part):
                continue
            with taken(self._file(part, "lock")) as held:
                if held is not None:
                    held.note(deaths=held.notes.deaths | {notes.at: held.notes.deaths.get(notes.at, 0) + 1}, pid=0)
            return notes.at
        return None

    def finish(self) -> bool:
        """Makes tables of what was read, and returns whether all of the plan is. Raises DiskFullError."""
        with file_lock(self.folder / ".study.lock"):
            self._collect()
            if self.plan():
                return False
            shutil.rmtree(self.parts_folder, ignore_errors=True)
        return True

    def files(self) -> "pandas.DataFrame":
        """Returns what came of each file, as files.csv has it. Raises ArtifactError if that is broken."""
        import pandas

        if not self.files_csv.is_file():
            return pandas.DataFrame(columns=[*FILES, *_STATE])
        table = read_table(self.files_csv)
        return table.fillna({"reason": "", "table": ""})

    def counts(self) -> dict[str, int]:
        """Returns how many files there are, and how many of them failed, without pandas."""
        with self.files_csv.open(newline="", encoding="utf-8") as file:
            statuses = [row["status"] for row in csv.DictReader(file)]
        return {"files": len(statuses), "failed": statuses.count("failed")}

    def readings(self, table: str) -> "pandas.DataFrame":
        """Returns the rows of a table, which is named as in files.csv. Raises ArtifactError."""
        return read_table(self.folder / table)

    def _plan(self) -> _Plan:
        path = self.parts_folder / "plan.json"
        if not path.is_file():
            return _Plan()
        return checked(_Plan, read_json(path, "plan"), otherwise=f"{path} is no plan of a study")

    def _write_plan(self, plan: _Plan) -> None:
        write_json(self.parts_folder / "plan.json", plan.model_dump())

    def _file(self, part: Part, kind: Literal["lock", "csv", "json"]) -> Path:
        """Returns who reads a part, its table, or the record of what came of its files."""
        return self.parts_folder / f"{part.id}.{kind}"

    def _records(self, part: Part) -> list[FileRecord]:
        return [FileRecord(**record) for record in read_json(self._file(part, "json"), "record of a part")]

    def _collect(self) -> None:
        """Makes tables of the parts that are read, of a video once all its pieces are; then they are forgotten."""
        import pandas

        plan = self.plan()
        by_video: dict[str, list[Part]] = {}
        pictures = [part for part in plan if part.kind == "pictures" and self.is_read(part)]
        for part in plan:
            if part.kind == "video":
                by_video.setdefault(part.files[0][0], []).append(part)
        videos = [sorted(pieces, key=lambda part: part.piece) for pieces in by_video.values()]
        videos = [pieces for pieces in videos if all(map(self.is_read, pieces))]
        rows = [self._add_video(pieces) for pieces in videos] + self._add_pictures(pictures)
        if rows:
            new, old = pandas.DataFrame(rows, columns=[*FILES, *_STATE]), self.files()
            old = old[~old["file"].isin(new["file"])]
            whole = pandas.concat([old, new]) if len(old) else new
            write_table(whole.sort_values("file", kind="stable"), self.files_csv)
        done = {part.id for part in [*pictures, *(part for pieces in videos for part in pieces)]}
        if done:
            left = tuple(part for part in plan if part.id not in done)
            self._write_plan(self._plan().model_copy(update={"parts": left}))
        for part in plan:
            if part.id in done:
                for kind in ("json", "csv", "lock"):
                    self._file(part, kind).unlink(missing_ok=True)

    def _add_video(self, pieces: Sequence[Part]) -> dict[str, Any]:
        """Writes the table of a video, and returns its row of files.csv."""
        records = [record for part in pieces for record in self._records(part)]
        name, bad = pieces[0].files[0][0], next((record for record in records if record.status == "failed"), None)
        row = _row(records[0], kind="video")
        if bad is not None:
            return row | {"status": "failed", "reason": bad.reason, "frames": 0, "with_face": 0, "seconds": 0.0}
        table = joined([read_table(self._file(part, "csv")) for part in pieces], records)
        path = _table_path(name, self.about.format)
        write_table(table, self.folder / path)
        seconds = max(record.seconds for record in records) - pieces[0].start
        totals = {key: sum(getattr(record, key) for record in records) for key in ("frames", "with_face")}
        people = {"faces": int(table["label"].notna().sum()), "people": int(table["person"].nunique())}
        return row | totals | people | {"seconds": round(seconds, 3), "table": path}

    def _add_pictures(self, parts: Sequence[Part]) -> list[dict[str, Any]]:
        """Writes what was read of pictures into the table of all, and returns their rows of files.csv."""
        import pandas

        if not parts:
            return []
        path = f"readings/pictures.{self.about.format}"
        records = [record for part in parts for record in self._records(part)]
        tables = [read_table(self._file(part, "csv")) for part in parts]
        if (self.folder / path).is_file():
            old = self.readings(path)
            tables.insert(0, old[~old["file"].isin({record.file for record in records})])
        table = pandas.concat([one for one in tables if len(one)] or tables[:1])
        table = table.sort_values(["file"], kind="stable").drop(columns=["seconds", "frame", "person"], errors="ignore")
        write_table(table, self.folder / path)
        faces: Mapping[str, int] = table.dropna(subset=["label"]).groupby("file").size().to_dict()
        made = {"kind": "picture", "table": path}
        return [
            _row(one, **(made if one.status == "read" else made | {"table": ""})) | {"faces": faces.get(one.file, 0)}
            for one in records
        ]


def open_study(folder: Path, about: StudyFile) -> Study:
    """Returns the study in a folder, a new one where there is none.

    Raises:
        ConfigError: the folder holds something else, or a study that is read in another way.
    """
    study_json = folder / "study.json"
    if study_json.is_file():
        before = find_study(folder).about
        own, given = before.settings, about.settings
        changed = [name for name in StudySettings.model_fields if getattr(own, name) != getattr(given, name)]
        changed += [name for name in ("source", "format") if getattr(before, name) != getattr(about, name)]
        if changed:
            raise ConfigError(
                f"{folder} holds a study with another {changed[0].replace('_', ' ')}.",
                hint="Give another folder, or the same settings to go on with it.",
            )
    elif folder.is_dir() and any(entry.name[0] != "." and entry.name not in OF_JOBS for entry in folder.iterdir()):
        raise ConfigError(f"{folder} is not empty, and holds no study.", hint="Give a new folder.")
    else:
        with full_disk_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(study_json, about.model_dump(mode="json"))
    return Study(folder, about)


def find_study(folder: Path) -> Study:
    """Returns the study in a folder. Raises ArtifactError if there is none."""
    content = read_json(folder / "study.json", "study")
    return Study(folder, checked(StudyFile, content, otherwise=f"{folder}/study.json is no study"))


def _table_path(name: str, format: Format) -> str:
    """Returns where the table of a video goes, in the study's folder also where its name would lead out of that.

    Neither it nor a temporary name made of it is longer than a file system allows.
    """
    *folders, last = (part for part in Path(name).parts if part not in ("/", ".."))
    short = "/".join([*folders, last.encode()[:_LONGEST_NAME].decode(errors="ignore")])
    mark = "" if short == name.lstrip("/") else f"~{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return f"readings/{short}{mark}.{format}"


def _row(record: FileRecord, **more: Any) -> dict[str, Any]:
    """Returns a row of files.csv; `people` and `faces` are counted elsewhere."""
    return dict.fromkeys((*FILES, *_STATE), 0) | record._asdict() | {"table": ""} | more
