"""The scheduler: Celery's own, with the entries of the file; each moment once, whatever is killed, missed or run twice.

No broker is needed for that: what cannot be sent is written down.
"""

import json
import shelve
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from fer_core.job.job import job_ids, open_job
from fer_core.paths import Paths
from jobs.timetable import load_timetable
from tests.conftest import PROJECT
from tests.jobs.conftest import wait_until
from tests.script import clean_environment

NIGHTLY = 'timezone = "Europe/Berlin"\n[[entry]]\nname = "clean"\ntask = "gc"\nat = "02:30"\n'
START = """
import sys
from collections.abc import Callable
from datetime import datetime
from jobs.celery import paths
from jobs.schedule import start
from jobs.timetable import load_timetable
import os
timetable = load_timetable(os.environ)
for text in sys.argv[1:]:
    start(timetable.entries[0], datetime.fromisoformat(text).replace(tzinfo=timetable.zone))
"""


@pytest.fixture
def environment(paths, tmp_path) -> dict[str, str]:
    schedule = tmp_path / "schedule.toml"
    schedule.write_text(NIGHTLY)
    folders = {"FER_MODELS_DIR": paths.models, "FER_STATE_DIR": paths.state, "FER_SCHEDULE": schedule}
    named = {name: str(path) for name, path in folders.items()}
    return clean_environment(paths, named | {"PYTHONPATH": str(PROJECT)})


@pytest.fixture
def start(environment, paths):
    """Returns start(moments…): a beat at whose clock it is each of these moments."""

    def run(*moments: str) -> list[str]:
        command = [sys.executable, "-c", START, *moments]
        child = subprocess.run(command, env=environment, cwd=paths.models.parent, capture_output=True, text=True)
        assert child.returncode == 0, child.stderr
        return job_ids(paths)

    return run


@pytest.mark.parametrize(
    ("days", "moment", "expected"),
    [
        ("daily", "2026-02-01 02:30", "20260201"),
        ("daily", "2026-02-01 02:29", "20260131"),
        (("sun",), "2026-02-01 02:30", "20260201"),
        (("sun",), "2026-02-01 02:29", "20260125"),
        (("mon", "fri"), "2026-02-01 12:00", "20260130"),
    ],
)
def test_what_is_due_is_named_by_its_day_whoever_asks_and_when(tmp_path, days, moment, expected):
    (tmp_path / "schedule.toml").write_text(f"{NIGHTLY}days = {json.dumps(days)}\n")
    (entry,) = load_timetable({"FER_SCHEDULE": str(tmp_path / "schedule.toml")}).entries
    assert entry.job_id(datetime.fromisoformat(moment)) == f"clean-{expected}T0230"


def test_a_moment_is_started_once_however_many_beats_there_are(start, paths, environment):
    command = [sys.executable, "-c", START, "2026-02-01 02:30:01", "2026-02-01 02:31"]
    both = [subprocess.Popen(command, env=environment, cwd=paths.models.parent) for _ in range(2)]
    assert [child.wait(120) for child in both] == [0, 0]
    (job_id,) = job_ids(paths)
    job = open_job(paths, job_id)
    assert (job_id, job.order.schedule, job.status, job.queue) == ("clean-20260201T0230", "clean", "QUEUED", "cpu")
    job.finish("SUCCEEDED")
    assert start("2026-02-01 10:00") == [job_id]  # another beat, which makes up for the night


def test_an_entry_whose_last_job_is_still_open_is_left_out_for_that_time(start, paths):
    (first,) = start("2026-02-01 02:30", "2026-02-02 02:30")
    open_job(paths, first).finish("FAILED", "It crashed.")
    assert start("2026-02-03 02:30") == [first, "clean-20260203T0230"]


BEAT = [sys.executable, "-m", "celery", "-A", "jobs", "beat", "--max-interval", "1"]


def beat_until(condition: Callable[[], object], environment: dict[str, str], paths: Paths) -> str:
    """Runs a beat, without a broker, until that is so, and returns what it printed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    child = subprocess.Popen(BEAT, env=environment, cwd=paths.models.parent, **pipes)
    try:
        wait_until(condition, 90)
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=60)[0]
        assert child.returncode == 0
        return said
    finally:
        child.kill()
        child.communicate()


def last_run(store: Path) -> datetime | None:
    try:
        with shelve.open(str(store), flag="r") as content:
            return content["entries"]["clean"].last_run_at
    except Exception:  # it is just being written
        return None


def test_celery_beat_starts_nothing_at_first_and_makes_up_once_for_a_missed_night(environment, paths):
    store = paths.state / "celerybeat-schedule"
    said = beat_until(lambda: last_run(store), environment, paths)
    assert "Traceback" not in said
    assert "schedule.toml (Europe/Berlin)" in said and ". clean -> daily 02:30" in said
    assert not list((paths.models / "tasks").glob("*"))
    with shelve.open(str(store), writeback=True) as content:
        content["entries"]["clean"].last_run_at -= timedelta(days=3)
    beat_until(lambda: job_ids(paths), environment, paths)
    (job_id,) = job_ids(paths)
    assert open_job(paths, job_id).order.schedule == "clean"
    assert datetime.now(last_run(store).tzinfo) - last_run(store) < timedelta(hours=1)


def test_celery_beat_refuses_a_wrong_schedule_in_two_lines(environment, paths):
    (paths.models.parent / "schedule.toml").write_text(NIGHTLY.replace('"gc"', '"gcc"'))
    child = subprocess.run(BEAT, env=environment, capture_output=True, text=True, timeout=90)
    assert child.returncode == 2
    problem, hint = child.stderr.splitlines()[-2:]  # before that, beat says that no broker is there
    assert problem.endswith("schedule.toml, entry 'clean': there is no task 'gcc'.")
    assert hint == "Did you mean 'gc'?"
