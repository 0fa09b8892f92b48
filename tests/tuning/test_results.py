"""What a search leaves: trials.csv, best.toml, plots, the end itself, and weights of the best alone."""

import csv
import io
import json
import os
import shlex
import subprocess
import sys
import tomllib

import cv2
import pytest

from fer_core import networks
from fer_core.cli.train import parse
from fer_core.store.runs import open_run
from fer_core.tuning.entries import winner
from fer_core.tuning.plots import NAMES
from fer_core.tuning.results import (
    COLUMNS,
    drop_weights,
    end_if_over,
    trials_csv,
    write_best,
)
from fer_core.tuning.state import changing, load_state
from tests.tuning.made_up import OBJECTIVE, confirmation, failed, made_up_search, rows, run_of, trial

RATE = "learning_rate"
SMALL = {"max_trials": 2, "confirm_top": 1}
ENTRIES = (
    trial(0, 0.5, parameters=900, latency_ms=0.2),
    trial(1, 0.6, parameters=1900, latency_ms=0.4, values={RATE: 0.01}),
    *(confirmation(2 + seed, 1, 0.55 + seed / 100, seed=1 + seed, values={RATE: 0.01}) for seed in range(3)),
)
ENDING = """
import sys
from pathlib import Path
from fer_core.paths import Paths
from fer_core.tuning.results import end_if_over
from fer_core.tuning.state import open_search

models = Path(sys.argv[1])
search = open_search(Paths.from_environment(models=models), "search-1")
print("ready", flush=True)
sys.stdin.read()
sys.exit(0 if end_if_over(search) else 9)
"""


@pytest.fixture
def over(paths):
    """A search of which everything is trained."""
    search = made_up_search(paths, ENTRIES, **SMALL)
    for entry in ENTRIES:
        run_of(search, entry, rows(entry.score))
    return search


def check_is_whole(search) -> None:
    state = load_state(search)
    assert (state.status, state.winner, state.message) == ("SUCCEEDED", "run-4", "")
    assert tomllib.loads(search.best_toml.read_text())[RATE] == 0.01
    assert len(search.trials_csv.read_text().splitlines()) == 1 + len(ENTRIES)
    assert all(cv2.imread(str(search.folder / "plots" / f"{name}.png")) is not None for name in NAMES)


@pytest.mark.parametrize(
    ("entries", "status"),
    [
        ((), "RUNNING"),
        (ENTRIES[:4], "RUNNING"),
        ((*ENTRIES[:4], confirmation(4, 1)), "RUNNING"),
        (ENTRIES, "CANCELLED"),
    ],
)
def test_a_search_of_which_something_is_left_or_that_was_ended_by_others_stays_as_it_is(paths, entries, status):
    search = made_up_search(paths, entries, status=status, **SMALL)
    before = search.state_json.read_bytes()
    assert end_if_over(search) is None
    assert search.state_json.read_bytes() == before
    assert not search.best_toml.exists()


