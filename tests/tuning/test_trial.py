"""Trials on drawn faces: carried out, killed in the middle, stopped early, and gone wrong."""

import csv
import re
from typing import NamedTuple

import cv2
import pytest

from fer_core.cli import trial as door
from fer_core.cli.train import parse
from fer_core.paths import Paths
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.training.history import read_history
from fer_core.tuning import stage
from fer_core.tuning.entries import Entry, ranked
from fer_core.tuning.plots import NAMES
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import Search, changing, create_search, load_state
from tests.conftest import paths_in
from tests.script import run_here, run_script
from tests.tuning.made_up import made_up_search

TRIAL = ("-m", "fer_core.cli.trial")
SETTINGS = {"sample_per_class": 20, "epochs": 2}
# Decay takes ten times a weight from it each step: weights grow ninefold a step.
GROWING = {"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 1.0, "warmup_epochs": 0.0, "schedule": "constant"}
DIVERGING = GROWING | {"sample_per_class": 55, "batch_size": 8, "epochs": 3, "precision": "float32"}


class Searched(NamedTuple):
    """What several searches came to, and the log of each job."""

    paths: Paths
    logs: dict[str, str]

    def search(self, name: str) -> Search:
        return Search(self.paths.models / "searches" / name, self.paths)


def make_search(paths: Paths, name: str, **spec) -> Search:
    own = {"recipe": "smoke", "data": "sample", "settings": SETTINGS, "space": ("learning_rate", "filters")}
    return create_search(paths, SearchSpec(**own | {"confirm_top": 0} | spec), search_id=name)


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> Searched:
    paths = paths_in(tmp_path_factory.mktemp("searches"))
    whole = make_search(paths, "whole", max_trials=2, confirm_top=1, keep_top_k=1)
    make_search(paths, "diverging", max_trials=1, settings=DIVERGING, space=("rotation",))
    logs: dict[str, str] = {}
    jobs = ["whole.s0.0", "whole.s0.1!", *(f"whole.s0.{n}" for n in range(1, 4)), "diverging.s0.0"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "CONFIRMATION_SEEDS", 1)
        for job, mishap, _ in (job.partition("!") for job in jobs):
            with patch.context() as last:
                if mishap:
                    last.setattr(door, "tell", killed)
                    let_three_be_ahead(whole)
                answer = run_here(job.rpartition(".s")[0], "--job", job, paths=paths, main=door.main)
            assert "Traceback" not in answer.err
            logs[job] = f"{logs.get(job, '')}{answer.out}ended with {answer.code}\n"
    return Searched(paths, logs)


def killed(*arguments, **options) -> None:
    """Stands for what ends a process before it tells what came of its trial."""
    raise KeyboardInterrupt


def let_three_be_ahead(search: Search) -> None:
    """Lets trials have been so good in their first epoch that the next one cannot keep up."""
    with changing(search) as state:
        state.rungs = {1: {1000 + number: 0.995 for number in range(3)}}


def best_of(search: Search) -> Entry:
    return ranked(load_state(search).entries, search.spec.objective)[0]


def runs_of(search: Search) -> list[Run]:
    return [open_run(search.paths, entry.run) for entry in load_state(search).entries]


def test_the_log_of_a_trial_reads_like_that_of_a_training(searched):
    out = searched.logs["whole.s0.0"]
    assert out.endswith("ended with 0\n")
    assert "98 images train, 14 images validate, 28 images test." in out.splitlines()[0]
    (run, *_) = runs_of(searched.search("whole"))
    assert re.search(rf"^Trial 0 of search whole, run {run.id}: learning_rate 0\.003, .*filters", out, re.MULTILINE)
    assert re.search(rf"^Training {run.id}: tensorflow on CPU:0, \d+ threads", out, re.MULTILINE)
    assert re.findall(r"^epoch +(\d)  loss", out, re.MULTILINE) == ["1", "2"]
    told = r"^Trial 0: val_macro_f1 0\.\d{4}, 2 epochs, \d\d,\d{3} parameters\. Best so far: "
    assert re.search(told, out, re.MULTILINE)
    takes = r"^The search takes about .+, until \w+ \d\d:\d\d: at most 2 trials of up to 2 epochs and 3 trainings of "
    assert re.search(takes, out, re.MULTILINE)
    assert load_state(searched.search("whole")).first_estimate_seconds > 0
    assert len(out.splitlines()) < 30


def test_every_training_is_saved_with_what_it_came_to_and_the_best_is_trained_again_with_another_seed(searched):
    search = searched.search("whole")
    entries, runs = load_state(search).entries, runs_of(search)
    for entry, run in zip(entries, runs, strict=True):
        history = read_history(run.history_csv).rows
        assert (run.manifest.kind, run.manifest.parent, run.manifest.promote) == ("trial", "whole", False)
        assert (entry.status, run.state.status) == ("COMPLETED", "SUCCEEDED")
        assert entry.score == history[run.manifest.scores["kept_epoch"] - 1]["val_macro_f1"]
        assert entry.score == max(row["val_macro_f1"] for row in history)
        assert entry.seconds == pytest.approx(sum(row["seconds"] for row in history), abs=0.002)
        assert (entry.epochs, entry.stopped_early) == ((1, True) if entry.number == 1 else (2, False))
    best = best_of(search)
    assert [(one.kind, one.of, one.seed, one.values) for one in entries[2:]] == [
        ("confirm", best.number, 1, best.values)
    ]
    assert [run.manifest.config.seed for run in runs] == [0, 0, 1]
    assert len({run.manifest.split_fingerprint for run in runs}) == 2


def test_the_search_ends_with_a_winner_and_all_that_it_leaves(searched):
    search, state = searched.search("whole"), load_state(searched.search("whole"))
    assert state.status == "SUCCEEDED"
    assert state.winner == max(state.entries[2:], key=lambda entry: entry.score).run
    with search.trials_csv.open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["run"] for line in lines] == [entry.run for entry in state.entries]
    assert [float(line["score"]) for line in lines] == [entry.score for entry in state.entries]
    assert all(cv2.imread(str(search.folder / "plots" / f"{name}.png")) is not None for name in NAMES)
    request = parse(["--recipe", "smoke", "--config", str(search.best_toml)])
    winner = open_run(search.paths, state.winner).manifest.config
    assert request.config.model_copy(update={"network_options": winner.network_options}) == winner


