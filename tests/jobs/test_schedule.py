"""The schedule: its file, Celery's own scheduler with its entries, each time once, and who is told of an end.

No broker is needed for that: what cannot be sent is written down.
"""

import json
import shelve
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fer_core.errors import ConfigError
from fer_core.job.broker import Broker
from fer_core.job.job import End, job_ids, open_job
from fer_core.paths import Paths
from jobs import schedule
from jobs.schedule import Timetable, event_of, load_timetable, notify
from tests.jobs.conftest import wait_until
from tests.jobs.parts import make_job
from tests.script import clean_environment

NIGHTLY = 'timezone = "Europe/Berlin"\n[[entry]]\nname = "clean"\ntask = "gc"\nat = "02:30"\n'
ENTRY = '[[entry]]\nname = "nightly"\ntask = "retrain"\nat = "02:30"\n'


@pytest.fixture
def load(tmp_path):
    """Returns load(text): the schedule in a file of this text."""

    def load(text: str) -> Timetable:
        (tmp_path / "my.toml").write_text(text, encoding="utf-8")
        return load_timetable({"FER_SCHEDULE": str(tmp_path / "my.toml")})

    return load


def test_the_schedule_that_comes_with_the_project_and_one_of_ones_own(load):
    timetable = load_timetable({})
    assert [(entry.name, entry.task, entry.enabled) for entry in timetable.entry] == [
        ("nightly_retrain", "retrain", True),
        ("weekly_evaluation", "evaluate", True),
        ("weekly_search", "tune", False),
        ("clean_up", "gc", True),
    ]
    assert timetable.entry[0].arguments == {"min_new_images": 50} and timetable.notify.command == ()
    assert load("").entry == ()
    (entry,) = load(ENTRY).entry
    assert (entry.days, entry.enabled, entry.arguments) == ("daily", True, {})
    text = f'timezone = "Europe/Berlin"\n{ENTRY}days = ["sat", "sun"]\n[notify]\ncommand = ["mail", "me"]\n'
    timetable = load(text)
    assert (str(timetable.zone), timetable.entry[0].days) == ("Europe/Berlin", ("sat", "sun"))
    assert timetable.notify.command == ("mail", "me")


