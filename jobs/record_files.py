"""The files of the records: found, read and written whole. Knows nothing of what may follow what in a job's life."""

import contextlib
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from fer_core.errors import JobError
from fer_core.store.clock import Clock, utc_text
from fer_core.store.files import full_disk_named, read_whole, write_json
from jobs.job import ENDED, Job

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,160}")
_LOCKS = 16
"""Shared by all jobs, so that thousands of trials do not leave thousands of lock files."""
_LOCK_SECONDS = 30


class RecordFiles:
    """A folder with a file for each job that has not ended, and a folder in it for those that have."""

    def __init__(self, folder: Path, clock: Clock):
        self._folder = folder
        self._ended = folder / "ended"
        self._clock = clock

    @contextlib.contextmanager
    def changing(self, job_id: str) -> Iterator[None]:
        """Keeps all other processes from changing the record meanwhile. Raises JobError, also for what is no id."""
        check_id(job_id)
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f".{zlib.crc32(job_id.encode()) % _LOCKS:02}.lock"
        lock = FileLock(path, poll_interval=0.01)
        try:
            with full_disk_named(path):
                lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            raise JobError(
                f"The record of job {job_id} has been locked for {_LOCK_SECONDS} seconds.",
                hint=f"A process that has been stopped holds it: `fuser {path}` names it.",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def found(self, job_id: str) -> Job | None:
        """Returns a job; None if there is none of that id. Raises JobError for a broken record, or what is no id."""
        check_id(job_id)
        # Twice: between two looks it may have been moved either way.
        for folder in (self._folder, self._ended) * 2:
            with contextlib.suppress(FileNotFoundError):
                return _read(folder / f"{job_id}.json")
        return None

    def write(self, job: Job) -> None:
        """Writes the record of a job that has not ended. Raises DiskFullError."""
        write_json(self._folder / f"{job.id}.json", job.model_dump(mode="json"))

    def change(self, job: Job, **fields: Any) -> Job:
        """Returns the job with other fields, written; one that ends so is put to the others that have ended."""
        if fields.get("status") in ENDED:
            fields = {"finished_utc": utc_text(self._clock())} | fields
        changed = Job.model_validate(job.model_dump() | fields)
        self.write(changed)
        if changed.status in ENDED:
            self._ended.mkdir(exist_ok=True)
            (self._folder / f"{job.id}.json").rename(self._ended / f"{job.id}.json")
        return changed

    def fetch_back(self, job_id: str) -> None:
        """Puts a record that is with the ended ones back to the others."""
        with contextlib.suppress(FileNotFoundError):
            (self._ended / f"{job_id}.json").rename(self._folder / f"{job_id}.json")

    def ids(self) -> list[str]:
        """Returns the ids of all jobs, in their order."""
        return sorted({path.stem for folder in (self._folder, self._ended) for path in folder.glob("[!.]*.json")})

    def open_jobs(self) -> list[Job]:
        """Returns the jobs that have not ended, oldest first. Records that cannot be read are left out."""
        return sorted(_readable(self._folder.glob("[!.]*.json")), key=lambda job: (job.created_utc, job.id))

    def ended_jobs(self, limit: int | None) -> list[Job]:
        """Returns the jobs that have ended, the last `limit` of them, the first to end first."""
        paths = sorted(self._ended.glob("[!.]*.json"), key=_changed_at)
        return list(_readable(paths if limit is None else paths[-limit:]))


def check_id(job_id: str) -> None:
    """Raises JobError for what is no id: an id never becomes a path outside its folder."""
    if not _ID.fullmatch(job_id):
        raise JobError(f"{job_id!r} is no job id: it has letters, digits, '-', '_' and '.' only.")


def _read(path: Path) -> Job:
    try:
        return Job.model_validate_json(read_whole(path))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise JobError(f"The record {path} cannot be read: {error.strerror}.", hint="Move it away.") from error
    except ValidationError as error:
        raise JobError(
            f"The record {path} is not whole ({error.errors()[0]['msg']}).",
            hint="Delete it and send the job again; what its run or search has is kept. `run` goes on with a run.",
        ) from None


def _readable(paths: Iterable[Path]) -> Iterator[Job]:
    for path in paths:
        with contextlib.suppress(FileNotFoundError, JobError):
            yield _read(path)


def _changed_at(path: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_mtime_ns
    return 0
