"""Whose weights are kept."""

import json

import pytest

from fer_core.store.runs import open_run
from fer_core.tuning.keeping import drop_weights
from fer_core.tuning.state import changing, load_state
from tests.tuning.made_up import confirmation, failed, made_up_search, rows, run_of, trial

EPOCHS = {"tuner/round": 0, "tuner/initial_epoch": 0}


@pytest.fixture
def make_search(paths):
    """A function that makes a search whose trials have left weights."""

    def make(*entries, **spec):
        search = made_up_search(paths, entries, keep_top_k=2, **spec)
        for entry in entries:
            run = run_of(search, entry, rows(entry.score or 0.1))
            run.checkpoint.mkdir()
            for path in (run.model_h5, run.model_tflite, run.checkpoint / "checkpoint.npz"):
                path.write_bytes(b"weights")
        return search

    return make


def with_weights(search) -> list[int]:
    """Returns the trials that still have all their weights; no trial may have a part of them."""
    found = []
    for entry in load_state(search).entries:
        run = open_run(search.paths, entry.run)
        there = {path.exists() for path in (run.model_h5, run.model_tflite, run.checkpoint)}
        assert len(there) == 1, f"{run.id} has a part of its weights"
        found += [entry.number] if there == {True} else []
    return found


def test_the_best_keep_their_weights_and_so_does_who_is_not_done(make_search):
    search = make_search(trial(0, 0.3), trial(1, 0.6), trial(2, 0.5), failed(3), trial(4))
    assert drop_weights(search, load_state(search)) == ["run-0", "run-3"]
    assert with_weights(search) == [1, 2, 4]
    assert drop_weights(search, load_state(search)) == []


def test_a_run_without_weights_says_why_and_keeps_the_rest(make_search):
    search = make_search(trial(0, 0.3), trial(1, 0.6), trial(2, 0.5))
    drop_weights(search, load_state(search))
    run = open_run(search.paths, "run-0")
    assert run.state.message == "Its weights are deleted: it is not among the best 2 of search search-1."
    assert run.history_csv.is_file()
    assert open_run(search.paths, "run-1").state.message == ""


def test_the_confirmations_keep_their_weights(make_search):
    search = make_search(trial(0, 0.9), trial(1, 0.8), confirmation(2, 0, 0.1))
    assert drop_weights(search, load_state(search)) == []


def test_a_run_in_use_keeps_its_weights(make_search):
    search = make_search(trial(0, 0.1), trial(1, 0.2), trial(2, 0.8), trial(3, 0.9))
    pointer = {"run": "run-1", "previous": ["run-0"], "promoted_utc": "2026-01-31T12:00:00.000Z", "sha256": "0"}
    (search.paths.models / "current.json").write_text(json.dumps(pointer))
    assert drop_weights(search, load_state(search)) == []


def test_a_trial_that_hyperband_may_go_on_with_keeps_its_weights_until_the_search_is_over(make_search):
    short, whole = EPOCHS | {"tuner/epochs": 4}, EPOCHS | {"tuner/epochs": 12}
    search = make_search(
        *(trial(0, 0.1, values=short), trial(1, 0.2, values=short), trial(2, 0.3, values=whole)),
        *(trial(3, 0.8, values=whole | {"tuner/trial_id": "1"}), trial(4, 0.9, values=whole)),
        *(trial(5, 0.4, values=short), trial(6, values=whole | {"tuner/trial_id": "5"})),
        oracle="hyperband",
    )
    assert drop_weights(search, load_state(search)) == ["run-1", "run-2"]
    with changing(search) as state:
        state.status = "CANCELLED"
    assert drop_weights(search, load_state(search)) == []
    with changing(search) as state:
        state.status = "SUCCEEDED"
    assert drop_weights(search, load_state(search)) == ["run-0", "run-5"]
    assert with_weights(search) == [3, 4, 6]


def test_a_run_that_somebody_has_removed_or_broken_is_left_alone(make_search):
    search = make_search(trial(0, 0.1), trial(1, 0.2), trial(2, 0.8), trial(3, 0.9))
    (search.run_folder("run-0") / "manifest.json").unlink()
    (search.run_folder("run-1") / "state.json").write_text("{")
    assert drop_weights(search, load_state(search)) == []
