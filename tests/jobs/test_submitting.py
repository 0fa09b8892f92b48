"""`submit`: its flags are what the tasks accept, and what is wrong is refused before anything is sent."""

import json
import shlex

import pytest

from fer_core.config import TrainConfig
from fer_core.job.arguments import ARGUMENTS, TASKS, train_config, validate
from fer_core.job.job import job_ids


def shown(answer) -> dict:
    """Returns the arguments that would be sent."""
    assert answer.code == 0, answer.err
    return json.loads(answer.out[answer.out.index("{") : answer.out.rindex("}\n") + 1])


def test_each_task_is_listed(ask):
    text = ask("submit", "--help").out
    assert all(task in text and about in text for task, about in TASKS.items())
    assert set(TASKS) == set(ARGUMENTS)


@pytest.mark.parametrize("task", TASKS)
def test_each_thing_that_a_task_accepts_has_a_flag(ask, task):
    text = ask("submit", task, "--help").out
    fields = {**ARGUMENTS[task].model_fields, **(TrainConfig.model_fields if task == "train" else {})}
    for name in set(fields) - {"settings"}:
        assert f"--{name.replace('_', '-')}" in text, name


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
        (
            "train --network compact --flip --promote --queue gpu.high",
            {"network": "compact", "flip": True, "promote": True, "queue": "gpu.high"},
        ),
        (
            "train --recipe attention --set l2=0.01",
            {"recipe": "attention", "settings": {"network_options": {"l2": 0.01}}},
        ),
        ("""train --network-options '{"dropout": 0.3}'""", {"network_options": {"dropout": 0.3}}),
        ("train --run 20260131-120000-smoke-3f9a", {"run": "20260131-120000-smoke-3f9a"}),
        ("retrain --min-new-images 50 --init-from current", {"min_new_images": 50, "init_from": "current"}),
        ("evaluate --run some-run --data sample", {"run": "some-run", "data": "sample"}),
        ("gc --keep-days 7", {"keep_days": 7.0}),
    ],
)
def test_a_command_line_becomes_the_arguments_of_a_job(ask, line, arguments):
    found = shown(ask("submit", *shlex.split(line), "--dry-run"))
    assert found == json.loads(json.dumps(arguments))
    validate(line.split()[0], found)


def test_the_defaults_of_a_training_are_those_of_its_recipe(ask):
    arguments = shown(ask("submit", "train", "--recipe", "attention", "--learning-rate", "5e-5", "--dry-run"))
    assert arguments == {"recipe": "attention"}
    config = train_config(validate("train", arguments))
    assert (config.learning_rate, config.network) == (5e-5, "attention")


def test_what_would_be_sent_is_also_shown_for_celery(ask, paths):
    text = ask("submit", "tune", "--max-trials", "5", "--dry-run").out
    assert """celery -A jobs call tune --kwargs '{"max_trials": 5}'""" in text
    assert job_ids(paths) == []


@pytest.mark.parametrize(
    ("line", "is_said"),
    [
        ("train", True),
        ("train --data photographs.zip", False),
        ("train --run some-run", False),
        ("tune", True),
        ("tune --data photographs.zip", False),
        ("retrain", False),
    ],
)
def test_who_names_no_data_set_where_there_is_none_by_default_is_told(ask, monkeypatch, line, is_said):
    sentence = "No data set was named, and there is no default one here"
    assert (sentence in ask("submit", *line.split(), "--dry-run").out) == is_said
    monkeypatch.setenv("FER_DATA", "photographs.zip")
    assert sentence not in ask("submit", *line.split(), "--dry-run").out


@pytest.mark.parametrize(
    ("line", "problem", "hint"),
    [
        ("tune --recipe atention", "There is no recipe 'atention'", "Did you mean 'attention'?"),
        ("tune --oracle bayes", "--oracle cannot be 'bayes'", "Did you mean 'bayesian'?"),
        ("tune --max-trails 5", "There is no setting '--max-trails'", "Did you mean '--max-trials'?"),
        ("tune --space learning_rat", "learning_rat", "Did you mean 'learning_rate'?"),
        ("tune --max-trials 0", "max_trials", "python -m jobs submit tune --help"),
        ("tune --start-from [1", "--start-from is no JSON", "For example: --start-from"),
        ("tune attention", "There is no flag before 'attention'", "--recipe attention"),
        ("train --epochs many", "--epochs takes a whole number", "--help"),
        ("train --set learning_rat=1", "There is no setting 'learning_rat'", "Did you mean 'learning_rate'?"),
        ("train --validation none --early-stopping-patience 3", "early stopping needs validation images", "--help"),
        ("train --run some-run --epochs 3", "has settings of its own", "Leave"),
        ("train --recipe smok", "There is no recipe 'smok'", "Did you mean 'smoke'?"),
        ("gc --keep-days -3", "keep_days", "--help"),
    ],
)
def test_what_is_wrong_is_refused_before_it_is_sent(ask, paths, line, problem, hint):
    answer = ask("submit", *shlex.split(line))
    assert answer.code == 2
    assert problem in answer.problem and hint in answer.hint
    assert job_ids(paths) == []
