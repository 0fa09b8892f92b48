"""The short form of benchmarks/soak.py: what is killed, interrupted or out of room goes on, and comes to the same bits."""

import os
import random
import shutil
import signal

import pytest
from remains import leftovers, only_run, outcome, torn_files
from soak import SETTINGS, Moment, Soak, random_moments

from fer_core.store.runs import latest_unfinished
from fer_core.training.train import train

SMALL_FILES_ONLY = ["sh", "-c", 'ulimit -f 32 && exec "$0" "$@"']
"""At most 16 KB (32 KB in some shells) a file: the checkpoint has about 200."""


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    return Soak(tmp_path_factory.mktemp("soak"))


@pytest.fixture(scope="module")
def reference(training):
    return training.reference()


def test_a_training_killed_three_times_ends_with_the_bits_of_one_that_was_not(training, reference):
    chance = random.Random(20260131)
    by_clock, by_call = (moments[0] for moments, _ in zip(random_moments(chance, reference), "12", strict=False))
    late = Moment(call=reference.calls[-chance.randrange(1, 30)])
    verdict = training.kill_and_resume("killed", [by_call, by_clock, late], reference.outcome)
    assert verdict.problems == ()


def test_a_training_stopped_by_sigterm_a_full_disk_and_ctrl_c_ends_with_the_bits_of_one_that_was_not(training, reference):
    places = training.places("stopped")
    middle = Moment(seconds=reference.seconds * 0.6)
    ended = training.train("stopped", *SETTINGS, moment=middle, signal_number=signal.SIGTERM)
    run = only_run(places)
    assert (ended.status, run.state.status) == (143, "INTERRUPTED")
    assert f"Interrupted after epoch {run.state.epoch}. Nothing before it is lost. Go on with: python" in ended.output
    assert f"--resume {run.id} --models-dir {places.models} --history-dir {places.history}" in ended.output

    ended = training.train("stopped", "--resume=latest", prefix=SMALL_FILES_ONLY)
    assert ended.status == 2
    problem, hint = ended.output.splitlines()[-2:]
    assert problem.startswith("Error: There is no room") and "what was there before is kept" in problem
    assert "--resume latest" in hint
    assert torn_files(places) == []
    assert latest_unfinished(places) == run

    ended = training.train("stopped", "--resume=latest", moment=Moment(seconds=0.5), signal_number=signal.SIGINT)
    assert (ended.status, run.state.status) == (130, "INTERRUPTED")

    ended = training.train("stopped", "--resume", run.id)
    assert (ended.status, run.state.attempt) == (0, 4)
    assert outcome(run) == reference.outcome
    assert (torn_files(places), leftovers(places)) == ([], [])


DECIDING = ("fsync", "replace", "rename", "link", "mkdir", "unlink")


@pytest.fixture
def before_every_call(monkeypatch):
    """A function that has `look` called just before every call that puts a file in place: all that a kill would leave."""

    def install(look):
        for name in DECIDING:
            monkeypatch.setattr(os, name, watched(getattr(os, name)))

        state["look"] = look

    def watched(function):
        def call(*arguments, **options):
            if not state["looking"]:
                state["looking"] = True
                state["look"]()
                state["looking"] = False
            return function(*arguments, **options)

        return call

    state = {"looking": False}
    return install


def test_whenever_the_end_of_a_training_is_killed_all_files_are_whole_and_it_can_be_done_again(
    trained_run, session_places, small_config, places, before_every_call, tmp_path, monkeypatch
):
    from fer_core.data.dataset import load_dataset

    dataset = load_dataset(small_config, session_places, side=48)
    run = copy_without_its_end(trained_run, places)
    moments = []

    def look():
        assert torn_files(places) == []
        moments.append(shutil.copytree(places.models.parent, tmp_path / "moments" / str(len(moments))))

    before_every_call(look)
    train(run, dataset, places=places)
    monkeypatch.undo()
    assert len(moments) > 50
    assert outcome(run) == outcome(trained_run)
