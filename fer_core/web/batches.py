"""`Batches`: takes what is sent in pieces, has it read, and deletes what is no longer to be kept.

It is read by the workers of the jobs where some listen, else by one process after the other here. A process ends with
this one, and what it had not read is read after the next start.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError, FerError, JobError
from fer_core.job.job import Job, open_job
from fer_core.job.lifecycle import cancel_job, new_id
from fer_core.locks import taken
from fer_core.paths import Paths
from fer_core.resources import available_cores, child_environment
from fer_core.store.files import Clock, full_disk_named, write_json
from fer_core.study.reading import settled
from fer_core.study.run import last_error
from fer_core.study.settings import StudySettings
from fer_core.study.study import find_study
from fer_core.web.background import Background, Work
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
"""What a process does with a batch; else it draws "pictures", or the video of that number."""


class Batches:
    """The batches of a models folder. `close` ends what it has begun; that goes on after the next start."""

    def __init__(self, paths: Paths, settings: WebSettings, jobs: JobList, clock: Clock):
        self._paths, self._settings, self._jobs, self._clock = paths, settings, jobs, clock
        self._works = Background()
        self._changing = threading.Lock()
        self._closing = threading.Event()
        self.close = self._closing.set
        threading.Thread(target=self._watch, name="uploads", daemon=True).start()

    @property
    def piece_bytes(self) -> int:
        """How much of a file may be sent in one request."""
        return min(MOST_PIECE_BYTES, self._settings.upload_bytes)

    def create(self, files: Sequence[SentFile], *, keep: Keep, faces: str) -> str:
        """Returns the token of a new batch, for which these files are to be sent. Raises RequestError (413, 507)."""
        size, settings = sum(file.size for file in files), self._settings
        if size > settings.max_batch_gb * 1e9:
            hint = "Send them in several uploads, or read them with --study on the server."
            most = f"an upload may have {settings.max_batch_gb:g} GB"
            raise RequestError(413, f"The files have {size / 1e9:.1f} GB together; {most}.", hint=hint)
        with self._changing:
            held = sum(max(size_of(batch.folder), batch.size) for batch in self._all())
            if held + size > settings.max_kept_gb * 1e9:
                hint = "Delete an upload that nobody needs any more, or wait until one has run out."
                raise RequestError(507, "The server keeps as much of uploads as it may.", hint=hint)
            token = secrets.token_hex(20)
            folder = folder_of(self._paths, token)
            with full_disk_named(root_of(self._paths)):
                (folder / "incoming").mkdir(parents=True)
                (folder / "seen").touch()
            about = BatchFile(files=tuple(files), keep=keep, faces=faces, created=self._clock())
            write_json(folder / "batch.json", about.model_dump(mode="json"))
        return token

    def find(self, token: str) -> Batch:
        """Returns the batch with that token. Raises NotFoundError, also for one that is deleted or has run out."""
        with suppress(ArtifactError, OSError):
            batch = open_batch(folder_of(self._paths, token), self._paths)
            if batch.expires > self._clock():
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
                with suppress(OSError):
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
        self._begin(batch, READING)
        return batch

    def draw(self, batch: Batch, what: str) -> Work | None:
        """Has "pictures", or the video of that number, drawn; returns how far that is, None where it is done."""
        return None if what in made_of(batch) else self._begin(batch, what)

    def keep(self, batch: Batch, how_long: Keep) -> Batch:
        """Keeps a batch for another time, counted from its start. Raises RequestError (409) where that is over."""
        started = batch.about.started
        if started and how_long != "session" and started + KEPT[how_long] <= self._clock():
            hint = "Choose a longer time, or delete it."
            raise RequestError(409, f"A {how_long} is over already: it is counted from the upload.", hint=hint)
        return self._update(batch, keep=how_long)

    def delete(self, batch: Batch) -> None:
        """Deletes a batch: its folder gets a name by which nobody finds it, which needs no room on a full disk."""
        gone = batch.folder.with_name(f".{batch.folder.name}")
        with suppress(FileNotFoundError):  # somebody else has
            batch.folder.rename(gone)
            self._remove(gone)

    def state(self, batch: Batch) -> dict[str, Any]:
        """Returns how far a batch is."""
        about, work = batch.about, self._works.look(f"{batch.folder.name} {READING}")
        state = {"status": "reading", "doing": work.progress if work else "", "share": None, "files": []}
        state |= {"problem": about.problem or (work.problem if work else ""), "hint": about.hint}
        if about.started is None:
            files = [{**dict(file), "there": there} for file, there in zip(about.files, batch.there(), strict=True)]
            share = sum(file["there"] for file in files) / batch.size if batch.size else 1.0
            state |= {"status": "sending", "share": share, "files": files}
        elif about.is_read or state["problem"]:
            state["status"] = "done" if about.is_read else "failed"
        elif (end := job.end if (job := self._job(batch)) else None) is not None:
            problem = "" if end.status == "SUCCEEDED" else end.message or f"The job is {end.status.lower()}."
            self._end(batch, **({"problem": problem} if problem else {}))
            state |= {"status": "failed" if problem else "done", "problem": problem}
        else:
            with suppress(ArtifactError):  # it has not begun
                if progress := find_study(batch.study_folder).progress():
                    doing = f"{progress.read} of {progress.files} files read"
                    state |= {"doing": doing, "share": progress.done}
        times = {"keep": about.keep, "expires_utc": batch.expires.isoformat()}
        return state | {"piece_bytes": self.piece_bytes} | times

    def _begin(self, batch: Batch, what: str) -> Work:
        return self._works.get(f"{batch.folder.name} {what}", lambda say: self._work(batch.folder, what))

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

    def _watch(self) -> None:
        """Goes on with what was not read at the last end, and sweeps, until `close`."""
        self._sweep()
        for batch in self._all():
            about = batch.about
            if about.started and not (about.is_read or about.problem or self._job(batch)):
                self._begin(batch, READING)
        while not self._closing.wait(SWEEP_SECONDS):
            self._sweep()

    def _work(self, folder: Path, what: str) -> None:
        """Reads a batch, or draws what was read in it. Raises FerError."""
        with suppress(ArtifactError, FileNotFoundError):  # it was deleted meanwhile
            with taken(folder / f".{what}.lock", patience_seconds=0.0) as held:
                batch = open_batch(folder, self._paths)
                if held is not None and not self._closing.is_set():  # else another server does it
                    if what == READING:
                        self._read(batch)
                    else:
                        self._run(batch, what, {})
            if _is_deleted(batch):
                shutil.rmtree(folder, ignore_errors=True)  # what the process wrote since

    def _read(self, batch: Batch) -> None:
        try:
            is_for_us = self._prepared(batch) and not self._sent_to_workers(batch)
            if is_for_us and self._run(batch, READING, self._spec_of(batch)):
                self._end(batch)
        except FerError as error:
            problem = str(error).replace(f"{batch.folder}/", "")
            self._end(batch, problem=problem, hint=error.hint)

    def _prepared(self, batch: Batch) -> bool:
        """Makes the source, and returns whether there is anything to read in it."""
        if not batch.source.is_dir():
            most_bytes = int(self._settings.max_batch_gb * 1e9)
            left_out = prepare_source(batch, most_bytes=most_bytes, most_pixels=self._settings.pixels)
            self._update(batch, left_out=left_out)
            put_in_place(batch)
        if any(path.is_file() for path in batch.source.rglob("*")):
            return True
        hint = "Send pictures, videos, or a zip of them."
        self._end(batch, problem="Nothing that was sent can be read.", hint=hint)
        return False

    def _spec_of(self, batch: Batch) -> dict[str, Any]:
        names = ("model", "detector", "detector_model", "threshold", "prior")
        same = {name: getattr(self._settings, name) for name in names}
        settings = settled(StudySettings(**same, fps=FPS, faces=batch.about.faces), self._paths)
        return {"source": str(batch.source)} | settings.model_dump(mode="json", exclude_defaults=True)

    def _sent_to_workers(self, batch: Batch) -> bool:
        """Makes a job of it where workers listen, and returns whether it is one."""
        job_id = new_id("read", StudySettings()) if "cpu" in self._jobs.broker_state.get()["queues"] else None
        batch = self._update(batch, job=job_id)  # first: no kill leaves a job that is not deleted with the batch
        if job_id:
            self._jobs.submit("read", self._spec_of(batch), job_id=job_id)
        return job_id is not None

    def _run(self, batch: Batch, what: str, spec: dict[str, Any]) -> bool:
        """Has a process do something, and returns whether it is done. Raises FerError with what it said."""
        command = [sys.executable, "-m", "fer_core.web.batch", str(batch.folder), what]
        command += [json.dumps(spec), str(available_cores()), "--models-dir", str(self._paths.models.absolute())]
        command += ["--history-dir", str(self._paths.history.absolute())]
        output = batch.folder / f"{what}.txt"
        with output.open("wb") as said:
            streams = {"stdin": subprocess.PIPE, "stdout": said, "stderr": said}
            process = subprocess.Popen(command, env=child_environment(), **streams)
        while process.poll() is None:
            if self._closing.is_set() or _is_deleted(batch):
                process.stdin.close()  # it ends with this
                with suppress(subprocess.TimeoutExpired):
                    process.wait(_STOP_SECONDS)
                process.kill()
                process.wait()
                return False
            self._closing.wait(_POLL_SECONDS)
        process.stdin.close()
        if process.returncode:
            raise FerError(last_error(output).replace(f"{batch.folder}/", ""))
        return True

    def _sweep(self) -> None:
        """Deletes what has run out, and what is left of deleted batches."""
        for folder in root_of(self._paths).glob("*"):
            try:
                if folder.name[0] == ".":
                    self._remove(folder)
                elif (batch := open_batch(folder, self._paths)).expires <= self._clock():
                    self.delete(batch)
            except (FerError, OSError):  # a kill while it was made, it is removed just now, or the disk is full
                with suppress(OSError):
                    if time.time() - folder.stat().st_mtime > KEPT["session"].total_seconds():
                        shutil.rmtree(folder)

    def _remove(self, gone: Path) -> None:
        """Removes a deleted batch; the study of a job once that has ended, which a later sweep sees."""
        for path in gone.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        job = self._job(open_batch(gone, self._paths))
        if job is not None and job.end is None:
            with suppress(FerError, OSError):
                cancel_job(job)
            if job.end is None:
                return
        if job is not None:
            shutil.rmtree(job.folder, ignore_errors=True)
        shutil.rmtree(gone, ignore_errors=True)

    def _job(self, batch: Batch) -> Job | None:
        with suppress(JobError):
            return open_job(self._paths, batch.about.job) if batch.about.job else None
        return None


def _is_deleted(batch: Batch) -> bool:
    return not (batch.folder / "batch.json").exists()


def made_of(batch: Batch) -> list[str]:
    """Returns what is drawn already: pictures, and the numbers of videos."""
    return sorted(path.stem for path in batch.annotated.glob("[!.]*"))
