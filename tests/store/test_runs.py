import itertools
import json
import subprocess
import sys

import pytest

from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError
from fer_core.paths import Paths
from fer_core.store import runs
from fer_core.store.files import temporary_beside
from fer_core.store.runs import create_run, latest_unfinished, list_runs, new_run_id, open_run


@pytest.fixture
def make_run(paths, noon, monkeypatch):
    """A function that makes runs of the same second, in order."""
    numbers = itertools.count()
    monkeypatch.setattr(runs, "_mark", lambda: f"{next(numbers):04x}")
    return lambda **options: create_run(
        paths, TrainConfig(epochs=7), **{"recipe": "smoke", "clock": lambda: noon} | options
    )


def test_a_new_run_is_named_by_its_time_and_waits_to_be_trained(make_run, paths):
    run = make_run(history_header="epoch,loss\n")
    assert run.id == "20260131-120000-smoke-0000"
    assert (run.state.status, run.state.epoch, run.state.epochs, run.state.attempt) == ("QUEUED", 0, 7, 0)
    assert run.manifest.config == TrainConfig(epochs=7)
    assert run.manifest.created_utc == "2026-01-31T12:00:00.000Z"
    assert run.history_csv.name == "training_history_20260131_120000.csv"
    assert run.history_csv.read_text() == "epoch,loss\n"
    assert sorted(path.name for path in run.folder.iterdir()) == ["manifest.json", "state.json"]
    assert [path.name for path in run.folder.parent.iterdir()] == [run.id]
    assert [path.name for path in paths.history.iterdir()] == [run.history_csv.name]
    assert make_run(recipe=None).id == "20260131-120000-baseline-0001"


def test_an_id_that_is_taken_is_not_taken_again_and_histories_of_one_second_are_numbered(make_run, monkeypatch):
    marks = iter(["3f9a", "3f9a", "3f9a", "77aa", "88bb"])
    monkeypatch.setattr(runs, "_mark", lambda: next(marks))
    made = [make_run() for _ in range(3)]
    assert [run.id[-4:] for run in made] == ["3f9a", "77aa", "88bb"]
    assert made[1].manifest.run_id == made[1].id == "20260131-120000-smoke-77aa"
    names = [f"training_history_20260131_120000{mark}.csv" for mark in ("", "_2", "_3")]
    assert [run.history_csv.name for run in made] == names


def test_a_run_whose_id_was_noted_before_is_made_once(make_run, paths, noon):
    noted = new_run_id(TrainConfig(), recipe="smoke", clock=lambda: noon)
    first, second = make_run(run_id=noted), make_run(run_id=noted, recipe="quick")
    assert first.id == second.id == noted == "20260131-120000-smoke-0000"
    assert second.manifest.recipe == "smoke"
    assert [run.id for run in list_runs(paths)] == [noted]
    assert len(list(paths.history.iterdir())) == 1


def test_the_history_of_a_trial_lies_in_the_folder_of_its_search(make_run, paths):
    run = make_run(kind="trial", parent="20260131-nightly")
    assert run.history_csv.parent == paths.history / "search_20260131-nightly"
    assert not run.manifest.promote


CREATE_RUNS = """
import sys
from datetime import UTC, datetime
from fer_core.config import TrainConfig
from fer_core.paths import Paths
from fer_core.store import runs
from fer_core.store.runs import create_run
paths = Paths.from_environment({}, models=sys.argv[1], history=sys.argv[2])
timestamp = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
for _ in range(20):
    print(create_run(paths, TrainConfig(), recipe="smoke", clock=lambda: timestamp).id)
"""


