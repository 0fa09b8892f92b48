"""`Batches`: takes what is sent in pieces, has it read, and deletes what is no longer to be kept.

It is read by the workers of the jobs where some listen, else by one process after the other here. A process ends with
this one, and what it had not read is read after the next start.
"""

import json
import logging
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from fer_core.errors import ArtifactError, FerError, JobError
from fer_core.job.job import Job, open_job
from fer_core.job.lifecycle import cancel_job
from fer_core.paths import Paths
from fer_core.resources import available_cores
from fer_core.store.files import Clock, full_disk_named, write_json
from fer_core.store.lock import taken
from fer_core.study.settings import StudySettings
from fer_core.study.study import Study, find_study
from fer_core.web.batch import (
    FPS,
    KEPT,
    Batch,
    BatchFile,
    Keep,
    SentFile,
    folder_of,
    no_batch,
    open_batch,
    root_of,
    size_of,
)
from fer_core.web.batch_source import prepare_source, put_in_place
from fer_core.web.job_detail import JobList
from fer_core.web.problems import RequestError
from fer_core.web.settings import WebSettings

MOST_PIECE_BYTES = 4 * 2**20
SWEEP_SECONDS = 60.0
_POLL_SECONDS = 0.25
_STOP_SECONDS = 10.0
READING = "reading"

log = logging.getLogger(__name__)


class Task(NamedTuple):
    """What a process is to do: `what` is READING, "pictures" (to be annotated), or the number of a video."""

    folder: Path
    what: str


