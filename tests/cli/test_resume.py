"""--resume: only the run that was begun goes on, with the data and the settings that it was begun with."""

import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.errors import ArtifactError
from fer_core.store.files import read_json, write_json
from fer_core.store.promotion import current
from fer_core.store.runs import create_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.progress import read_progress
from fer_core.training.starting import with_fixed_models
from fer_core.training.train import record_data, training_data
from tests.cli.conftest import EMOTIONS, everything_in
from tests.script import run_here


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("20200101-000000-none-0000", "Error: There is no run '20200101-000000-none-0000'"),
        ("../../etc", "Error: '../../etc' is no run id: it has letters, digits, '-', '_' and '.' only."),
    ],
)
def test_a_run_that_there_is_not_is_refused(door, begun_run, name, problem):
    answer = door("--resume", name)
    assert (answer.code, answer.problem.startswith(problem)) == (2, True)
    assert name.startswith("..") or begun_run.id in answer.hint


def first(faces, part, emotion):
    return next((faces / part / EMOTIONS[emotion]).iterdir())


CHANGES = {
    "one less": lambda faces: first(faces, "test", 0).unlink(),
    "of another class": lambda faces: first(faces, "train", 1).rename(faces / "train" / EMOTIONS[2] / "moved.png"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_data_is_refused(door, begun_run, faces, change):
    CHANGES[change](faces)
    before = begun_run.manifest
    answer = door("--resume", begun_run.id)
    assert answer.code == 2
    assert f"The images in {faces} are not those that run {begun_run.id} was begun with (27 train" in answer.problem
    assert "Put the old images back" in answer.hint
    assert begun_run.manifest == before


def test_data_that_has_gone_is_refused(door, begun_run, faces):
    faces.rename(faces.with_name("elsewhere"))
    answer = door("--resume", "latest")
    assert (answer.code, answer.problem) == (2, f"Error: There is no {faces}.")


@pytest.mark.parametrize(
    ("arguments", "problem", "hint"),
    [
        (["--learning-rate=0.5"], "The run was begun with learning_rate = 0.003, not 0.5.", "Leave that setting out"),
        (["--seed=1"], "The run was begun with seed = 0, not 1.", "Only --epochs may grow"),
        (["--data=sample"], "The run was begun with data = '", "Leave that setting out"),
        (["--network=baseline"], "The run was begun with network = 'smoke', not 'baseline'.", "start a new run"),
        (["--network-options.filters", "8", "8", "8"], "The run was begun with network_options = {", "new run"),
        (["--epochs=2"], "The run has 3 epochs; --epochs 2 is less.", "It may only grow."),
        (["--recipe=baseline"], "is of recipe smoke, not baseline.", "Leave --recipe out"),
    ],
)
def test_other_settings_are_refused_by_name(door, begun_run, paths, arguments, problem, hint):
    before = everything_in(paths.models)
    answer = door("--resume", begun_run.id, *arguments)
    assert answer.code == 2
    assert problem in answer.problem
    assert hint in answer.hint
    assert everything_in(paths.models) == before


def test_a_run_that_another_process_trains_is_refused_with_75_and_is_not_the_latest(door, begun_run):
    with begun_run.hold():
        answer, latest = door("--resume", begun_run.id), door("--resume", "latest")
    assert answer.code == 75
    assert f"Run {begun_run.id} is being trained by process " in answer.problem
    assert "--resume" in answer.hint
    assert (latest.code, latest.problem) == (2, "Error: There is no unfinished run to go on with.")
    assert "--history" in latest.hint


def test_a_finished_run_says_so_changes_nothing_and_gets_no_more_epochs(door, in_use, paths):
    before = everything_in(paths.models)
    answer = door("--resume", in_use.id)
    assert (answer.code, answer.err) == (0, "")
    assert f"Run {in_use.id} is finished." in answer.out
    assert str(in_use.model_h5) in answer.out
    assert everything_in(paths.models) == before
    answer = door("--resume", in_use.id, "--epochs", "5")
    assert answer.code == 2
    assert answer.problem == f"Error: Run {in_use.id} is finished, after 3 of 3 epochs; it gets no more."
    assert f"--init-from {in_use.id}" in answer.hint


def test_a_finished_run_that_was_not_put_into_use_yet_is_put_there(door, in_use, paths):
    (paths.models / "current.json").unlink()
    # Drawn faces would not take the place of the project's own model.
    manifest = read_json(in_use.folder / "manifest.json", "manifest")
    config = manifest["config"] | {"data": "photographs"}
    write_json(in_use.folder / "manifest.json", manifest | {"config": config, "data_name": "photographs"})
    answer = door("--resume", in_use.id)
    assert answer.code == 0
    assert current(paths).run == in_use.id
    assert "It cannot be compared with shipped/best, which was in use before: There is no photographs." in answer.out


def test_a_run_begun_before_anger_was_read_as_angry_goes_on_with_its_own_classes(begun_run, faces, paths):
    for name, other in zip(EMOTIONS, ("Anger", "Happiness", "Sadness"), strict=True):
        for part in ("train", "test"):
            (faces / part / name).rename(faces / part / other)
    config = begun_run.manifest.config
    run = create_run(paths, config, recipe="smoke", history_header=HISTORY_HEADER)
    record_data(run, load_dataset(config.model_copy(update={"label_map": "none"}), paths, side=48))
    assert run.manifest.labels == ("anger", "happiness", "sadness")
    dataset = training_data(config, paths, run=run)
    assert record_data(run, dataset).labels == dataset.labels == run.manifest.labels
    assert training_data(config, paths).labels == EMOTIONS


def test_a_run_with_a_broken_manifest_is_refused(door, begun_run):
    (begun_run.folder / "manifest.json").write_text("{")
    answer = door("--resume", begun_run.id)
    assert answer.code == 2
    assert str(begun_run.folder / "manifest.json") in answer.problem
    with pytest.raises(ArtifactError):
        _ = begun_run.manifest


def test_epochs_grow_and_the_run_goes_on_after_its_last_one_and_is_put_into_use(begun_run, paths):
    answer = run_here("--resume", "latest", "--epochs", "4", paths=paths)
    assert (answer.code, current(paths).run) == (0, begun_run.id), answer.err
    state = begun_run.state
    assert (state.status, state.epoch, state.epochs) == ("SUCCEEDED", 4, 4)
    assert begun_run.manifest.config.epochs == 4
    assert read_progress(begun_run.checkpoint).epoch == 4
    assert len(begun_run.history_csv.read_text().splitlines()) == 1 + 4


def test_what_is_in_use_when_a_run_is_made_is_what_it_starts_and_learns_from_when_resumed(trained_run, session_paths):
    fixed = with_fixed_models(TrainConfig(init_from="current", teacher=("current", trained_run.id)), session_paths)
    assert (fixed.init_from, fixed.teacher) == (trained_run.id, (trained_run.id, trained_run.id))
    assert with_fixed_models(TrainConfig(), session_paths) == TrainConfig()
