"""Watches jobs whose processes are killed: how long each is with nobody until it is taken, or sent again."""

import time

from fer_core.store.clock import utc_now
from jobs.job import Job, owner_is_alive
from jobs.record import Jobs


class JobWatch:
    """Look often: a loss is noticed by looking."""

    def __init__(self, jobs: Jobs):
        self._jobs = jobs
        self._lost_since: dict[str, tuple[float, str | None]] = {}
        self.seconds: list[float] = []
        """From the moment that a job was seen with a dead owner to its message being sent again or its being taken."""

    def look(self) -> None:
        """Notes what has changed."""
        now, moment = utc_now(), time.monotonic()
        running = {job.id: job for job in self._jobs.open_jobs()}
        for job in running.values():
            is_lost = job.status == "RUNNING" and not owner_is_alive(job, now=now)
            if is_lost and job.id not in self._lost_since:
                self._lost_since[job.id] = (moment, job.sent_utc)
        for job_id, (since, sent_utc) in list(self._lost_since.items()):
            if self._is_found(running.get(job_id), sent_utc, now):
                self.seconds.append(moment - since)
                del self._lost_since[job_id]

    def _is_found(self, job: Job | None, sent_utc: str | None, now) -> bool:
        if job is None or job.sent_utc != sent_utc:
            return True
        return job.status == "RUNNING" and owner_is_alive(job, now=now)

    def sentence(self) -> str:
        """Returns what was found, in words."""
        if not self.seconds:
            return "no job lost its worker."
        longest = max(self.seconds)
        return f"{len(self.seconds)} times a job lost its worker, and was sent again or taken within {longest:.0f} s."
