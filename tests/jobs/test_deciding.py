"""`cancel`, `rerun`, `promote`, `rollback`: decisions that need no broker, and what is said of them."""

import json

import pytest

from fer_core.job.job import job_ids
from fer_core.job.lock import taken
from fer_core.store.promotion import current
from tests.jobs.parts import make_finished_run, make_job, make_run, make_search


def test_a_waiting_job_is_cancelled_at_once(ask, paths):
    job = make_job(paths)
    answer = ask("cancel", job.id)
    assert (answer.code, answer.err) == (0, "")
    assert f"{job.id} is cancelled" in answer.out
    assert job.status == "CANCELLED"


def test_a_running_job_is_asked_to_end(ask, paths):
    job = make_job(paths)
    with taken(job.lock):
        answer = ask("cancel", job.id, "--no-wait")
        assert "was asked to end" in answer.out
        assert "running (asked to cancel)" in ask("status", job.id).out


def test_a_job_that_has_ended_cannot_be_cancelled(ask, paths):
    job = make_job(paths)
    ask("cancel", job.id)
    answer = ask("cancel", job.id)
    assert (answer.code, "has ended" in answer.problem) == (2, True)
    assert answer.hint.startswith(f"`python -m jobs resume {job.id}`")


def test_a_search_is_cancelled_with_its_trials(ask, paths):
    job = make_job(paths, "tune")
    answer = ask("cancel", f"{job.id}.s0.1")
    assert (answer.code, answer.hint) == (2, f"`python -m jobs cancel {job.id}` cancels all of it.")
    assert "is cancelled" in ask("cancel", job.id).out
    assert job.cancel_file.exists()  # what its trials look for
    assert "cancelled" in ask("status", job.id).out


def test_what_succeeded_is_not_resumed(ask, paths):
    run, search = make_finished_run(paths), make_search(paths, [0.4])
    for name in (run.id, search.id):
        answer = ask("resume", name)
        assert (answer.code, "is finished" in answer.problem) == (2, True)
    assert job_ids(paths) == []


def test_a_rerun_is_the_same_training_but_for_what_was_set(ask, paths):
    run = make_run(paths, settings={"data": "photographs.zip", "epochs": 7, "flip": True})
    changes = ("--set", "learning_rate=1e-4", "--set", "epochs=9", "--set", "optimizer=adamw")
    text = ask("rerun", run.id, *changes, "--dry-run").out
    arguments = json.loads(text[text.index("{") : text.rindex("}\n") + 1])
    own = run.manifest.config.model_dump(mode="json")
    assert arguments == own | {"recipe": "smoke", "learning_rate": 1e-4, "epochs": 9, "optimizer": "adamw"}


def test_a_setting_of_the_network_can_be_set_by_its_short_name(ask, paths):
    run = make_run(paths)
    option = next(iter(run.manifest.config.network_options))
    text = ask("rerun", run.id, "--set", f"{option}=0.125", "--dry-run")
    assert text.code in (0, 2)  # the option may not take that; its name is known in any case
    assert "There is no setting" not in text.err


@pytest.mark.parametrize(
    ("pair", "problem", "hint"),
    [
        ("learning_rat=1", "no setting 'learning_rat'", "Did you mean 'learning_rate'?"),
        ("epochs", "--set takes NAME=VALUE", "--set learning_rate=1e-4"),
        ("epochs=-1", "epochs", "--help"),
    ],
)
def test_a_wrong_setting_is_refused_before_anything_is_sent(ask, paths, pair, problem, hint):
    run = make_run(paths)
    answer = ask("rerun", run.id, "--set", pair)
    assert answer.code == 2
    assert problem in answer.problem and hint in answer.hint
    assert job_ids(paths) == []


def test_a_finished_run_is_put_into_use_and_the_one_before_it_again(ask, paths):
    first, second = make_finished_run(paths), make_finished_run(paths, minutes=1)
    assert f"Run {first.id} is the model in use now" in ask("promote", first.id).out
    ask("promote", second.id)
    assert current(paths).run == second.id
    assert f"Run {first.id} is in use again" in ask("rollback").out
    assert current(paths).run == first.id
    assert "The project's own model is in use again" in ask("rollback").out
    assert current(paths) is None
    answer = ask("rollback")
    assert (answer.code, "no model" in answer.problem) == (2, True)


def test_a_run_that_is_not_finished_is_not_put_into_use(ask, paths):
    answer = ask("promote", make_run(paths).id)
    assert (answer.code, "not finished" in answer.problem) == (2, True)
