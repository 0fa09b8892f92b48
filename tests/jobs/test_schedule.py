"""The scheduler: each moment once, whatever is killed, missed, set back or started twice.

No broker is needed for that: what cannot be sent is written down.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fer_core.paths import Paths
from jobs.celery import app
from jobs.job import Job
from jobs.record import Jobs
from jobs.schedule import CHECK_SECONDS, Starter
from jobs.settings import socket_url
from jobs.timetable import load_timetable
from tests.conftest import PROJECT
from tests.script import clean_environment

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NIGHTLY = 'timezone = "Europe/Berlin"\n[[entry]]\nname = "clean"\ntask = "gc"\nat = "02:30"\n'
FIRST_NIGHT = "clean-20260201T013000Z"
BOTH = f'{NIGHTLY}[[entry]]\nname = "tidy"\ntask = "gc"\nat = "02:30"\n'
SECOND = "tidy-20260201T013000Z"


class Clock:
    """Stands still until it is set."""

    def __init__(self):
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def no_broker(monkeypatch, tmp_path):
    monkeypatch.setitem(app.conf, "broker_url", socket_url(tmp_path / "none.sock"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def jobs(paths) -> Jobs:
    return Jobs(paths.models / "jobs")


@pytest.fixture
def make(paths, clock, tmp_path) -> Callable[..., Starter]:
    """Returns make(text): a beat that has just been started, with this schedule."""

    def make(text: str = NIGHTLY) -> Starter:
        path = tmp_path / "schedule.toml"
        path.write_text(text)
        return Starter(load_timetable({"FER_SCHEDULE": str(path)}), paths, clock=clock)

    return make


@pytest.fixture
def beat(make, clock, jobs) -> Callable[..., list[str]]:
    """Returns beat(hours…): a beat that looks at each of these moments, in hours after noon; returns all jobs."""

    def beat(*hours: float, text: str = NIGHTLY, end: bool = True) -> list[str]:
        starter = make(text)
        for number in hours:
            clock.now = NOON + number * HOUR
            starter.start_what_is_due()
            if end:
                end_all(jobs)
        return jobs.ids()

    return beat


def end_all(jobs: Jobs) -> None:
    for job in jobs.open_jobs():
        jobs.change(job.id, status="SUCCEEDED")


def test_nothing_is_started_for_moments_before_the_schedule_was_first_seen(beat):
    assert beat(0, 1, 13.4) == []


def test_the_next_moment_is_started_once(beat):
    assert beat(0, 13.5, 13.6, 20) == [FIRST_NIGHT]


def test_the_job_says_what_it_is_and_where_it_comes_from(beat, jobs):
    beat(0, 14, text=f"{NIGHTLY}arguments = {{ keep_days = 3 }}\n", end=False)
    (job,) = jobs.open_jobs()
    assert (job.id, job.task, job.arguments, job.schedule) == (FIRST_NIGHT, "gc", {"keep_days": 3}, "clean")
    assert (job.status, job.queue, job.sent_utc) == ("QUEUED", "cpu", None)


def test_a_beat_that_is_started_again_starts_nothing_twice(beat):
    beat(0, 14)
    assert beat(14.1, 15) == [FIRST_NIGHT]


def test_nights_that_were_missed_are_made_up_for_once(beat):
    beat(0)
    assert beat(5 * 24, 5 * 24 + 1) == ["clean-20260205T013000Z"]


def test_a_kill_between_the_job_and_its_note_starts_nothing_twice(beat, paths):
    beat(0)
    note = paths.models / "jobs" / "schedule" / "clean.json"
    before = note.read_bytes()
    beat(14)
    note.write_bytes(before)
    assert beat(14.1) == [FIRST_NIGHT]


def test_a_torn_note_starts_nothing_twice(beat, paths):
    beat(0, 14)
    os.truncate(paths.models / "jobs" / "schedule" / "clean.json", 9)
    assert beat(14.1, 15, 14 + 24) == [FIRST_NIGHT, "clean-20260202T013000Z"]


def test_an_entry_whose_last_job_is_still_open_is_left_out_for_that_time(beat, jobs, caplog):
    beat(0, 14, end=False)
    assert beat(14 + 24, end=False) == [FIRST_NIGHT]
    assert f"its last job, {FIRST_NIGHT}, is QUEUED" in caplog.text
    end_all(jobs)
    assert beat(15 + 24, 14 + 48) == [FIRST_NIGHT, "clean-20260203T013000Z"]


def test_a_job_that_somebody_sent_by_hand_does_not_count(beat, jobs):
    jobs.create(Job(id="gc-by-hand", task="gc", queue="cpu", created_utc="2026-01-31T12:00:00.000Z"))
    assert beat(0, 14, end=False) == [FIRST_NIGHT, "gc-by-hand"]


def test_a_clock_that_is_set_back_repeats_nothing(beat):
    assert beat(0, 14, 13, 12, 14) == [FIRST_NIGHT]


def test_a_clock_that_was_years_ahead_does_not_stop_the_schedule(beat):
    beat(5 * 365 * 24)
    assert beat(0, 14) == [FIRST_NIGHT]


def test_an_entry_with_other_hours_counts_as_new(beat):
    beat(0, 14)
    assert beat(20, 21, text=NIGHTLY.replace("02:30", "04:00")) == [FIRST_NIGHT]


def test_an_entry_that_is_switched_off_starts_nothing_and_switched_on_again_it_counts_as_new(beat):
    assert beat(0, 14, text=f"{NIGHTLY}enabled = false\n") == []
    beat(15)
    assert beat(16, text=f"{NIGHTLY}enabled = false\n") == []
    assert beat(14 + 48, 14 + 72) == ["clean-20260204T013000Z"]


def test_each_entry_is_started_by_itself(beat):
    assert beat(0, 14, text=BOTH) == [FIRST_NIGHT, SECOND]


def test_what_goes_wrong_with_one_entry_is_said_once_and_the_others_go_on(beat, paths, caplog):
    beat(0, text=BOTH)
    note = paths.models / "jobs" / "schedule" / "clean.json"
    note.unlink()
    note.mkdir()
    assert beat(14, 14.1, 14.2, text=BOTH) == [SECOND]
    assert caplog.text.count("clean cannot be started: ") == 1


def test_it_sleeps_until_the_next_moment_and_never_long(make, clock):
    starter = make()
    assert starter.start_what_is_due() == CHECK_SECONDS
    clock.now = NOON + 13.5 * HOUR - timedelta(seconds=5)
    assert starter.start_what_is_due() == pytest.approx(5)
    assert make("").start_what_is_due() == CHECK_SECONDS


# Real processes

RACE = """
import os, sys, time
from datetime import datetime, UTC
from fer_core.paths import Paths
from jobs.schedule import Starter
from jobs.timetable import load_timetable

