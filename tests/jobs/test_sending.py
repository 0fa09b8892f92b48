"""`submit`, `rerun`, `cancel`, `resume`: flags are what tasks accept; what is wrong is refused before it is sent."""

import json
import re
import shlex

import pytest

from fer_core.config import TrainConfig
from fer_core.job.arguments import ARGUMENTS, TASKS, train_config, validate
from fer_core.job.job import job_ids
from fer_core.locks import taken
from tests.jobs.parts import end_job, make_finished_run, make_job, make_run, make_search


def shown(answer) -> dict:
    """Returns the arguments that would be sent."""
    assert answer.code == 0, answer.err
    return json.loads(answer.out[answer.out.index("{") : answer.out.rindex("}\n") + 1])


def test_each_task_is_listed_and_each_thing_that_it_accepts_has_a_flag(ask):
    text = ask("submit", "--help").out
    for task, about in TASKS.items():
        assert task in text and about in text
        flags = ask("submit", task, "--help").out
        fields = {**ARGUMENTS[task].model_fields, **(TrainConfig.model_fields if task == "train" else {})}
        assert [name for name in fields if f"--{name.replace('_', '-')}" not in flags and name != "settings"] == []


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("tune", {}),
        ("tune --recipe attention --max-trials 30", {"recipe": "attention", "max_trials": 30}),
        ("tune --space learning_rate l2 --recipe attention", {"recipe": "attention", "space": ["learning_rate", "l2"]}),
        ("tune --no-stop-early --max-hours 1.5", {"stop_early": False, "max_hours": 1.5}),
        ("""tune --start-from '[{"learning_rate": 0.001}]'""", {"start_from": [{"learning_rate": 0.001}]}),
        ("tune --set epochs=5 --set batch_size=32", {"settings": {"epochs": 5, "batch_size": 32}}),
        ("train --recipe smoke --data sample --epochs 2", {"recipe": "smoke", "data": "sample", "epochs": 2}),
        ("train --network compact --flip --promote", {"network": "compact", "flip": True, "promote": True}),
        ("train --set dropout=0.3 --queue cpu", {"settings": {"dropout": 0.3}, "queue": "cpu"}),
        ("""train --network-options '{"dropout": 0.3}'""", {"network_options": {"dropout": 0.3}}),
        ("train --run 20260131-120000-smoke-3f9a", {"run": "20260131-120000-smoke-3f9a"}),
        ("retrain --min-new-images 50 --init-from current", {"min_new_images": 50, "init_from": "current"}),
        ("evaluate --run some-run --data sample", {"run": "some-run", "data": "sample"}),
        ("gc --keep-days 7", {"keep_days": 7.0}),
    ],
)
def test_a_command_line_becomes_the_arguments_of_a_job(ask, line, arguments, paths):
    answer = ask("submit", *shlex.split(line), "--dry-run")
    assert shown(answer) == arguments if arguments else "{}" in answer.out
    task = line.split()[0]
    validate(task, arguments)
    assert f"celery -A jobs call {task}" in answer.out and job_ids(paths) == []


def test_the_defaults_of_a_training_are_those_of_its_recipe(ask):
    arguments = shown(ask("submit", "train", "--recipe", "attention", "--learning-rate", "5e-5", "--dry-run"))
    assert arguments == {"recipe": "attention"}
    config = train_config(validate("train", arguments))
    assert (config.learning_rate, config.network) == (5e-5, "attention")


