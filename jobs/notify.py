"""Telling a person: the schedule's `[notify] command` is run when a job has failed or a model was promoted."""

import json
import logging
import os
import subprocess
from collections.abc import Mapping

from fer_core.errors import FerError
from jobs.job import Job
from jobs.timetable import load_timetable

_SECONDS = 60

_logger = logging.getLogger(__name__)


def notify(job: Job, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Returns whether somebody was told of a job that has ended; a command that fails is logged, and nothing more.

    The command gets the job's record as JSON on its standard input, and $FER_EVENT (failed, promoted), $FER_JOB and
    $FER_MESSAGE.
    """
    event = event_of(job)
    if event is None:
        return False
    try:
        command = load_timetable(environ).notify
    except FerError as error:
        _logger.warning("Nobody is told of job %s: %s", job.id, error)
        return False
    return bool(command) and _run(command, event, job, environ)


def event_of(job: Job) -> str | None:
    """Returns what is worth telling of a job: 'failed', 'promoted', or nothing."""
    if job.status in ("FAILED", "TIMED_OUT"):
        return "failed"
    return "promoted" if (job.result or {}).get("promoted") else None


def _run(command: tuple[str, ...], event: str, job: Job, environ: Mapping[str, str]) -> bool:
    told = {"FER_EVENT": event, "FER_JOB": job.id, "FER_MESSAGE": job.message or f"{job.task}: {event}"}
    try:
        subprocess.run(
            command,
            input=json.dumps(job.model_dump(mode="json")),
            env={**environ, **told},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        _logger.warning("Nobody is told of job %s: %s", job.id, error)
        return False
    return True