def test_the_winner_and_the_best_trial_alone_are_complete_and_the_others_lose_their_weights(searched):
    search, best = searched.search("whole"), best_of(searched.search("whole"))
    state = load_state(search)
    for entry, run in zip(state.entries, runs_of(search), strict=True):
        is_complete = entry.run in (state.winner, best.run)
        assert (run.model_tflite.is_file(), run.plots.is_dir(), bool(entry.latency_ms)) == (is_complete,) * 3
        assert (run.manifest.litert is not None) == is_complete
        has_weights = entry.kind == "confirm" or entry == best
        assert (run.model_h5.exists(), run.checkpoint.exists()) == (has_weights,) * 2


def test_the_last_training_ends_the_search_and_a_job_that_comes_later_finds_nothing_to_do(searched):
    said = searched.logs["whole.s0.2"]
    assert re.search(r"^Search whole is over\. Trial [01] has won: val_macro_f1 0\.\d{4}\. Its run: ", said, re.M)
    assert said.endswith("ended with 0\n")
    *_, answer, end = searched.logs["whole.s0.3"].splitlines()
    assert (answer, end) == ("Search whole has ended (SUCCEEDED).", "ended with 0")


def test_a_trial_that_cannot_keep_up_is_stopped_and_killed_before_it_was_told_is_told_and_not_trained_again(searched):
    search, said = searched.search("whole"), searched.logs["whole.s0.1"]
    assert "ended with 130" in said and said.endswith("ended with 0\n")
    assert re.findall(r"^epoch +(\d)  loss", said, re.MULTILINE) == ["1"]
    entry, run = load_state(search).entries[1], runs_of(search)[1]
    assert (entry.status, entry.epochs, entry.stopped_early, run.state.attempt) == ("COMPLETED", 1, True, 1)
    assert 0 < entry.score < 0.995
    assert entry.message == (
        f"Stopped after epoch 1: val_macro_f1 {entry.score:.3f} is not among the best third of the 4 trials"
        " that came as far."
    )
    assert entry.message in said and "Stopped early after epoch 1 of 2" in said
    assert load_state(search).stopped == {1: entry.message}


def test_a_trial_whose_loss_becomes_no_number_is_a_result_and_no_error(searched):
    said, state = searched.logs["diverging.s0.0"], load_state(searched.search("diverging"))
    assert "Trial 0 has failed: The training went wrong: " in said
    assert said.endswith("ended with 0\n")
    assert (state.entries[0].status, state.entries[0].score) == ("FAILED", None)
    assert (state.status, state.winner) == ("FAILED", None)
    assert not searched.search("diverging").best_toml.exists()
    assert state.message.startswith("None of its trials was finished. The last one: The training went wrong: ")


def test_what_cannot_be_trained_is_said_before_keras_is_loaded(paths, tmp_path):
    made_up_search(paths, data=str(tmp_path / "gone"))
    environment = {"KERAS_BACKEND": "no such backend"}
    answer = run_script("search-1", "--job", "x", paths=paths, script=TRIAL, environment=environment)
    assert (answer.code, str(tmp_path / "gone") in answer.problem) == (2, True)
    answer = run_here("search-2", "--job", "x", paths=paths, main=door.main)
    assert (answer.code, answer.hint) == (2, "Did you mean 'search-1'?")
    assert "There is no search 'search-2'" in answer.problem


def test_who_finds_nothing_to_train_loads_no_keras_and_other_code_is_said(paths):
    search = made_up_search(paths, status="CANCELLED")
    with changing(search) as state:
        state.other_code = ["other"]
    environment = {"KERAS_BACKEND": "no such backend"}
    answer = run_script("search-1", "--job", "x", paths=paths, script=TRIAL, environment=environment)
    assert (answer.code, answer.err) == (0, "")
    assert "The code has changed since the search began" in answer.out
    assert "Search search-1 has ended (CANCELLED)." in answer.out
