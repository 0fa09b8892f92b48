"""Telling a person: the schedule's `[notify] command` is run when a job failed, a model is promoted, a search ended."""

import json
import logging
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from fer_core.errors import FerError
from fer_core.job.job import End, Job
from jobs.timetable import load_timetable

_SECONDS = 60

_logger = logging.getLogger(__name__)


def notify(job: Job, end: End, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Returns whether somebody was told of a job that has ended; a command that fails is logged, and nothing more.

    The command gets the job as JSON on its standard input, and $FER_EVENT (failed, promoted, found), $FER_JOB and
    $FER_MESSAGE.
    """
    event = event_of(job, end)
    if event is None:
        return False
    try:
        command = load_timetable(environ).notify
    except FerError as error:
        _logger.warning("Nobody is told of job %s: %s", job.id, error)
        return False
    return bool(command) and _run(command, event, job, end, environ)


def event_of(job: Job, end: End) -> str | None:
    """Returns what is worth telling of a job: 'failed', 'promoted', 'found' (a search has its winner), or nothing."""
    if end.status in ("FAILED", "TIMED_OUT"):
        return "failed"
    if end.status == "SUCCEEDED" and job.task == "tune":
        return "found"
    return "promoted" if (end.result or {}).get("promoted") else None


def _run(command: tuple[str, ...], event: str, job: Job, end: End, environ: Mapping[str, str]) -> bool:
    message = end.message or f"{job.task}: {event}"
    told: dict[str, Any] = {"id": job.id} | job.order.model_dump(mode="json") | end.model_dump(mode="json")
    try:
        subprocess.run(
            command,
            input=json.dumps(told),
            env={**environ, "FER_EVENT": event, "FER_JOB": job.id, "FER_MESSAGE": message},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        _logger.warning("Nobody is told of job %s: %s", job.id, error)
        return False
    return True
