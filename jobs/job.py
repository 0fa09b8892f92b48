"""`Job`: what is known of one job, and whether the process that carries it out still lives."""

from datetime import datetime
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from fer_core.store.run import Status
from fer_core.store.stored_values import Count, RunId, Timestamp
from jobs.owner import Owner, is_here, lives_here

TaskName = Literal["tune", "trial", "train", "retrain", "evaluate", "gc"]

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT")
SILENT_SECONDS = 60.0
"""A process on another machine that has given no sign for so long is taken for dead. Signs come every ten seconds."""


class Job(BaseModel):
    """What is known of a job."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    id: str
    task: TaskName
    arguments: dict[str, Any] = {}
    status: Status = "QUEUED"
    queue: str
    run: RunId | None = None
    search: RunId | None = None
    schedule: str | None = None
    """The entry of the schedule that it comes from."""

    attempt: Count = 0
    """How often it was begun."""
    epoch: Count = 0
    """The last finished one when it was looked at last; a later one forgives the crashes and losses before it."""
    crashes: Count = 0
    """How often in a row its process crashed without finishing an epoch."""
    losses: Count = 0
    """How often in a row its worker died without an epoch having been finished."""
    owner: Owner | None = None
    refused_by: dict[str, int] = {}
    """The workers whose machine cannot begin it, with the number of the process that found out."""

    created_utc: Timestamp
    sent_utc: Timestamp | None = None
    started_utc: Timestamp | None = None
    """The latest attempt."""
    deadline_utc: Timestamp | None = None
    heartbeat_utc: Timestamp | None = None
    finished_utc: Timestamp | None = None

    cancel_requested: bool = False
    message: str = ""
    result: dict[str, Any] | None = None

    @property
    def is_refused_here(self) -> bool:
        """Whether the process that carries it out has refused it before."""
        return self.owner is not None and self.refused_by.get(self.owner.worker) == self.owner.pid


class Claim(NamedTuple):
    """Whether who asked may carry the job out: 'taken' = yes, 'running' = another one does, 'ended' = never again."""

    outcome: Literal["taken", "running", "ended"]
    job: Job


def owner_is_alive(job: Job, *, now: datetime) -> bool:
    """Returns whether the process that carries the job out lives: looked up here, by its signs of life elsewhere."""
    if job.owner is None:
        return False
    if is_here(job.owner):
        return lives_here(job.owner)
    return seconds_since(job.heartbeat_utc, now) < SILENT_SECONDS


def seconds_since(moment_utc: str | None, now: datetime) -> float:
    """Returns the seconds from a moment, as records have it, to `now`; infinite where there is none."""
    if moment_utc is None:
        return float("inf")
    return (now - datetime.fromisoformat(moment_utc)).total_seconds()
