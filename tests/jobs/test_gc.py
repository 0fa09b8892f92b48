"""`gc`: what goes, what stays, and that --dry-run touches nothing."""

import json
import os
from datetime import timedelta

import pytest

from fer_core.store.clock import utc_now
from fer_core.store.files import file_sha256, temporary_beside, write_json
from fer_core.store.promotion import promote, rollback
from fer_core.store.run import Run
from fer_core.tuning.state import changing
from jobs.garbage import find_garbage, remove_garbage
from tests.jobs.parts import asking, end_job, make_finished_run, make_job, make_run, make_search

MONTHS_AGO = utc_now() - timedelta(days=90)


def found(paths, *, keep_days: float = 30) -> dict[str, list[str]]:
    """Returns what can go: names by kind."""
    kinds: dict[str, list[str]] = {}
    for garbage in find_garbage(paths, keep_days=keep_days, now=utc_now()):
        kinds.setdefault(garbage.kind, []).append(str(garbage.path.relative_to(paths.models.parent)))
    return kinds


def files_in(paths) -> list[str]:
    return sorted(str(path) for path in paths.models.parent.rglob("*") if not path.name.endswith(".lock"))


def make_old(*paths) -> None:
    for path in paths:
        os.utime(path, (MONTHS_AGO.timestamp(), MONTHS_AGO.timestamp()))


def test_where_there_is_nothing_nothing_is_found(paths):
    assert found(paths) == {}
    assert not paths.models.exists()


def test_the_checkpoint_of_a_finished_run_goes_and_its_model_stays(paths):
    run = make_finished_run(paths)
    assert found(paths) == {"checkpoint of a finished run": [f"models/runs/{run.id}/checkpoint"]}
    remove_garbage(paths, find_garbage(paths, keep_days=30, now=utc_now()))
    assert not run.checkpoint.exists()
    assert run.model_h5.is_file() and run.evaluation_json.is_file()


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "INTERRUPTED", "FAILED", "CANCELLED", "TIMED_OUT"])
def test_what_may_be_resumed_keeps_its_checkpoint(paths, status):
    run = make_finished_run(paths)
    run.update_state(status=status)
    assert found(paths) == {}


def test_a_run_that_a_process_holds_or_that_is_broken_is_left_alone(paths):
    held, broken = make_finished_run(paths), make_finished_run(paths, minutes=1)
    (broken.folder / "manifest.json").write_text("{")
    with held.hold():
        assert found(paths) == {}


def test_weights_beyond_the_best_of_an_ended_search_go(paths):
    search = make_search(paths, [0.3, 0.6, 0.5, 0.4], keep_top_k=2)
    weights = found(paths)["weights beyond the best of a search"]
    runs = [name.split("/")[2] for name in weights]
    with changing(search) as state:
        worse = [state.entries[number].run for number in (0, 3)]
    assert runs == [run for run in worse for _ in ("model.h5", "model.tflite")]


@pytest.mark.parametrize("status", ["RUNNING", "CANCELLED"])
def test_a_search_that_may_go_on_keeps_everything(paths, status):
    make_search(paths, [0.3, 0.6, 0.5], keep_top_k=1, status=status)
    assert found(paths) == {}


def test_models_in_use_now_or_before_stay_also_if_they_are_not_among_the_best(paths):
    search = make_search(paths, [0.3, 0.6, 0.5], keep_top_k=1)
    with changing(search) as state:
        runs = [Run(paths.models / "runs" / entry.run, paths.history) for entry in state.entries]
    for run in (runs[0], runs[2], runs[1]):
        promote(paths, run)
    assert "weights beyond the best of a search" not in found(paths)
    rollback(paths)
    rollback(paths)
    (name,) = {name.split("/")[2] for name in found(paths)["weights beyond the best of a search"]}
    assert name == runs[2].id  # it was in use, and was taken out of it


def test_weights_that_come_into_use_between_looking_and_removing_stay(paths):
    search = make_search(paths, [0.3, 0.6], keep_top_k=1)
    garbage = find_garbage(paths, keep_days=30, now=utc_now())
    with changing(search) as state:
        run = Run(paths.models / "runs" / state.entries[0].run, paths.history)
    promote(paths, run)
    remove_garbage(paths, garbage)
    assert run.model_h5.is_file()