@pytest.mark.parametrize(
    ("text", "sentence", "hint"),
    [
        ("timezon = 'UTC'", ": there is no 'timezon'.", "Did you mean 'timezone'?"),
        ("timezone = 'Europe/Berlyn'", ": there is no time zone 'Europe/Berlyn'.", "Did you mean 'Europe/Berlin'?"),
        ("timezone = 2", ": timezone cannot be 2.", "It is a name such as Europe/Berlin, or UTC."),
        (ENTRY.replace("[[entry]]", "[entry]"), ": entry cannot be ", "in two brackets."),
        ("entry = ['x']", ", entry 1: it cannot be 'x'.", ""),
        (f"{ENTRY}day = 'sun'", ", entry 'nightly': there is no 'day'.", "Did you mean 'days'?"),
        ("[[entry]]\ntask = 'gc'\nat = '02:30'", ", entry 1: name is missing.", ""),
        (ENTRY.replace("02:30", "2:30"), ": at cannot be '2:30'.", 'quotes: at = "02:30".'),
        (ENTRY.replace('"02:30"', "02:30:00"), ": at cannot be datetime.time(2, 30).", "in quotes"),
        (f"{ENTRY}days = ['sunday']", ": days cannot be ['sunday'].", "sat, sun."),
        (f"{ENTRY}days = 'sun'", ": days cannot be 'sun'.", "a list of days in quotes"),
        (f"{ENTRY}days = []", ": days cannot be [].", "daily"),
        (ENTRY.replace("retrain", "retrian"), ": There is no task 'retrian'.", "Did you mean 'retrain'?"),
        (ENTRY.replace("retrain", "trial"), ": There is no task 'trial'.", ""),
        (f"{ENTRY}arguments = {{ min_new_image = 5 }}", "'min_new_image'", "Did you mean 'min_new_images'?"),
        (ENTRY.replace("nightly", "../x"), ": name cannot be '../x'.", "letters, digits"),
        (f"{ENTRY}{ENTRY}", "two entries are called 'nightly'.", "a name of its own"),
        ("[notify]\ncommand = 'mail me'", ": command cannot be 'mail me'.", 'command = ["mail", "me@here"]'),
        ("[notify]\ncomand = ['mail']", ": there is no 'comand'.", "Did you mean 'command'?"),
        ("[[entry]\n", "is no TOML: ", ""),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_was_meant(load, text, sentence, hint):
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert "my.toml" in str(caught.value)
    assert sentence in str(caught.value)
    assert "\n" not in f"{caught.value}{caught.value.hint}"
    assert hint in caught.value.hint != ""


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"The schedule .*none\.toml cannot be read: No such file") as caught:
        load_timetable({"FER_SCHEDULE": "/nowhere/none.toml"})
    assert caught.value.hint == "$FER_SCHEDULE names another file."


@pytest.mark.parametrize(
    ("days", "time", "expected"),
    [
        ("daily", "2026-02-01 02:30", "20260201"),
        ("daily", "2026-02-01 02:29", "20260131"),
        (("sun",), "2026-02-01 02:30", "20260201"),
        (("sun",), "2026-02-01 02:29", "20260125"),
        (("mon", "fri"), "2026-02-01 12:00", "20260130"),
    ],
)
def test_what_is_due_is_named_by_its_day_whoever_asks_and_when(load, days, time, expected):
    (entry,) = load(f"{NIGHTLY}days = {json.dumps(days)}\n").entry
    assert entry.job_id(datetime.fromisoformat(time)) == f"clean-{expected}T0230"


@pytest.fixture
def start(load, paths, tmp_path):
    """Returns start(times…): a beat at whose clock it is each of these times."""
    timetable = load(NIGHTLY)
    broker = Broker(paths, {"FER_BROKER_URL": f"redis+socket://{tmp_path}/none.sock"})

    def run(*times: str) -> list[str]:
        for text in times:
            now = datetime.fromisoformat(text).replace(tzinfo=timetable.zone)
            schedule.start(timetable.entry[0], now, paths=paths, broker=broker)
        return job_ids(paths)

    return run


def test_a_job_is_started_once_however_many_beats_there_are_and_left_out_while_the_last_one_is_open(start, paths):
    with ThreadPoolExecutor() as beats:
        list(beats.map(start, ["2026-02-01 02:30:01", "2026-02-01 02:31"] * 2))
    (job_id,) = start("2026-02-02 02:30")
    job = open_job(paths, job_id)
    assert (job_id, job.order.schedule, job.status, job.queue) == ("clean-20260201T0230", "clean", "QUEUED", "cpu")
    job.finish("FAILED", "It crashed.")
    assert start("2026-02-01 10:00") == [job_id]  # another beat, which makes up for the night
    assert start("2026-02-03 02:30") == [job_id, "clean-20260203T0230"]


BEAT = [sys.executable, "-m", "celery", "-A", "jobs", "beat", "--max-interval", "1"]


@pytest.fixture
def environment(paths, tmp_path) -> dict[str, str]:
    (tmp_path / "schedule.toml").write_text(NIGHTLY)
    folders = {"MODELS_DIR": paths.models, "STATE_DIR": paths.state, "SCHEDULE": tmp_path / "schedule.toml"}
    named = {f"FER_{name}": str(path) for name, path in folders.items()}
    return clean_environment(paths, named)


def beat_until(condition: Callable[[], object], environment: dict[str, str], paths: Paths) -> str:
    """Runs a beat, without a broker, until that is so, and returns what it printed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(BEAT, env=environment, cwd=paths.models.parent, **pipes) as child:
        try:
            wait_until(condition, 90)
            child.send_signal(signal.SIGTERM)
            said = child.communicate(timeout=60)[0]
            assert child.returncode == 0
            return said
        finally:
            child.kill()


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
    began = datetime.now(UTC)
    beat_until(lambda: (last := last_run(store)) and last > began, environment, paths)
    (job_id,) = job_ids(paths)
    assert open_job(paths, job_id).order.schedule == "clean"


def test_celery_beat_refuses_a_wrong_schedule_in_two_lines(environment, tmp_path):
    (tmp_path / "schedule.toml").write_text(NIGHTLY.replace('"gc"', '"gcc"'))
    child = subprocess.run(BEAT, env=environment, capture_output=True, text=True, timeout=90)
    assert child.returncode == 2
    problem, hint = child.stderr.splitlines()[-2:]  # before that, beat says that no broker is there
    assert problem.endswith("schedule.toml, entry 'clean': There is no task 'gcc'.")
    assert hint == "Did you mean 'gc'?"


def test_what_is_worth_telling(paths):
    train, tune, retrain = (make_job(paths, task) for task in ("train", "tune", "retrain"))
    assert event_of(train, End(status="FAILED")) == event_of(train, End(status="TIMED_OUT")) == "failed"
    assert event_of(retrain, End(status="SUCCEEDED", result={"promoted": True})) == "promoted"
    assert event_of(tune, End(status="SUCCEEDED", result={"winner": "x"})) == "found"
    assert event_of(tune, End(status="CANCELLED")) is event_of(train, End(status="SUCCEEDED", result={})) is None


def test_the_command_gets_the_job_and_what_happened_and_one_that_fails_harms_nobody(paths, tmp_path):
    job, file = make_job(paths, "tune"), tmp_path / "schedule.toml"
    said = "os.environ['FER_EVENT'] + os.environ['FER_JOB'] + sys.stdin.read()"
    code = f"import os, sys; open(sys.argv[1], 'w').write({said})"
    no_text = ["printf", "\\377"]
    for command in ([sys.executable, "-c", code, str(tmp_path / "told")], no_text, ["/no/such/program"]):
        file.write_text(f"[notify]\ncommand = {json.dumps(command)}\n")
        end = End(status="SUCCEEDED", result={"winner": "x"})
        assert notify(job, end, environ={"FER_SCHEDULE": str(file)}) == (len(command) > 1)
    told = (tmp_path / "told").read_text()
    assert told.startswith(f"found{job.id}")
    assert json.loads(told.removeprefix(f"found{job.id}"))["result"] == {"winner": "x"}
