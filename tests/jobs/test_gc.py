"""`gc`: what goes, what stays, and that --dry-run touches nothing."""

import json
import os
from datetime import timedelta

import pytest

from fer_core.store.files import file_sha256, temporary_beside, utc_now, write_json
from fer_core.store.promotion import promote, rollback
from fer_core.store.run import Run
from fer_core.tuning.state import load_state
from jobs.garbage import Garbage, find_garbage, remove_garbage
from tests.jobs.parts import end_job, make_finished_run, make_job, make_run, make_search

MONTHS_AGO = (utc_now() - timedelta(days=90)).timestamp()
WEIGHTS = "weights beyond the best of a search"


def found(paths, *, keep_days: float = 30) -> dict[str, list[str]]:
    """Returns what can go: names by kind."""
    kinds: dict[str, list[str]] = {}
    for garbage in find_garbage(paths, keep_days=keep_days, now=utc_now()):
        kinds.setdefault(garbage.kind, []).append(str(garbage.path.relative_to(paths.models.parent)))
    return kinds


def trials_of(search) -> list[Run]:
    return [Run(search.run_folder(entry.run), search.paths.history) for entry in load_state(search).entries]


def make_old(*paths) -> None:
    for path in paths:
        os.utime(path, (MONTHS_AGO, MONTHS_AGO))


def test_the_checkpoint_of_a_finished_run_goes_and_its_model_stays(paths):
    assert found(paths) == {} and not paths.models.exists()
    run = make_finished_run(paths)
    assert found(paths) == {"checkpoint of a finished run": [f"models/runs/{run.id}/checkpoint"]}
    remove_garbage(paths, find_garbage(paths, keep_days=30, now=utc_now()))
    assert not run.checkpoint.exists()
    assert run.model_h5.is_file() and run.evaluation_json.is_file()


@pytest.mark.parametrize("status", ["QUEUED", "RUNNING", "INTERRUPTED", "FAILED", "CANCELLED", "TIMED_OUT"])
def test_what_may_be_resumed_is_held_or_is_broken_keeps_its_checkpoint(paths, status):
    make_finished_run(paths).update_state(status=status)
    held, broken = make_finished_run(paths, minutes=1), make_finished_run(paths, minutes=2)
    (broken.folder / "manifest.json").write_text("{")
    with held.hold():
        assert found(paths) == {}


def test_weights_beyond_the_best_of_an_ended_search_go(paths):
    trials = trials_of(make_search(paths, [0.3, 0.6, 0.5, 0.4], keep_top_k=2))
    names = [f"models/runs/{trials[n].id}/{name}" for n in (0, 3) for name in ("model.h5", "model.tflite")]
    assert found(paths)[WEIGHTS] == names


@pytest.mark.parametrize("status", ["RUNNING", "CANCELLED", "unreadable"])
def test_a_search_that_may_go_on_or_cannot_be_read_keeps_everything(paths, status):
    is_broken = status == "unreadable"
    search = make_search(paths, [0.3, 0.6, 0.5], keep_top_k=1, status="SUCCEEDED" if is_broken else status)
    if is_broken:
        (search.folder / "state.json").write_text("{}")
        search.state_backup.unlink(missing_ok=True)
    assert found(paths) == {}


def test_models_in_use_now_or_before_stay_also_if_they_came_into_use_after_the_look(paths):
    trials = trials_of(make_search(paths, [0.3, 0.6, 0.5], keep_top_k=1))
    promote(paths, trials[0])
    garbage = find_garbage(paths, keep_days=30, now=utc_now())
    promote(paths, trials[2])
    assert WEIGHTS not in found(paths)
    remove_garbage(paths, garbage)
    assert trials[2].model_h5.is_file()
    rollback(paths)
    (name,) = {name.split("/")[2] for name in found(paths)[WEIGHTS]}
    assert name == trials[2].id  # it was in use, and was taken out of it


def test_what_cannot_be_removed_stays_and_the_rest_goes(paths):
    ours, others = paths.models / "ours", paths.models / "others"
    paths.models.mkdir(parents=True)
    for path in (ours, others):
        path.write_text("12345")
    listed = [Garbage("x", others / "in no folder", 5), Garbage("x", ours, 5)]
    remove_garbage(paths, listed)
    assert (ours.exists(), others.exists()) == (False, True)