@pytest.mark.parametrize("setting", ["init_from", "teacher"])
def test_weights_that_an_unfinished_run_begins_with_or_learns_from_stay(setting, paths):
    search = make_search(paths, [0.3, 0.6], keep_top_k=1)
    with changing(search) as state:
        run = Run(paths.models / "runs" / state.entries[0].run, paths.history)
    named = str(run.model_h5) if setting == "init_from" else (str(run.model_h5),)
    start = make_run(paths, minutes=9, settings={setting: named, "data": "x.zip"})
    assert "weights beyond the best of a search" not in found(paths)
    start.update_state(status="SUCCEEDED")
    assert "weights beyond the best of a search" in found(paths)


def test_the_members_of_an_unfinished_ensemble_stay(paths):
    search = make_search(paths, [0.3, 0.6], keep_top_k=1)
    with changing(search) as state:
        members = tuple(entry.run for entry in state.entries)
    ensemble = make_run(paths, minutes=9)
    ensemble.update_manifest(kind="ensemble", members=members)
    assert "weights beyond the best of a search" not in found(paths)
    ensemble.update_state(status="SUCCEEDED")
    assert "weights beyond the best of a search" in found(paths)


def test_what_teachers_said_goes_when_it_is_old(paths):
    soft_labels = paths.cache / "lessons"
    soft_labels.mkdir(parents=True)
    for name in ("old.npy", "young.npy"):
        (soft_labels / name).write_bytes(b"answers")
    make_old(soft_labels / "old.npy")
    assert found(paths) == {"what teachers said": ["cache/lessons/old.npy"]}


def test_only_old_temporary_files_go_and_shipped_models_are_never_looked_at(paths, monkeypatch):
    run = make_run(paths)
    shipped = paths.models / "shipped" / "best"
    shipped.mkdir(parents=True)
    monkeypatch.setattr("jobs.garbage.SHIPPED", shipped.parent)
    old, young = temporary_beside(run.folder / "model.h5"), temporary_beside(run.folder / "state.json")
    folder, ours = temporary_beside(run.folder.parent / "run"), temporary_beside(shipped / "model.h5")
    folder.mkdir()
    for path in (old, young, folder / "inside", ours):
        path.write_bytes(b"half")
    make_old(old, folder, ours)
    names = sorted(str(path.relative_to(paths.models.parent)) for path in (old, folder))
    assert sorted(found(paths)["abandoned temporary file"]) == names
    monkeypatch.setattr("jobs.garbage.SHIPPED", paths.models.parent / "elsewhere")
    assert sorted(found(paths)["abandoned temporary file"]) == sorted(
        [*names, str(ours.relative_to(paths.models.parent))]
    )


def test_old_records_of_what_made_no_run_and_old_logs_of_trials_go(paths):
    old, new, waiting = end_job(make_job(paths, "gc")), end_job(make_job(paths, "gc")), make_job(paths, "gc")
    training, search = end_job(make_job(paths), "FAILED"), make_search(paths, [0.5])
    going_on = make_search(paths, [0.5, None], status="RUNNING", oracle="grid")
    logs = [one.folder / "output" / "s0.0.txt" for one in (search, going_on)]
    for log in logs:
        log.parent.mkdir()
        log.write_text("said")
    make_old(old.folder, waiting.folder, training.folder, *logs)
    kinds = found(paths)
    assert kinds["record of a job"] == [f"models/tasks/{old.id}"]
    assert kinds["log of a trial"] == [f"models/searches/{search.id}/output/s0.0.txt"]
    assert "record of a job" not in found(paths, keep_days=100)
    assert new.folder.is_dir()


def test_old_analyses_go_but_for_that_of_the_model_in_use(paths):
    run = make_finished_run(paths)
    assert promote(paths, run).promoted
    for name, of in (("used-1", file_sha256(run.model_h5)), ("other-1", "0" * 64)):
        folder = paths.models / "analyses" / name
        folder.mkdir(parents=True)
        write_json(folder / "evaluation.json", {"model_sha256": of})
        make_old(folder / "evaluation.json")
    assert found(paths)["analysis of a model"] == ["models/analyses/other-1"]


def test_a_dry_run_lists_with_sizes_and_touches_nothing(paths, monkeypatch, capsys):
    make_search(paths, [0.3, 0.6, 0.5], keep_top_k=1)
    ask = asking(paths, monkeypatch, capsys)
    before = files_in(paths)
    text = ask("gc", "--dry-run").out
    assert "model.h5" in text and "could be freed" in text and " kB " in text
    told = json.loads(ask("gc", "--dry-run", "--json").out)
    assert told["dry_run"] and told["freed"] == 0 and len(told["found"]) == 7
    assert files_in(paths) == before
    assert "freed." in ask("gc").out
    assert files_in(paths) != before
    assert "There is nothing to remove." in ask("gc").out
