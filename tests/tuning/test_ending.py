"""The end of a search: once, whoever comes first, and again after a kill."""

import os
import subprocess
import sys
import tomllib

import cv2
import pytest

from fer_core.tuning.ending import end_if_over
from fer_core.tuning.plots import NAMES
from fer_core.tuning.state import load_state
from tests.conftest import PROJECT
from tests.tuning.made_up import confirmation, failed, made_up_search, rows, run_of, trial

SMALL = {"max_trials": 2, "confirm_top": 1}
ENTRIES = (
    trial(0, 0.5, parameters=900, latency_ms=0.2),
    trial(1, 0.6, parameters=1900, latency_ms=0.4, values={"learning_rate": 0.01}),
    *(confirmation(2 + seed, 1, 0.55 + seed / 100, seed=1 + seed, values={"learning_rate": 0.01}) for seed in range(3)),
)
ENDING = """
import sys
from pathlib import Path
from fer_core.paths import Paths
from fer_core.tuning.ending import end_if_over
from fer_core.tuning.folder import open_search

models = Path(sys.argv[1])
sys.exit(0 if end_if_over(open_search(Paths.from_environment(models=models), "search-1")) else 9)
"""


@pytest.fixture
def search(paths):
    """A search of which everything is told."""
    search = made_up_search(paths, ENTRIES, **SMALL)
    for entry in ENTRIES:
        run_of(search, entry, rows(entry.score))
    return search


def check_is_whole(search) -> None:
    state = load_state(search)
    assert (state.status, state.winner, state.message) == ("SUCCEEDED", "run-4", "")
    assert tomllib.loads(search.best_toml.read_text())["learning_rate"] == 0.01
    assert len(search.trials_csv.read_text().splitlines()) == 1 + len(ENTRIES)
    assert all(cv2.imread(str(search.plots / f"{name}.png")) is not None for name in NAMES)


def test_the_last_one_names_the_winner_and_writes_what_a_search_leaves(search):
    assert end_if_over(search).winner == "run-4"
    check_is_whole(search)
    assert end_if_over(search) is None


@pytest.mark.parametrize("entries", [(), ENTRIES[:1], ENTRIES[:4], (*ENTRIES[:4], confirmation(4, 1))])
def test_a_search_of_which_something_is_left_goes_on(paths, entries):
    search = made_up_search(paths, entries, **SMALL)
    before = search.state_json.read_bytes()
    assert end_if_over(search) is None
    assert search.state_json.read_bytes() == before
    assert not search.best_toml.exists()


def test_a_search_of_which_no_trial_was_finished_has_failed(paths):
    search = made_up_search(paths, [failed(0), failed(1)], **SMALL)
    state = end_if_over(search)
    assert (state.status, state.winner) == ("FAILED", None)
    assert state.message == "None of its trials was finished. The last one: The loss became no number."
    assert not search.best_toml.exists()


@pytest.mark.parametrize("status", ["CANCELLED", "FAILED"])
def test_a_search_that_was_ended_by_others_stays_as_it_is(paths, status):
    search = made_up_search(paths, ENTRIES, status=status, **SMALL)
    assert end_if_over(search) is None
    assert load_state(search).status == status


def test_of_three_processes_at_once_one_ends_the_search(search):
    command = [sys.executable, "-c", ENDING, str(search.paths.models)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "FER_HISTORY_DIR": str(search.paths.history)}
    children = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) for _ in range(3)]
    errors = b"".join(child.communicate(timeout=100)[1] for child in children)
    assert sorted(child.returncode for child in children) == [0, 9, 9], errors.decode()
    check_is_whole(search)


@pytest.mark.parametrize("call", [4, 12])
def test_killed_in_the_middle_it_is_done_again(search, monkeypatch, call):
    calls, fsync = [], os.fsync

    def killed(descriptor):
        calls.append(descriptor)
        if len(calls) > call:
            raise KeyboardInterrupt
        return fsync(descriptor)

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        end_if_over(search)
    monkeypatch.undo()
    assert load_state(search).status == "RUNNING"
    assert end_if_over(search) is not None
    check_is_whole(search)
