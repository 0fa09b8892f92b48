"""`python -m jobs`: the list of commands, how they are misspelt, and that each one starts at once."""

import os
import resource
import subprocess
import sys

import pytest

from jobs.__main__ import COMMANDS, main
from tests.jobs.parts import make_finished_run, make_job

EVERY = {name: command for group in COMMANDS.values() for name, command in group.items()}
LOADED = """
import sys
from jobs.__main__ import main
for line in ("list --json", "gc --dry-run", "submit tune --dry-run"):
    main(line.split())
print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_without_a_command_they_are_listed(arguments, capsys):
    main(arguments)
    lines = capsys.readouterr().out.splitlines()
    for name, (_, about) in EVERY.items():
        assert f"  {name:<10}{about}" in lines
    assert max(map(len, lines)) <= 90


def test_what_needs_no_broker_starts_at_once_and_loads_nothing_heavy(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FER_")}
    environment["FER_MODELS_DIR"] = str(tmp_path / "models")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    child = subprocess.run(
        [sys.executable, "-c", LOADED], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert child.returncode == 0, child.stderr
    assert "loaded: " in child.stderr
    loaded = child.stderr.rpartition("loaded: ")[2].split()
    heavy = ("celery", "kombu", "redis", "tensorflow", "keras", "keras_tuner", "matplotlib", "pandas", "cv2", "sklearn")
    assert [name for name in heavy if name in loaded] == []
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2  # alone a third of that
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["stauts"], "There is no command 'stauts'", "Did you mean 'status'?"),
        (["list", "--stauts", "FAILED"], "There is no setting '--stauts'", "Did you mean '--status'?"),
        (["list", "--status", "RUNING"], "--status cannot be 'RUNING'", "Did you mean 'RUNNING'?"),
        (["submit", "tuen"], "There is no task 'tuen' to submit", "Did you mean 'tune'?"),
        (["submit", "trial"], "There is no task 'trial' to submit", "'train'"),
        (["gc", "--keep-days", "-1"], "--keep-days is at least 0", "30 days"),
        (["up", "--workers", "0"], "--workers is at least 1", "one per GPU"),
    ],
)
def test_what_is_misspelt_is_named_in_two_lines(ask, arguments, problem, hint):
    answer = ask(*arguments)
    assert answer.code == 2
    assert problem in answer.problem
    assert hint in answer.hint


def test_a_name_that_is_misspelt_or_missing_is_said_to_be_so(ask, paths):
    job, run = make_job(paths), make_finished_run(paths)
    wrong = [((command, f"{job.id}x"), job.id) for command in ("status", "logs", "cancel", "best")]
    wrong += [(line, run.id) for line in (("promote", f"{run.id}x"), ("compare", run.id, f"{run.id}x"))]
    for arguments, meant in [*wrong, (("rerun", f"{run.id}x"), run.id)]:
        answer = ask(*arguments)
        assert (answer.code, answer.hint) == (2, f"Did you mean {meant!r}?"), arguments
        assert f"{meant}x" in answer.problem
    assert ask("status").problem.startswith("Error: `python -m jobs status` needs NAME: a job's id")


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "", "x" * 200])
def test_a_name_never_becomes_a_path(ask, name, paths):
    paths.models.mkdir()
    for command in ("status", "logs", "cancel", "best", "promote"):
        answer = ask(command, name)
        assert (answer.code, "letters, digits" in answer.problem) == (2, True), command
