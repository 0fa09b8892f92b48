"""What a search comes to when its trainings are killed, fail and come again at any moment, in however many slots."""

import contextlib
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_core.store import files, runs
from fer_core.store.runs import list_runs
from fer_core.tuning import trials
from fer_core.tuning.entries import SearchState
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import Search, create_search, load_state
from fer_core.tuning.trials import Fingerprints, reopen_search
from tests.conftest import paths_in
from tests.tuning.conftest import FINGERPRINTS
from tests.tuning.driving import Workers

CHEAP_ORACLES = ("random", "hyperband", "grid")


@pytest.mark.parametrize("oracle", [*CHEAP_ORACLES, "bayesian"])
def test_two_slots_and_one_try_as_many(make_search, oracle):
    usual = {"oracle": oracle, "max_trials": 5, "confirm_top": 1, "max_epochs": 3 if oracle == "hyperband" else None}
    one, two = (Workers(make_search(parallelism=slots, **usual)).run_to_the_end() for slots in (1, 2))
    assert one.status == two.status == "SUCCEEDED"
    assert [(e.kind, e.status) for e in one.entries] == [(e.kind, e.status) for e in two.entries]
    if oracle in ("random", "grid"):
        assert [entry.values for entry in one.trials] == [entry.values for entry in two.trials]


class Killed(BaseException):
    """What a kill looks like from inside."""


@contextlib.contextmanager
def killed_before_the_run_is_made():
    """A process that dies when the state is saved and the run is not."""

    def killed(*_, **__):
        raise Killed

    make_run, trials.create_run = trials.create_run, killed
    try:
        yield
    finally:
        trials.create_run = make_run


@pytest.fixture(scope="module")
def quick_disk():
    """No waiting for the disk, and no look at git for each run: what is killed here are no machines."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "sync", lambda path: None)
        patch.setattr(runs, "sync", lambda path: None)
        patch.setattr(runs, "checkout_commit", lambda: None)
        yield


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return (tmp_path_factory.mktemp(f"search-{number}") for number in itertools.count())


BEGINNINGS = ("begin", "begin", "die asking", "begin elsewhere")
ENDINGS = ("end", "end", "die", "die told", "fail", "give up")
EVENTS = st.lists(st.tuples(st.sampled_from((*BEGINNINGS, *ENDINGS, "stop")), st.integers(0, 5)), max_size=40)
ELSEWHERE = Fingerprints("other images", "code")
MORE_SETTINGS = {"hyperband": {"max_epochs": 3, "max_trials": 9}, "grid": {"space": ("batch_size", "flip")}}


def searched(folder: Path, oracle: str, slots: int) -> Search:
    usual = {"recipe": "smoke", "oracle": oracle, "parallelism": slots, "max_trials": 7, "confirm_top": 1}
    more = {"space": ("learning_rate", "flip"), "max_failed_in_a_row": 1000} | MORE_SETTINGS.get(oracle, {})
    return create_search(paths_in(folder), SearchSpec(**usual | more), search_id="search")


def happen(workers: Workers, event: str, place: int) -> None:
    if load_state(workers.search).status == "FAILED":
        reopen_search(workers.search)
    if event == "stop" and load_state(workers.search).status == "RUNNING":
        workers.stop()
        reopen_search(workers.search)
    elif event in BEGINNINGS:
        begin_somehow(workers, event)
    elif event in ENDINGS and workers.training:
        if event in ("end", "fail"):
            workers.end(place, fails=event == "fail")
        elif event == "give up":
            workers.give_up(place)
        else:
            workers.die(place, told=event == "die told")


def begin_somehow(workers: Workers, event: str) -> None:
    killed = killed_before_the_run_is_made() if event == "die asking" else contextlib.nullcontext()
    with contextlib.suppress(Killed), killed:
        workers.begin(metadata=ELSEWHERE if event == "begin elsewhere" else FINGERPRINTS)


@pytest.fixture(scope="module")
def undisturbed(folders, quick_disk):
    """The trials of searches that nothing has happened to, by oracle."""
    return {oracle: Workers(searched(next(folders), oracle, 1)).run_to_the_end().trials for oracle in CHEAP_ORACLES}


@pytest.mark.parametrize("oracle", CHEAP_ORACLES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS, slots=st.integers(1, 3))
def test_whatever_happens_no_trial_is_lost_or_counted_twice(folders, undisturbed, oracle, events, slots):
    workers = Workers(searched(next(folders), oracle, slots))
    workers.begin()
    for event, place in events:
        happen(workers, event, place)
    state = workers.run_to_the_end()
    assert state.status == "SUCCEEDED"
    assert {entry.status for entry in state.entries} <= {"COMPLETED", "FAILED"}
    assert len({entry.run for entry in state.entries}) == len(state.entries)
    assert sorted(run.id for run in list_runs(workers.search.paths)) == sorted(entry.run for entry in state.entries)
    jobs = [entry.job for entry in state.entries]
    assert len(set(jobs)) == len(jobs)
    if oracle in ("random", "grid"):
        assert [entry.values for entry in state.trials] == [entry.values for entry in undisturbed[oracle]]
    elif all(entry.status == "COMPLETED" for entry in state.trials):
        assert len(state.trials) == len(undisturbed[oracle])
    completed = any(entry.status == "COMPLETED" for entry in state.trials)
    assert len(state.entries) - len(state.trials) == (3 if completed else 0)
    confirmed = [state.entries[entry.of] for entry in state.entries[len(state.trials) :]]
    assert all(entry.status == "COMPLETED" for entry in confirmed)
    check_promotions(state)


def check_promotions(state: SearchState) -> None:
    """Each trial that goes on does so with one of the round before that nobody else goes on with."""
    continued = [trial for trial in state.trials if "tuner/trial_id" in trial.values]
    sources = [state.trials[int(trial.values["tuner/trial_id"])] for trial in continued]
    assert len({source.number for source in sources}) == len(sources)
    for trial, source in zip(continued, sources, strict=True):
        assert source.status == "COMPLETED" and source.number < trial.number
        assert source.settings == trial.settings
        assert source.values["tuner/bracket"] == trial.values["tuner/bracket"]
        assert source.values["tuner/round"] == trial.values["tuner/round"] - 1
    firsts = [trial for trial in state.trials if trial.values.get("tuner/round") == 0]
    assert len(firsts) + len(continued) in (0, len(state.trials))
