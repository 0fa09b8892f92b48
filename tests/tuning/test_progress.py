"""What a search comes to when its trainings are killed, fail and come again at any moment, in however many slots."""

import contextlib
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_core.errors import JobError
from fer_core.store import files, runs
from fer_core.store.runs import list_runs
from fer_core.tuning import asking
from fer_core.tuning.asking import Idle, ask
from fer_core.tuning.entries import SearchState
from fer_core.tuning.fingerprints import Fingerprints
from fer_core.tuning.folder import Search, create_search
from fer_core.tuning.progress import cancel_search, note_refusal, reopen_search, trial_failed
from fer_core.tuning.slots import TrialName, parse_trial_name, running_slots, slot_count, trial_of
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.stage import work_left
from fer_core.tuning.state import load_state
from fer_core.tuning.telling import Outcome, tell
from tests.conftest import paths_in
from tests.tuning.conftest import FINGERPRINTS, NOON
from tests.tuning.driving import Workers

ORACLES = ("random", "hyperband", "bayesian", "grid")
EVERY_ORACLE = pytest.mark.parametrize("oracle", ORACLES)


@pytest.fixture
def search(make_search):
    return make_search(max_trials=3, confirm_top=1)


def begin(search, slot: int):
    return ask(search, trial_of(load_state(search), search.id, slot).id, metadata=FINGERPRINTS)


def end(search, number: int, score: float = 0.5) -> SearchState:
    return tell(search, number, Outcome("COMPLETED", score))


def left(search) -> int:
    return work_left(search.spec, load_state(search), NOON)


def test_the_names_of_trainings_say_search_slot_and_number():
    assert parse_trial_name("20260131-a.s1.2-x.s3.14") == TrialName("20260131-a.s1.2-x", 3, 14)
    assert TrialName("s", 3, 14).id == "s.s3.14"
    for other in ("tune-1", "x.s1", "x.s1.", ".s1.2", "x.s-1.2", "x.s1.2\n"):
        assert parse_trial_name(other) is None


def test_there_are_as_many_slots_as_workers_come_unless_fewer_are_wanted(make_search):
    assert slot_count(make_search()) > 1000
    assert slot_count(make_search(parallelism=3)) == 3


def test_a_slot_goes_on_with_what_it_has_begun_and_then_begins_the_next(search):
    first = begin(search, 0)
    assert begin(search, 0) == first and begin(search, 1) != first
    end(search, 0)
    assert trial_of(load_state(search), search.id, 0).id == "search-0.s0.1"
    assert running_slots(load_state(search)) == {1}


def test_what_is_left_counts_down_to_confirmations_and_to_the_naming_of_the_winner(search):
    assert left(search) == 3
    for slot in range(3):
        begin(search, slot)
    assert left(search) == 0
    for number in range(3):
        end(search, number, 0.1 * number)
    assert left(search) == 3
    assert [begin(search, slot).entry.seed for slot in range(3)] == [1, 2, 3]
    assert left(search) == 0
    for number in range(3, 6):
        end(search, number)
    assert left(search) == 1


def test_a_worker_that_found_nothing_to_do_is_not_sent_again_before_a_trial_has_ended(make_search):
    search = make_search(oracle="hyperband", max_epochs=3, max_trials=9)
    slot = 0
    while not isinstance(begin(search, slot), Idle):
        slot += 1
    assert left(search) == 0
    end(search, 0)
    assert left(search) > 0


def test_a_training_that_has_failed_for_good_costs_its_trial(search):
    entry = begin(search, 0).entry
    trial_failed(search, entry.job, "It crashed.")
    trial_failed(search, entry.job, "again")
    failed = load_state(search).entries[0]
    assert (failed.status, failed.message) == ("FAILED", "It crashed.")
    note = json.loads((search.run_folder(entry.run) / "trial.json").read_text())
    assert note["entry"]["message"] == "It crashed."


def test_what_was_told_before_its_process_failed_stays(search):
    entry = begin(search, 0).entry
    end(search, 0)
    trial_failed(search, entry.job, "It crashed afterwards.")
    assert load_state(search).entries[0].status == "COMPLETED"


def test_a_search_that_no_worker_can_begin_fails_with_the_reason_and_goes_on_when_it_is_reopened(search):
    note_refusal(search, "bad/1", "The images are others.")
    assert load_state(search).status == "RUNNING"
    trial_failed(search, "search-0.s0.0", "The images are others.")
    state = load_state(search)
    assert (state.status, state.message, state.entries) == ("FAILED", "The images are others.", [])
    reopen_search(search)
    assert load_state(search).refused_by == {}
    assert len(Workers(search).run_to_the_end().entries) == 6


def test_a_cancelled_search_goes_on_where_it_was(search):
    begun = begin(search, 0)
    cancel_search(search)
    with pytest.raises(JobError, match=r"has ended already \(CANCELLED\)"):
        cancel_search(search)
    reopen_search(search)
    assert begin(search, 0) == begun


def test_a_search_that_has_succeeded_is_not_opened_again(search):
    Workers(search).run_to_the_end()
    with pytest.raises(JobError, match="Search search-0 is finished") as caught:
        reopen_search(search)
    assert "python -m jobs best search-0" in caught.value.hint


@EVERY_ORACLE
def test_two_slots_and_one_try_as_many(make_search, oracle):
    usual = {"oracle": oracle, "max_trials": 8, "confirm_top": 1, "max_epochs": 3 if oracle == "hyperband" else None}
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

    make_run, asking.create_run = asking.create_run, killed
    try:
        yield
    finally:
        asking.create_run = make_run


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
    return {oracle: Workers(searched(next(folders), oracle, 1)).run_to_the_end().trials for oracle in ORACLES}


@EVERY_ORACLE
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
    elif oracle == "bayesian" or all(entry.status == "COMPLETED" for entry in state.trials):
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
