"""`Jobs`: a file for each job. It says what is to be done, who does it and how it ended; Redis only carries messages.

models/jobs/<job_id>.json until the job has ended, then models/jobs/ended/<job_id>.json;
models/jobs/logs/<job_id>.txt is what its process printed. Every change is read, made and written as one step, under a
lock and by rename.
"""

import contextlib
from pathlib import Path
from typing import Any

from fer_core.errors import JobError, NoSuchJobError, did_you_mean
from fer_core.store.clock import Clock, utc_now, utc_text
from jobs.job import ENDED, Claim, Job, TaskName, owner_is_alive
from jobs.owner import Owner
from jobs.record_files import RecordFiles, check_id


class JobTakenError(JobError):
    """Another process carries the job out by now."""


class Jobs:
    """All jobs of a models folder. Nothing is kept in memory: each question reads the disk."""

    def __init__(self, folder: Path, *, clock: Clock = utc_now):
        self.folder = folder
        self._files = RecordFiles(folder, clock)
        self._clock = clock

    def create(self, job: Job) -> bool:
        """Writes the record of a new job; returns False, and changes nothing, if there is one of that id."""
        with self._files.changing(job.id):
            if self._files.found(job.id) is not None:
                return False
            self._files.write(job)
        return True

    def read(self, job_id: str) -> Job:
        """Returns a job. Raises JobError if there is none of that id, it is no id, or its record is broken."""
        job = self._files.found(job_id)
        if job is None:
            raise NoSuchJobError(f"There is no job {job_id!r} in {self.folder}.", hint=self._others(job_id))
        return job

    def find(self, name: str) -> Job:
        """Returns the job of that id, or the newest that works on that run or search, or the one whose id begins so.

        Raises JobError if there is none, or several begin so.
        """
        job = self._files.found(name)
        if job is not None:
            return job
        working = [job for job in (*self.ended_jobs(None), *self.open_jobs()) if name in (job.run, job.search)]
        if working:
            return max(working, key=lambda job: job.created_utc)
        begins = [job_id for job_id in self.ids() if job_id.startswith(name)]
        if len(begins) > 1:
            raise JobError(f"{len(begins)} jobs begin with {name!r}.", hint=f"For example {', '.join(begins[-3:])}.")
        return self.read(begins[0] if begins else name)

    def change(self, job_id: str, *, as_owner: Owner | None = None, **fields: Any) -> Job:
        """Changes fields of a record in one instant and returns the job; one that ends is put to the others that have.

        Args:
            as_owner: only if this process carries it out.

        Raises:
            JobTakenError: it does not. JobError: there is no such job. DiskFullError.
        """
        with self._files.changing(job_id):
            job = self.read(job_id)
            _check_owner(job, as_owner)
            return self._files.change(job, **fields)

    def claim(self, job_id: str, *, task: TaskName, arguments: dict[str, Any], queue: str, owner: Owner) -> Claim:
        """Makes `owner` the one who carries a job out, if it is free: of several who ask at once, one gets it.

        Args:
            task, arguments, queue: what its record begins with where there is none (`celery call` writes none).
        """
        with self._files.changing(job_id):
            now = self._clock()
            moment = utc_text(now)
            job = self._files.found(job_id) or Job(
                id=job_id, task=task, arguments=arguments, queue=queue, created_utc=moment, sent_utc=moment
            )
            if job.status in ENDED:
                return Claim("ended", job)
            if job.status == "RUNNING" and owner_is_alive(job, now=now):
                return Claim("running", job)
            is_lost = job.status == "RUNNING"
            started = {"status": "RUNNING", "owner": owner, "started_utc": moment, "heartbeat_utc": moment}
            counts = {"attempt": job.attempt + 1, "losses": job.losses + is_lost}
            return Claim("taken", self._files.change(job, **started, **counts))

    def hand_on(self, job_id: str, *, as_owner: Owner, refused: str = "") -> Job:
        """Puts a job that is carried out back into the queue, or ends it where that was asked for; returns it.

        Args:
            refused: why this worker cannot begin it; empty where it only is to stop.

        Raises JobTakenError, DiskFullError.
        """
        with self._files.changing(job_id):
            job = self.read(job_id)
            _check_owner(job, as_owner)
            if job.cancel_requested:
                return self._cancelled(job)
            note = _refusal(job, refused) if refused else {}
            return self._files.change(job, status="QUEUED", owner=None, sent_utc=None, **note)

    def note_sent(self, job_id: str, *, instead_of: str | None) -> bool:
        """Notes that a message is sent now; False if another one was noted since `instead_of`, or the job has ended."""
        with self._files.changing(job_id):
            job = self._files.found(job_id)
            if job is None or job.status in ENDED or job.sent_utc != instead_of:
                return False
            self._files.change(job, sent_utc=utc_text(self._clock()))
        return True

    def ask_to_cancel(self, job_id: str) -> Job:
        """Ends a job that nobody carries out, asks for the end of one that somebody does, and returns it.

        Raises JobError if it has ended.
        """
        with self._files.changing(job_id):
            job = self.read(job_id)
            if job.status in ENDED:
                hint = "" if job.status == "SUCCEEDED" else f"`python -m jobs resume {job_id}` would go on with it."
                raise JobError(f"Job {job_id} has ended: it is {job.status}.", hint=hint)
            if job.status == "RUNNING" and owner_is_alive(job, now=self._clock()):
                return self._files.change(job, cancel_requested=True)
            return self._cancelled(job)

    def reopen(self, job_id: str) -> Job:
        """Puts a job that has ended, or was interrupted, back into the queue, and returns it.

        Raises JobError if it has succeeded, or has not ended.
        """
        with self._files.changing(job_id):
            job = self.read(job_id)
            if job.status in ("SUCCEEDED", "QUEUED", "RUNNING"):
                raise JobError(
                    f"Job {job_id} is {job.status}: there is nothing to resume.",
                    hint="A job goes on that failed, was cancelled or ran out of time.",
                )
            self._files.fetch_back(job_id)
            return self._files.change(job, **_AS_NEW)

    def restore(self, job: Job) -> None:
        """Writes a record again that was deleted or is broken, from what the process knows that carries it out."""
        with self._files.changing(job.id):
            with contextlib.suppress(JobError):
                if self._files.found(job.id) is not None:
                    return
            self._files.write(job)

    def ids(self) -> list[str]:
        """Returns the ids of all jobs, in their order."""
        return self._files.ids()

    def open_jobs(self) -> list[Job]:
        """Returns the jobs that have not ended, oldest first. Records that cannot be read are left out."""
        return self._files.open_jobs()

    def ended_jobs(self, limit: int | None = 200) -> list[Job]:
        """Returns the jobs that have ended, the last `limit` of them (None: all), the first to end first."""
        return self._files.ended_jobs(limit)

    def log(self, job_id: str) -> Path:
        """Returns the file that has what the job's process printed."""
        check_id(job_id)
        return self.folder / "logs" / f"{job_id}.txt"

    def _cancelled(self, job: Job) -> Job:
        return self._files.change(job, status="CANCELLED", owner=None, message="Cancelled.")

    def _others(self, job_id: str) -> str:
        every = sorted((*self.ended_jobs(), *self.open_jobs()), key=lambda job: job.created_utc)
        if not every:
            return "There are no jobs yet; `python -m jobs submit --help` says how to make one."
        hint = did_you_mean(job_id, [job.id for job in every])
        newest = [job.id for job in every if job.task != "trial"] or [job.id for job in every]
        return hint if hint.startswith("Did") else f"The newest are: {', '.join(newest[:-4:-1])}."


_AS_NEW = {
    "status": "QUEUED",
    "owner": None,
    "refused_by": {},
    "crashes": 0,
    "losses": 0,
    "sent_utc": None,
    "deadline_utc": None,
    "finished_utc": None,
    "cancel_requested": False,
    "message": "",
    "result": None,
}
"""What a job that is resumed does not keep."""


def _refusal(job: Job, message: str) -> dict[str, Any]:
    """Returns what is noted of a job that its owner cannot begin: so this was no attempt."""
    refused_by = job.refused_by | {job.owner.worker: job.owner.pid}
    return {"refused_by": refused_by, "message": message, "attempt": job.attempt - 1}


def _check_owner(job: Job, owner: Owner | None) -> None:
    if owner is not None and (job.owner != owner or job.status != "RUNNING"):
        raise JobTakenError(f"Job {job.id} is not carried out by this process any more: it is {job.status}.")
