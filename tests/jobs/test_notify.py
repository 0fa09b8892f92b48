"""Who is told of what: a command is run when a job has failed, a model was promoted, a search has ended."""

import json
import sys

import pytest

from fer_core.job.job import End
from jobs.notify import event_of, notify
from tests.jobs.parts import make_job


@pytest.mark.parametrize(
    ("task", "end", "event"),
    [
        ("train", End(status="FAILED"), "failed"),
        ("train", End(status="TIMED_OUT"), "failed"),
        ("retrain", End(status="SUCCEEDED", result={"promoted": True}), "promoted"),
        ("tune", End(status="SUCCEEDED", result={"winner": "x"}), "found"),
        ("tune", End(status="CANCELLED"), None),
        ("train", End(status="SUCCEEDED", result={}), None),
    ],
)
def test_what_is_worth_telling(paths, task, end, event):
    assert event_of(make_job(paths, task), end) == event


def test_the_command_gets_the_job_and_what_happened(paths, tmp_path):
    said = "os.environ['FER_EVENT'] + os.environ['FER_JOB'] + sys.stdin.read()"
    code = f"import os, sys; open(sys.argv[1], 'w').write({said})"
    command = json.dumps([sys.executable, "-c", code, str(tmp_path / "told")])
    (tmp_path / "schedule.toml").write_text(f"[notify]\ncommand = {command}\n")
    job = make_job(paths, "tune")
    environ = {"FER_SCHEDULE": str(tmp_path / "schedule.toml")}
    assert notify(job, End(status="SUCCEEDED", result={"winner": "x"}), environ=environ)
    told = (tmp_path / "told").read_text()
    assert told.startswith(f"found{job.id}")
    assert json.loads(told.removeprefix(f"found{job.id}"))["result"] == {"winner": "x"}


def test_a_command_that_fails_harms_nobody(paths, tmp_path):
    (tmp_path / "schedule.toml").write_text('[notify]\ncommand = ["/no/such/program"]\n')
    environ = {"FER_SCHEDULE": str(tmp_path / "schedule.toml")}
    assert not notify(make_job(paths), End(status="FAILED"), environ=environ)
