"""Kills at every system call that could leave a half-made thing behind: every final name holds old or new, whole."""

import itertools

import pytest

from fer_core.config import TrainConfig
from fer_core.store.artifacts import save_labels
from fer_core.store.promotion import current, labels_copy, model_copy, model_in_use, promote, rollback
from fer_core.store.run import State
from fer_core.store.runs import create_run, latest_unfinished, list_runs
from tests.store.conftest import in_a_child, kill_at_every_call

HEADER = "epoch,loss\n"


def test_a_kill_while_a_run_is_created_leaves_a_whole_run_or_none(paths, before_every_call):
    looks = []

    def check():
        for run in list_runs(paths):
            assert run.manifest.run_id == run.id
            assert run.state == State(epochs=50)
            assert run.history_csv.read_text() == HEADER
        visible = sorted((paths.models / "runs").glob("[!.]*"))
        assert visible == [run.folder for run in list_runs(paths)]
        assert all(path.read_text() == HEADER for path in paths.history.glob("[!.]*"))
        looks.append(len(visible))

    def create():
        create_run(paths, TrainConfig(), recipe="smoke", history_header=HEADER)

    left = set()
    for killed_at in range(4, 10):
        assert in_a_child(create, killed_at=killed_at)
        left |= {*paths.history.glob(".*"), *(paths.models / "runs").glob(".*")}
    assert left
    before_every_call(check)
    create()
    check()
    assert len(looks) > 10 and looks[0] + 1 == looks[-1]
    assert [path.name for path in (paths.models / "runs").glob(".*")] == []
    assert [path.name for path in paths.history.glob(".*")] == []


def test_a_kill_while_state_and_manifest_change_leaves_each_old_or_new(paths):
    run = create_run(paths, TrainConfig(), recipe="smoke")

    def check():
        state, manifest = run.state, run.manifest
        assert state.message == (f"epoch {state.epoch}" if state.epoch else "")
        assert manifest.backend == (f"backend {manifest.threads}" if manifest.threads else None)
        assert state.epoch >= (manifest.threads or 0)
        assert not run.is_held() and latest_unfinished(paths) == run

    def update():
        with run.hold():
            epoch = run.state.epoch + 1
            run.update_state(status="RUNNING", epoch=epoch, message=f"epoch {epoch}")
            run.update_manifest(threads=epoch, backend=f"backend {epoch}")

    assert kill_at_every_call(update, check) >= 6
    with run.hold():
        assert list(run.folder.glob(".*.part*")) == []


@pytest.fixture
def two_runs(make_finished_run):
    """Two finished runs with other weights and other labels."""
    first, second = make_finished_run(), make_finished_run()
    save_labels(second.labels_json, ("happy", "angry"))
    return first, second


def assert_copies_are_of(folder, paths):
    assert model_copy(paths).read_bytes() == (folder / "model.h5").read_bytes()
    assert labels_copy(paths).read_bytes() == (folder / "labels.json").read_bytes()


def test_a_kill_while_promoting_leaves_a_whole_model_in_use(paths, two_runs):
    first, second = two_runs
    in_between = 0

    def check():
        nonlocal in_between
        pointer = current(paths)
        if pointer is None:
            return
        assert (pointer.run, pointer.previous) in [(first.id, ()), (second.id, (first.id,))]
        run = first if pointer.run == first.id else second
        in_between += model_copy(paths).read_bytes() != run.model_h5.read_bytes()
        assert model_in_use(paths) == run.folder  # who looks for the model in use puts its copies right
        assert_copies_are_of(run.folder, paths)

    def prepare():
        for path in (paths.models / "current.json", model_copy(paths), labels_copy(paths)):
            path.unlink(missing_ok=True)

    assert kill_at_every_call(lambda: [promote(paths, run) for run in two_runs], check, prepare=prepare) >= 18
    assert in_between >= 2
    promote(paths, second)
    assert_copies_are_of(second.folder, paths)
    assert list(paths.models.glob(".*.part*")) == []


def test_a_kill_on_the_way_back_to_the_projects_own_model_leaves_copies_of_what_is_in_use(paths, two_runs):
    def check():
        assert_copies_are_of(model_in_use(paths), paths)
        assert list(paths.models.glob(".*.part*")) == []

    assert kill_at_every_call(lambda: rollback(paths), check, prepare=lambda: promote(paths, two_runs[0])) >= 6


def test_the_next_promotion_puts_right_what_a_killed_one_left_even_if_it_is_refused(paths, two_runs, make_finished_run):
    first, second = two_runs
    promote(paths, first)
    calls = itertools.count(1)
    while model_copy(paths).read_bytes() != second.model_h5.read_bytes():
        assert in_a_child(lambda: promote(paths, second), killed_at=next(calls))
    assert current(paths).run == first.id
    assert not promote(paths, make_finished_run(data="sample")).promoted
    assert_copies_are_of(first.folder, paths)