@pytest.mark.parametrize("setting", ["init_from", "teacher", "members"])
def test_weights_that_an_unfinished_run_begins_with_learns_from_or_averages_stay(setting, paths):
    trial = trials_of(make_search(paths, [0.3, 0.6], keep_top_k=1))[0]
    named = {"init_from": str(trial.model_h5), "teacher": (str(trial.model_h5),)}
    settings = {setting: named[setting]} if setting in named else {}
    unfinished = make_run(paths, minutes=9, settings=settings | {"data": "x.zip"})
    if setting == "members":
        unfinished.update_manifest(kind="ensemble", members=(trial.id,))
    assert WEIGHTS not in found(paths)
    unfinished.update_state(status="SUCCEEDED")
    assert WEIGHTS in found(paths)


def test_only_old_temporary_files_go_and_shipped_models_are_never_looked_at(paths, monkeypatch):
    run, shipped = make_run(paths), paths.models / "shipped" / "best"
    shipped.mkdir(parents=True)
    old, young = temporary_beside(run.folder / "model.h5"), temporary_beside(run.folder / "state.json")
    folder, ours = temporary_beside(run.folder.parent / "run"), temporary_beside(shipped / "model.h5")
    folder.mkdir()
    for path in (old, young, folder / "inside", ours):
        path.write_bytes(b"half")
    make_old(old, folder, ours)
    for place, wanted in ((shipped.parent, {old, folder}), (paths.models.parent / "elsewhere", {old, folder, ours})):
        monkeypatch.setattr("jobs.garbage.SHIPPED", place)
        names = {str(path.relative_to(paths.models.parent)) for path in wanted}
        assert set(found(paths)["abandoned temporary file"]) == names


def test_what_is_kept_for_a_while_goes_when_it_is_old(paths):
    old, new, waiting = end_job(make_job(paths, "gc")), end_job(make_job(paths, "gc")), make_job(paths, "gc")
    training, search = end_job(make_job(paths), "FAILED"), make_search(paths, [0.5])
    going_on = make_search(paths, [0.5, None], status="RUNNING", oracle="grid")
    logs = [one.folder / "output" / "s0.0.txt" for one in (search, going_on)]
    answers = [paths.cache / "lessons" / name for name in ("old.npy", "young.npy")]
    for path in (*logs, *answers):
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("said")
    make_old(old.folder, waiting.folder, training.folder, *logs, answers[0])
    kinds = found(paths)
    assert kinds["record of a job"] == [f"models/tasks/{old.id}"]
    assert kinds["log of a trial"] == [f"models/searches/{search.id}/output/s0.0.txt"]
    assert kinds["what teachers said"] == ["cache/lessons/old.npy"]
    assert "record of a job" not in found(paths, keep_days=100) and new.folder.is_dir()


def test_old_analyses_go_but_for_that_of_the_model_in_use(paths):
    run = make_finished_run(paths)
    assert promote(paths, run).promoted
    for name, of in (("used-1", file_sha256(run.model_h5)), ("other-1", "0" * 64)):
        file = paths.models / "analyses" / name / "evaluation.json"
        file.parent.mkdir(parents=True)
        write_json(file, {"model_sha256": of})
        make_old(file)
    assert found(paths)["analysis of a model"] == ["models/analyses/other-1"]


def test_a_dry_run_lists_with_sizes_and_touches_nothing(paths, ask):
    make_search(paths, [0.3, 0.6, 0.5], keep_top_k=1)
    files = lambda: {path for path in paths.models.rglob("*") if path.suffix != ".lock"}  # noqa: E731
    before = files()
    text = ask("gc", "--dry-run").out
    assert "model.h5" in text and "could be freed" in text and " kB " in text
    told = json.loads(ask("gc", "--dry-run", "--json").out)
    assert told["dry_run"] and told["freed"] == 0 and len(told["found"]) == 7
    assert files() == before
    assert "freed." in ask("gc").out and files() < before
    assert "There is nothing to remove." in ask("gc").out