def test_two_processes_that_create_runs_in_one_second_get_their_own(paths, project):
    command = [sys.executable, "-c", CREATE_RUNS, str(paths.models), str(paths.history)]
    children = [subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    ids = [run_id for child in children for run_id in child.communicate(timeout=60)[0].split()]
    runs = list_runs(paths)
    assert sorted(ids) == [run.id for run in runs] and len(set(ids)) == 40
    histories = {run.manifest.history_csv for run in runs}
    assert histories == {path.name for path in paths.history.iterdir()} and len(histories) == 40


@pytest.mark.parametrize("name", ["../outside", "a/b", "..", "", ".hidden", "/etc", "a\\b", "a\0b", "a\n", "a" * 300])
def test_a_hostile_run_id_is_refused(paths, name):
    (paths.models / "outside").mkdir(parents=True)
    (paths.models / "outside" / "manifest.json").write_text("{}")
    for look in (open_run, lambda paths, name: create_run(paths, TrainConfig(), run_id=name)):
        with pytest.raises(ArtifactError, match="is no run id"):
            look(paths, name)
    with pytest.raises(ArtifactError, match="is no search id"):
        create_run(paths, TrainConfig(), kind="trial", parent=name)


def test_an_id_of_no_run_is_answered_with_the_nearest_the_newest_or_how_to_make_one(make_run, paths):
    def hint(run_id):
        with pytest.raises(ArtifactError, match=f"There is no run '{run_id}'") as caught:
            open_run(paths, run_id)
        return caught.value.hint

    assert "--data sample" in hint("something")
    assert list_runs(paths) == [] and latest_unfinished(paths) is None
    make_run()
    assert hint("20260131-120000-smoke-0001") == "Did you mean '20260131-120000-smoke-0000'?"
    assert hint("something") == "The newest are: 20260131-120000-smoke-0000."


def test_a_model_that_comes_with_the_project_is_no_run(paths):
    with pytest.raises(ArtifactError, match="There is no run 'tiny'") as caught:
        open_run(paths, "tiny")
    assert caught.value.hint.endswith("with --model tiny.")


def test_runs_are_listed_oldest_first_without_what_is_none(make_run, paths):
    runs = [make_run(), make_run()]
    temporary_beside(runs[0].folder).mkdir()
    (runs[0].folder.parent / "notes").mkdir()
    assert list_runs(paths) == runs
    assert open_run(paths, runs[0].id) == runs[0]


def test_the_latest_unfinished_run_is_the_newest_that_was_started_by_hand(make_run, paths):
    wanted = make_run()
    make_run(kind="trial", parent="nightly")
    make_run(kind="retrain")
    make_run().update_state(status="SUCCEEDED")
    make_run().update_state(status="FAILED")
    (make_run().folder / "state.json").write_text('{"status": "RUN')
    for status in ("QUEUED", "RUNNING", "INTERRUPTED"):
        wanted.update_state(status=status)
        assert latest_unfinished(paths) == wanted
    busy = make_run()
    with busy.hold():
        assert latest_unfinished(paths) == wanted
    assert latest_unfinished(paths) == busy


def test_relative_places_work(make_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = create_run(Paths.from_environment({}), TrainConfig(), history_header="epoch\n")
    assert run.history_csv.read_text() == "epoch\n"
    assert json.loads((tmp_path / run.folder / "manifest.json").read_text())["run_id"] == run.id


def test_a_run_that_cannot_be_made_leaves_no_history(make_run, paths):
    paths.models.mkdir()
    (paths.models / "runs").write_text("in the way")
    with pytest.raises(FileExistsError):
        make_run()
    assert list(paths.history.iterdir()) == []


CREATE_AND_CHANGE_WITHOUT_ROOM = """
import resource, sys
from fer_core.config import TrainConfig
from fer_core.paths import Paths
from fer_core.store.files import DiskFullError
from fer_core.store import runs
from fer_core.store.runs import create_run
paths = Paths.from_environment({}, models=sys.argv[1], history=sys.argv[2])
run = create_run(paths, TrainConfig())
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
for change in (
    lambda: create_run(paths, TrainConfig()),
    lambda: run.update_state(status="RUNNING"),
    lambda: run.update_manifest(threads=2),
):
    try:
        change()
    except DiskFullError as error:
        print(error)
"""


def test_where_there_is_no_room_no_half_run_appears_and_nothing_changes(paths, python):
    child = python(CREATE_AND_CHANGE_WITHOUT_ROOM, paths.models, paths.history)
    assert child.stdout.count("What was saved before is kept") == 3, child.stderr
    (run,) = list_runs(paths)
    assert run.state.status == "QUEUED" and run.manifest.threads is None
    assert [path.name for path in run.folder.parent.iterdir()] == [run.id]
    assert [path.name for path in paths.history.iterdir()] == [run.history_csv.name]