class Batches:
    """The batches of a models folder. `close` ends what it has begun."""

    def __init__(self, paths: Paths, settings: WebSettings, jobs: JobList, clock: Clock):
        self._paths, self._settings, self._jobs, self._clock = paths, settings, jobs, clock
        self._todo: deque[Task] = deque()
        self._now: Task | None = None
        self._failed: dict[Task, str] = {}
        self._changing = threading.Lock()
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._swept = -SWEEP_SECONDS
        if root_of(paths).is_dir():
            self._begin_thread()

    @property
    def piece_bytes(self) -> int:
        """How much of a file may be sent in one request."""
        return min(MOST_PIECE_BYTES, self._settings.upload_bytes)

    def close(self) -> None:
        """Ends the thread, and the process that reads; what it was reading goes on after the next start."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(2 * _STOP_SECONDS)

    def create(self, files: Sequence[SentFile], *, keep: Keep, faces: str) -> str:
        """Returns the token of a new batch, for which these files are to be sent. Raises RequestError (413, 507)."""
        size, settings = sum(file.size for file in files), self._settings
        if size > settings.batch_bytes:
            raise RequestError(
                413,
                f"The files have {size / 1e9:.1f} GB together; an upload may have {settings.max_batch_gb:g} GB.",
                hint="Send them in several uploads, or read them with --study on the server.",
            )
        with self._changing:
            held = sum(max(size_of(batch.folder), batch.size) for batch in self._all())
            if held + size > settings.kept_bytes:
                hint = "Delete an upload that nobody needs any more, or wait until one has run out."
                raise RequestError(507, "The server keeps as much of uploads as it may.", hint=hint)
            token = secrets.token_hex(20)
            folder = folder_of(self._paths, token)
            with full_disk_named(root_of(self._paths)):
                (folder / "incoming").mkdir(parents=True)
                (folder / "seen").touch()
            about = BatchFile(files=tuple(files), keep=keep, faces=faces, created=self._clock())
            write_json(folder / "batch.json", about.model_dump(mode="json"))
        self._begin_thread()
        return token

    def find(self, token: str, *, is_seen: bool = True) -> Batch:
        """Returns the batch with that token. Raises NotFoundError, also for one that is deleted or has run out."""
        with suppress(ArtifactError, OSError):
            batch = open_batch(folder_of(self._paths, token), self._paths)
            if not batch.about.is_deleted and batch.expires > self._clock():
                if is_seen:
                    os.utime(batch.seen)
                return batch
        raise no_batch()

    def put(self, batch: Batch, number: int, offset: int, piece: bytes) -> None:
        """Adds a piece to a file. Raises RequestError (404, 409, 413), DiskFullError."""
        if not 0 <= number < len(batch.about.files):
            raise RequestError(404, f"The upload has no file {number}.", hint="Files are numbered from 0.")
        path, size = batch.incoming / str(number), batch.about.files[number].size
        if len(piece) > self.piece_bytes or offset + len(piece) > size:
            hint = f"Pieces of at most {self.piece_bytes} bytes, up to the size that was said."
            raise RequestError(413, "The piece is larger than it may be.", hint=hint)
        with self._changing, full_disk_named(path):
            if batch.about.started or not batch.incoming.is_dir() or size_of(path) != offset:
                hint = "Ask how much of it is there, and go on from there."
                raise RequestError(409, "The file does not go on there.", hint=hint)
            try:
                with path.open("ab") as file:
                    file.write(piece)
            except OSError:
                os.truncate(path, offset)
                raise

    def start(self, batch: Batch) -> Batch:
        """Has a batch read whose files are all here. Raises RequestError (409) where something is missing."""
        if batch.about.started:
            return batch
        missing = sum(file.size - there for file, there in zip(batch.about.files, batch.there(), strict=True))
        if missing:
            raise RequestError(409, f"{missing:,} bytes are missing.", hint="Send the rest, and start it then.")
        for number in range(len(batch.about.files)):
            (batch.incoming / str(number)).touch()
        batch = self._update(batch, started=self._clock())
        self._add(Task(batch.folder, READING))
        return batch

    def annotate(self, batch: Batch, what: str) -> None:
        """Has pictures or a video of a batch drawn with what was read in them."""
        self._failed.pop(Task(batch.folder, what), None)
        if what not in made_of(batch):
            self._add(Task(batch.folder, what))

    def keep(self, batch: Batch, how_long: Keep) -> Batch:
        """Keeps a batch for another time, counted from its start."""
        return self._update(batch, keep=how_long)

    def delete(self, batch: Batch) -> None:
        """Deletes a batch, at once or, where it is being read, within seconds. From now on nobody finds it."""
        self._remove(self._update(batch, is_deleted=True))

    def state(self, batch: Batch) -> dict[str, Any]:
        """Returns how far a batch is."""
        about, there = batch.about, batch.there()
        files = []
        if about.started is None:
            files = [{**dict(file), "there": have} for file, have in zip(about.files, there, strict=True)]
        state: dict[str, Any] = {"status": "reading", "doing": "", "share": None, "problem": "", "hint": ""}
        if about.started is None:
            state |= {"status": "sending", "share": sum(there) / batch.size if batch.size else 1.0}
        elif about.problem:
            state |= {"status": "failed", "problem": about.problem, "hint": about.hint}
        elif about.is_read:
            state["status"] = "done"
        else:
            state |= self._reading_state(batch)
        tasks = [task.what for task in (*self._todo, self._now) if task and task.folder == batch.folder]
        state["making"] = [what for what in tasks if what != READING]
        state["made"] = made_of(batch)
        state["not_made"] = {task.what: said for task, said in self._failed.items() if task.folder == batch.folder}
        times = {"keep": about.keep, "expires_utc": batch.expires.isoformat()}
        return {"files": files, "piece_bytes": self.piece_bytes} | state | times

    def _reading_state(self, batch: Batch) -> dict[str, Any]:
        job = self._job(batch)
        end = job.end if job else None
        if end is not None and end.status == "SUCCEEDED":
            self._end(batch)
            return {"status": "done"}
        if end is not None:
            problem = end.message or f"The job is {end.status.lower()}."
            self._end(batch, problem=problem)
            return {"status": "failed", "problem": problem}
        if (study := _study(batch)) and (progress := study.progress()):
            return {"doing": f"{progress.read} of {progress.files} files read", "share": progress.done}
        is_first = job is not None or self._now == Task(batch.folder, READING)
        return {"doing": "getting ready" if is_first else "waits until another upload is read"}

    def _begin_thread(self) -> None:
        with self._changing:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="uploads", daemon=True)
                self._thread.start()

    def _add(self, task: Task) -> None:
        if task not in self._todo and task != self._now:
            self._todo.append(task)
        self._begin_thread()
        self._wake.set()

    def _all(self) -> Iterator[Batch]:
        for folder in root_of(self._paths).glob("[!.]*"):
            with suppress(ArtifactError):
                yield open_batch(folder, self._paths)

    def _update(self, batch: Batch, **changed: Any) -> Batch:
        with self._changing:
            about = open_batch(batch.folder, self._paths).about.model_copy(update=changed)
            write_json(batch.folder / "batch.json", about.model_dump(mode="json"))
        return Batch(batch.folder, about, self._paths)

    def _end(self, batch: Batch, **problem: str) -> None:
        """Notes that a batch is read, or why it is not; from now on its hour runs."""
        self._update(batch, is_read=not problem, **problem)
        os.utime(batch.seen)

    def _work(self) -> None:
        """What the thread does until `close`."""
        self._sweep()
        for batch in self._all():
            about = batch.about
            if about.started and not (about.is_read or about.problem or about.job or about.is_deleted):
                self._add(Task(batch.folder, READING))
        while not self._closing.is_set():
            self._wake.clear()
            self._sweep()
            while self._todo and not self._closing.is_set():
                self._now = self._todo.popleft()
                try:
                    self._do(self._now)
                except Exception:
                    log.exception("%s of an upload failed.", self._now.what)
                    self._note_failure(self._now, "Something went wrong on the server.", "Its output says what.")
                self._now = None
            self._wake.wait(SWEEP_SECONDS)

    def _do(self, task: Task) -> None:
        with suppress(ArtifactError), taken(task.folder / ".lock", patience_seconds=0.0) as held:
            batch = open_batch(task.folder, self._paths)
            if held is None or batch.about.is_deleted:  # another server reads it
                return
            try:
                if task.what != READING:
                    self._run(task, {"model": _study(batch).about.settings.model})
                elif self._prepared(batch) and not self._sent_to_workers(batch):
                    spec = {"source": str(batch.source.absolute())} | self._settings_of(batch)
                    if self._run(task, spec):
                        self._end(batch)
            except FerError as error:
                self._note_failure(task, str(error), error.hint)
        with suppress(ArtifactError):
            batch = open_batch(task.folder, self._paths)
            if batch.about.is_deleted:
                self._remove(batch)

    def _prepared(self, batch: Batch) -> bool:
        """Makes the source, and returns whether there is anything to read in it."""
        if not batch.source.is_dir():
            limits = {"most_bytes": self._settings.batch_bytes, "most_pixels": self._settings.pixels}
            left_out = prepare_source(batch, **limits)
            self._update(batch, left_out=left_out)
            put_in_place(batch)
        if any(path.is_file() for path in batch.source.rglob("*")):
            return True
        hint = "Send pictures, videos, or a zip of them."
        self._end(batch, problem="Nothing that was sent can be read.", hint=hint)
        return False

    def _settings_of(self, batch: Batch) -> dict[str, Any]:
        settings = self._settings
        same = {name: getattr(settings, name) for name in ("model", "detector", "detector_model", "threshold", "prior")}
        return StudySettings(**same, fps=FPS, faces=batch.about.faces).model_dump(mode="json", exclude_defaults=True)

    def _sent_to_workers(self, batch: Batch) -> bool:
        """Makes a job of it where workers listen, and returns whether it is one."""
        if "cpu" not in self._jobs.broker_state.get()["queues"]:
            return False
        job = self._jobs.submit("read", {"source": str(batch.source.absolute())} | self._settings_of(batch))
        self._update(batch, job=job.id)
        return True

    def _run(self, task: Task, spec: dict[str, Any]) -> bool:
        """Has a process do something, and returns whether it is done. Raises FerError with what it said."""
        root = str(Path(__file__).parents[2])
        folders = [
            "--models-dir",
            str(self._paths.models.absolute()),
            "--history-dir",
            str(self._paths.history.absolute()),
        ]
        command = [sys.executable, "-m", "fer_core.web.batch_process", str(task.folder.absolute()), task.what]
        path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
        output = task.folder / "log.txt"
        with output.open("wb") as said:
            process = subprocess.Popen(
                [*command, json.dumps(spec), str(available_cores()), *folders],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                env=os.environ | {"PYTHONPATH": path},
            )
        while process.poll() is None:
            if self._closing.is_set() or self._is_deleted(task.folder):
                process.stdin.close()  # it ends with this
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_SECONDS)
                process.kill()
                process.wait()
                return False
            self._sweep()
            self._closing.wait(_POLL_SECONDS)
        process.stdin.close()
        if process.returncode:
            raise _said(output)
        return True

    def _is_deleted(self, folder: Path) -> bool:
        try:
            return open_batch(folder, self._paths).about.is_deleted
        except ArtifactError:
            return True

    def _note_failure(self, task: Task, problem: str, hint: str) -> None:
        problem = problem.replace(f"{(task.folder / 'source').absolute()}/", "")
        if task.what != READING:
            self._failed[task] = problem
            return
        with suppress(FerError):
            self._end(open_batch(task.folder, self._paths), problem=problem, hint=hint)

    def _sweep(self) -> None:
        """Deletes what has run out, and what was deleted while it was being read."""
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return
        self._swept = time.monotonic()
        for folder in root_of(self._paths).glob("[!.]*"):
            try:
                batch = open_batch(folder, self._paths)
                if batch.about.is_deleted or batch.expires <= self._clock():
                    self.delete(batch)
            except (ArtifactError, OSError):  # a kill while it was made, or removed
                if time.time() - folder.stat().st_mtime > KEPT["session"].total_seconds():
                    shutil.rmtree(folder, ignore_errors=True)

    def _remove(self, batch: Batch) -> None:
        """Removes what nobody works with; the rest once that has ended."""
        for task in [one for one in self._todo if one.folder == batch.folder]:
            with suppress(ValueError):  # it has begun meanwhile
                self._todo.remove(task)
        if (
            self._now is not None
            and self._now.folder == batch.folder
            and threading.current_thread() is not self._thread
        ):
            self._wake.set()
            return
        job = self._job(batch)
        if job is not None and job.end is None:
            with suppress(JobError):
                cancel_job(job)
            if job.end is None:
                for path in (batch.source, batch.annotated):
                    shutil.rmtree(path, ignore_errors=True)
                return
        if job is not None:
            shutil.rmtree(job.folder, ignore_errors=True)
        shutil.rmtree(batch.folder, ignore_errors=True)

    def _job(self, batch: Batch) -> Job | None:
        with suppress(JobError):
            return open_job(self._paths, batch.about.job) if batch.about.job else None
        return None


def made_of(batch: Batch) -> list[str]:
    """Returns what is drawn already: pictures, and the numbers of videos."""
    return sorted(path.stem for path in batch.annotated.glob("[!.]*"))


def _study(batch: Batch) -> Study | None:
    with suppress(ArtifactError):
        return find_study(batch.study_folder)
    return None


def _said(output: Path) -> FerError:
    """Returns the error that a process ended with, from the end of its output."""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    for place in reversed(range(len(lines))):
        if lines[place].startswith("Error: "):
            hint = lines[place + 1] if place + 1 < len(lines) else ""
            return FerError(lines[place].removeprefix("Error: "), hint=hint)
    log.error("The process of an upload ended: %s", "\n".join(lines[-30:]))
    return FerError("The process that reads has crashed.", hint="The server's output says why.")
