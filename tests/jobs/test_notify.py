"""Who is told of what: a real command, as the schedule names it."""

import json
import sys

import pytest

from jobs.job import Job
from jobs.notify import event_of, notify

KEEPS = """
import json, os, pathlib, sys
told = [os.environ["FER_EVENT"], os.environ["FER_JOB"], json.load(sys.stdin)["message"]]
pathlib.Path(sys.argv[1]).write_text(" ".join(told))
"""


def ended(**fields) -> Job:
    return Job(**{"id": "train-1", "task": "train", "queue": "gpu", "created_utc": "2026-01-31T12:00:00.000Z"} | fields)


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"status": "FAILED"}, "failed"),
        ({"status": "TIMED_OUT"}, "failed"),
        ({"status": "SUCCEEDED", "result": {"promoted": True}}, "promoted"),
        ({"status": "SUCCEEDED", "result": {"promoted": False}}, None),
        ({"status": "SUCCEEDED"}, None),
        ({"status": "CANCELLED"}, None),
        ({"status": "QUEUED"}, None),
    ],
)
def test_what_is_worth_telling(fields, event):
    assert event_of(ended(**fields)) == event


def schedule(tmp_path, *command: str) -> dict[str, str]:
    """Returns an environment whose schedule has this command."""
    (tmp_path / "schedule.toml").write_text(f"[notify]\ncommand = {json.dumps(command)}\n")
    return {"FER_SCHEDULE": str(tmp_path / "schedule.toml")}


def test_the_command_gets_the_record_and_what_happened(tmp_path):
    told = tmp_path / "told.txt"
    environ = schedule(tmp_path, sys.executable, "-c", KEEPS, str(told))
    assert notify(ended(status="FAILED", message="No room."), environ=environ)
    assert told.read_text() == "failed train-1 No room."


@pytest.mark.parametrize("command", [("/no/such/program",), (sys.executable, "-c", "raise SystemExit(1)")])
def test_a_command_that_fails_is_no_failure_of_the_job(tmp_path, command):
    assert not notify(ended(status="FAILED"), environ=schedule(tmp_path, *command))


def test_where_there_is_no_command_or_no_schedule_nobody_is_told(tmp_path):
    (tmp_path / "schedule.toml").write_text("")
    assert not notify(ended(status="FAILED"), environ={"FER_SCHEDULE": str(tmp_path / "schedule.toml")})
    assert not notify(ended(status="FAILED"), environ={"FER_SCHEDULE": str(tmp_path / "gone.toml")})