now = datetime.fromisoformat(sys.argv[1])
starter = Starter(load_timetable(os.environ), Paths.from_environment(), clock=lambda: now)
print("ready", flush=True)
sys.stdin.readline()
starter.start_what_is_due()
"""


@pytest.fixture
def environment(make, paths) -> dict[str, str]:
    make()
    schedule = paths.models.parent / "schedule.toml"
    folders = {"FER_MODELS_DIR": str(paths.models), "FER_SCHEDULE": str(schedule), "PYTHONPATH": str(PROJECT)}
    return clean_environment(paths, folders)


def missed(paths: Paths) -> Path:
    """Notes that the last moment that was dealt with is two days ago, and returns the note."""
    note = paths.models / "jobs" / "schedule" / "clean.json"
    note.parent.mkdir(parents=True)
    until = (datetime.now(UTC) - 2 * DAY).isoformat()
    note.write_text(json.dumps({"hours": "02:30 daily Europe/Berlin", "until_utc": until}))
    return note


def test_two_beats_at_once_start_one_job(environment, paths, jobs, beat):
    beat(0)
    command = [sys.executable, "-c", RACE, (NOON + 14 * HOUR).isoformat()]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, env=environment, cwd=paths.models.parent, **pipes) for _ in range(2)]
    try:
        assert [child.stdout.readline() for child in both] == ["ready\n"] * 2
        for child in both:
            child.stdin.write("\n")
            child.stdin.flush()
        assert [child.wait(timeout=60) for child in both] == [0, 0]
    finally:
        for child in both:
            child.kill()
            child.communicate()
    assert [job.id for job in jobs.open_jobs()] == [FIRST_NIGHT]


def test_celery_beat_makes_up_for_a_missed_night_without_a_broker_and_ends_at_once(environment, paths, jobs):
    note = missed(paths)
    before = note.read_bytes()
    with subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "jobs", "beat", "--max-interval", "1"],
        env=environment,
        cwd=paths.models.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as child:
        deadline = time.monotonic() + 60
        while note.read_bytes() == before and time.monotonic() < deadline:
            time.sleep(0.05)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        said = child.communicate(timeout=30)[0]
    (job,) = jobs.open_jobs()
    assert (job.schedule, job.status, job.sent_utc) == ("clean", "QUEUED", None)
    assert "schedule.toml (Europe/Berlin)" in said
    assert ". clean -> " in said
    assert "Traceback" not in said
    assert child.returncode == 0


def test_celery_beat_refuses_a_wrong_schedule_in_two_lines(environment, paths):
    (paths.models.parent / "schedule.toml").write_text(NIGHTLY.replace('"gc"', '"gcc"'))
    child = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "jobs", "beat"],
        env=environment,
        cwd=paths.models.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == 2
    problem, hint = child.stderr.splitlines()
    assert problem.startswith("Error: ")
    assert problem.endswith("schedule.toml, entry 'clean': there is no task 'gcc'.")
    assert hint == "Did you mean 'gc'?"