@pytest.mark.parametrize(
    ("line", "problem", "hint"),
    [
        ("submit tune --recipe atention", "There is no recipe 'atention'", "Did you mean 'attention'?"),
        ("submit tune --oracle bayes", "--oracle cannot be 'bayes'", "Did you mean 'bayesian'?"),
        ("submit tune --max-trails 5", "There is no setting '--max-trails'", "Did you mean '--max-trials'?"),
        ("submit tune --space learning_rat", "learning_rat", "Did you mean 'learning_rate'?"),
        (
            "submit tune --max-trials 0",
            "max_trials: input should be greater than or equal to 1, got 0",
            "python -m jobs submit tune --help",
        ),
        ("submit tune --start-from [1", "--start-from is no JSON", "For example: --start-from"),
        ("submit tune attention", "There is no flag before 'attention'", "--recipe attention"),
        ("submit train --epochs many", "--epochs takes a whole number", "--help"),
        ("submit train --set learning_rat=1", "There is no setting 'learning_rat'", "Did you mean 'learning_rate'?"),
        ("submit train --validation none --early-stopping-patience 3", "early stopping needs", "--help"),
        ("submit train --run some-run --epochs 3", "has settings of its own", "Leave"),
        ("submit gc --keep-days -3", "keep_days", "--help"),
        ("rerun RUN --set learning_rat=1", "no setting 'learning_rat'", "Did you mean 'learning_rate'?"),
        ("rerun RUN --set epochs", "--set takes NAME=VALUE", "--set learning_rate=1e-4"),
        ("rerun RUN --set epochs=-1", "epochs", "--help"),
    ],
)
def test_what_is_wrong_is_refused_before_it_is_sent(ask, paths, line, problem, hint):
    answer = ask(*shlex.split(line.replace("RUN", make_run(paths).id)))
    assert answer.code == 2
    assert problem in answer.problem and hint in answer.hint
    assert job_ids(paths) == []


def test_a_rerun_is_the_same_training_but_for_what_was_set(ask, paths):
    run = make_run(paths, settings={"data": "photographs.zip", "epochs": 7, "flip": True})
    option = next(iter(run.manifest.config.network_options))
    changes = {"learning_rate": 1e-4, "epochs": 9, "optimizer": "adamw"}
    pairs = [word for name, value in changes.items() for word in ("--set", f"{name}={value}")]
    own = run.manifest.config.model_dump(mode="json")
    assert shown(ask("rerun", run.id, *pairs, "--dry-run")) == own | {"recipe": "smoke"} | changes
    by_short_name = ask("rerun", run.id, "--set", f"{option}=0.125", "--dry-run")
    assert "There is no setting" not in by_short_name.err  # the option may not take that; its name is known


def test_a_waiting_job_or_search_is_cancelled_at_once_and_not_twice_and_a_running_one_is_asked_to_end(ask, paths):
    job, search, running = make_job(paths), make_job(paths, "tune"), make_job(paths)
    answer = ask("cancel", f"{search.id}.s0.1")
    assert (answer.code, answer.hint) == (2, f"`python -m jobs cancel {search.id}` cancels all of it.")
    for one in (job, search):
        answer = ask("cancel", one.id)
        assert (answer.code, answer.err, one.status) == (0, "", "CANCELLED")
        assert f"{one.id} is cancelled" in answer.out and "cancelled" in ask("status", one.id).out
    assert search.cancel_file.exists()  # what its trials look for
    answer = ask("cancel", job.id)
    assert (answer.code, "has ended" in answer.problem) == (2, True)
    assert answer.hint.startswith(f"`python -m jobs resume {job.id}`")
    with taken(running.lock):
        assert "was asked to end" in ask("cancel", running.id, "--no-wait").out
        assert "running (asked to cancel)" in ask("status", running.id).out
    answer = ask("resume", make_search(paths, [0.4]).id)
    assert (answer.code, "is finished" in answer.problem) == (2, True)


def test_what_the_hint_of_a_finished_one_names_works(ask, paths):
    for name in (make_finished_run(paths).id, make_search(paths, [0.4]).id, end_job(make_job(paths, "gc")).id):
        for command in re.findall("`python -m jobs ([^`]+)`", ask("resume", name).hint):
            more = [] if command.startswith("best") else ["--dry-run"]
            assert ask(*command.split(), *more).code == 0, command