def test_of_two_processes_at_once_one_ends_the_search(over):
    command = [sys.executable, "-c", ENDING, str(over.paths.models)]
    environment = os.environ | {"FER_HISTORY_DIR": str(over.paths.history)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"ready\n"
        other.stdin.close()
        is_ended_here = end_if_over(over) is not None
        assert other.wait(100) == (9 if is_ended_here else 0)
    check_is_whole(over)


def test_killed_in_the_middle_it_is_done_again(over, monkeypatch):
    fsync = os.fsync
    for call in (4, 10):
        calls = []

        def killed(descriptor, calls=calls, call=call):
            calls.append(descriptor)
            if len(calls) > call:
                raise KeyboardInterrupt
            return fsync(descriptor)

        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(os, "fsync", killed)
            end_if_over(over)
        assert load_state(over).status == "RUNNING"
    assert end_if_over(over).winner == "run-4"
    check_is_whole(over)
    assert end_if_over(over) is None


def read(text: str) -> list[dict]:
    return list(csv.DictReader(io.StringIO(text)))


def test_the_table_has_a_line_for_each_training_with_its_settings():
    entries = [
        trial(0, 0.5, values={RATE: 0.001, "tuner/epochs": 3}, parameters=1200, latency_ms=0.25),
        failed(1, "The process was killed.\nLast lines:\n  Killed", values={RATE: 0.02, "optimizer": "sgd"}),
        trial(2, values={RATE: 0.003}),
        confirmation(3, 0, 0.52, values={RATE: 0.001}),
    ]
    text = trials_csv(entries, (RATE, "optimizer"))
    lines = read(text)
    assert len(text.splitlines()) == 5 and "tuner" not in text
    assert list(lines[0]) == [*COLUMNS, RATE, "optimizer"]
    assert [line["number"] for line in lines] == ["0", "1", "2", "3"]
    assert [line["status"] for line in lines] == ["COMPLETED", "FAILED", "RUNNING", "COMPLETED"]
    assert [line["score"] for line in lines] == ["0.5", "", "", "0.52"]
    assert [line[RATE] for line in lines] == ["0.001", "0.02", "0.003", "0.001"]
    assert [line["optimizer"] for line in lines] == ["", "sgd", "", ""]
    assert (lines[0]["parameters"], lines[0]["latency_ms"], lines[3]["of"]) == ("1200", "0.25", "0")
    assert lines[1]["message"] == "The process was killed. Last lines: Killed"


def test_best_toml_is_what_the_training_script_takes_and_says_whose_settings_it_has(paths):
    own = [trial(0, 0.5), *(confirmation(1 + seed, 0, 0.5 + seed / 10) for seed in range(3))]
    search = made_up_search(paths, own)
    for entry in own:
        config = search.plan.base.model_copy(update={"seed": entry.seed, RATE: 0.0123})
        run_of(search, entry, rows(0.5)).update_manifest(config=config)
    write_best(search, winner(own, OBJECTIVE))
    request = parse(["--config", str(search.best_toml), "--models-dir", str(paths.models)])
    assert networks.with_all_options(request.config) == open_run(paths, "run-3").manifest.config
    assert (request.config.learning_rate, request.config.seed) == (0.0123, 3)
    text = search.best_toml.read_text()
    assert "# The settings of run run-3, the winner of search search-1 (trial 0)." in text
    assert "# val_macro_f1 0.6000, the mean of 3 trainings with other seeds. To train with them:" in text
    command = next(line for line in text.splitlines() if line.startswith("# python "))
    assert shlex.split(command)[-2:] == ["--config", str(search.best_toml)]


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


def test_the_best_and_the_confirmations_keep_their_weights_and_so_does_who_is_not_done(make_search):
    entries = (trial(0, 0.3), trial(1, 0.6), trial(2, 0.5), failed(3), trial(4), confirmation(5, 0, 0.1))
    search = make_search(*entries)
    assert drop_weights(search, load_state(search)) == ["run-0", "run-3"]
    assert with_weights(search) == [1, 2, 4, 5]
    assert drop_weights(search, load_state(search)) == []
    run = open_run(search.paths, "run-0")
    assert run.state.message == "Its weights are deleted: it is not among the best 2 of search search-1."
    assert run.history_csv.is_file()
    assert open_run(search.paths, "run-1").state.message == ""


def test_a_run_in_use_and_one_that_somebody_has_removed_or_broken_are_left_alone(make_search):
    search = make_search(*(trial(number, number / 10) for number in range(6)))
    pointer = {"run": "run-1", "previous": ["run-0"], "promoted_utc": "2026-01-31T12:00:00.000Z", "sha256": "0"}
    (search.paths.models / "current.json").write_text(json.dumps(pointer))
    (search.run_folder("run-2") / "manifest.json").unlink()
    (search.run_folder("run-3") / "state.json").write_text("{")
    assert drop_weights(search, load_state(search)) == []


def test_a_trial_that_hyperband_may_continue_keeps_its_weights_until_the_search_is_over(make_search):
    short, whole = EPOCHS | {"tuner/epochs": 4}, EPOCHS | {"tuner/epochs": 12}
    search = make_search(
        *(trial(0, 0.1, values=short), trial(1, 0.2, values=short), trial(2, 0.3, values=whole)),
        *(trial(3, 0.8, values=whole | {"tuner/trial_id": "1"}), trial(4, 0.9, values=whole)),
        *(trial(5, 0.4, values=short), trial(6, values=whole | {"tuner/trial_id": "5"})),
        oracle="hyperband",
    )
    assert drop_weights(search, load_state(search)) == ["run-1", "run-2"]
    for status, dropped in (("CANCELLED", []), ("SUCCEEDED", ["run-0", "run-5"])):
        with changing(search) as state:
            state.status = status
        assert drop_weights(search, load_state(search)) == dropped
    assert with_weights(search) == [3, 4, 6]
