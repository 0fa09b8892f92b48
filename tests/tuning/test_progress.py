"""Which jobs follow each other, and what a search comes to when they are killed, fail and come again at any moment."""

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
from fer_core.tuning.asking import ask
from fer_core.tuning.entries import SearchState
from fer_core.tuning.fingerprints import Fingerprints
from fer_core.tuning.folder import Search, create_search
from fer_core.tuning.progress import (
    JobName,
    cancel_search,
    first_jobs,
    next_jobs,
    parse_job_id,
    reopen_search,
    trial_failed,
)
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.telling import Outcome, tell
from tests.conftest import paths_in
from tests.tuning.conftest import FINGERPRINTS
from tests.tuning.driving import Tasks

ORACLES = ("random", "hyperband", "bayesian", "grid")
EVERY_ORACLE = pytest.mark.parametrize("oracle", ORACLES)


@pytest.fixture
def two_slots(make_search):
    return make_search(parallelism=2, max_trials=3, confirm_top=1)


def begin(search, job: str):
    return ask(search, job, metadata=FINGERPRINTS)


def end(search, number: int, score: float = 0.5) -> SearchState:
    return tell(search, number, Outcome("COMPLETED", score))


def test_the_ids_of_jobs_say_search_slot_and_number():
    assert parse_job_id("20260131-a.s1.2-x.s3.14") == JobName("20260131-a.s1.2-x", 3, 14)
    assert JobName("s", 3, 14).id == "s.s3.14" and JobName("s", 3, 14).following == "s.s3.15"
    for other in ("tune-1", "x.s1", "x.s1.", ".s1.2", "x.s-1.2", "x.s1.2\n"):
        assert parse_job_id(other) is None


def test_a_search_begins_with_a_job_for_each_slot_but_no_more_than_trials(make_search):
    search = make_search(parallelism=3)
    assert first_jobs(search) == ("search-0.s0.0", "search-0.s1.0", "search-0.s2.0")
    assert len(first_jobs(make_search(parallelism=30, max_trials=2))) == 2


def test_a_slot_goes_on_waits_for_the_others_is_woken_and_ends(two_slots):
    first, second = first_jobs(two_slots)
    begin(two_slots, first), begin(two_slots, second)
    end(two_slots, 0)
    assert next_jobs(two_slots, first) == ("more", ("search-0.s0.1",))
    begin(two_slots, "search-0.s0.1")
    end(two_slots, 1)
    assert next_jobs(two_slots, second) == ("idle", ())
    assert load_state(two_slots).idle_slots == {1: second}
    end(two_slots, 2)
    woken = ("more", ("search-0.s0.2", "search-0.s1.1"))
    assert next_jobs(two_slots, "search-0.s0.1") == woken == next_jobs(two_slots, "search-0.s0.1")
    assert [begin(two_slots, job).entry.seed for job in woken[1]] == [1, 2]
    assert load_state(two_slots).idle_slots == {}


def test_after_the_last_confirmation_one_more_job_ends_a_search_that_nobody_has_ended(two_slots):
    state = Tasks(two_slots).run_to_the_end()
    assert state.status == "SUCCEEDED"
    with changing(two_slots) as state:
        state.status = "RUNNING"
    last = next(job for slot, job in state.slots.items() if slot not in state.idle_slots)
    assert next_jobs(two_slots, last).outcome == "more"
    with changing(two_slots) as state:
        state.status = "SUCCEEDED"
    assert next_jobs(two_slots, last) == ("over", ())


def test_a_job_that_has_failed_for_good_costs_its_trial_and_its_slot_goes_on(two_slots):
    first, _ = first_jobs(two_slots)
    entry = begin(two_slots, first).entry
    assert trial_failed(two_slots, first, "It crashed.") == ("more", ("search-0.s0.1",))
    failed = load_state(two_slots).entries[0]
    assert (failed.status, failed.message) == ("FAILED", "It crashed.")
    assert trial_failed(two_slots, first, "again").outcome == "more"
    note = json.loads((two_slots.run_folder(entry.run) / "trial.json").read_text())
    assert note["entry"]["message"] == "It crashed."


def test_a_job_whose_trial_was_told_before_it_failed_changes_nothing(two_slots):
    first, _ = first_jobs(two_slots)
    begin(two_slots, first)
    end(two_slots, 0)
    trial_failed(two_slots, first, "It crashed while it drew the plots.")
    assert load_state(two_slots).entries[0].status == "COMPLETED"


def test_a_search_fails_when_no_slot_can_begin_a_trial_and_goes_on_when_it_is_reopened(two_slots):
    first, second = first_jobs(two_slots)
    assert trial_failed(two_slots, first, "The images are others.") == ("idle", ())
    assert load_state(two_slots).status == "RUNNING"
    assert trial_failed(two_slots, second, "The images are others.") == ("over", ())
    state = load_state(two_slots)
    assert (state.status, state.message, state.entries) == ("FAILED", "The images are others.", [])
    assert reopen_search(two_slots) == (first, second)
    assert len(Tasks(two_slots).run_to_the_end().entries) == 6


def test_a_trial_that_nobody_can_go_on_with_here_wakes_a_slot_that_can(make_search):
    search = make_search(parallelism=2, max_trials=2)
    first, second = first_jobs(search)
    begin(search, first), begin(search, second)
    end(search, 1)
    assert next_jobs(search, second) == ("idle", ())
    with pytest.raises(Exception, match="The images here"):
        ask(search, first, metadata=Fingerprints("others", "code"))
    assert trial_failed(search, first, "The images are others.") == ("idle", ("search-0.s1.1",))
    assert begin(search, "search-0.s1.1").entry.number == 0


def test_a_cancelled_search_names_who_trains_and_goes_on_where_it_was(two_slots):
    first, second = first_jobs(two_slots)
    begun = begin(two_slots, first)
    begin(two_slots, second)
    end(two_slots, 1)
    assert cancel_search(two_slots) == (first,)
    with pytest.raises(JobError, match=r"has ended already \(CANCELLED\)"):
        cancel_search(two_slots)
    assert next_jobs(two_slots, second) == ("over", ())
    assert reopen_search(two_slots) == (first, "search-0.s1.1")
    assert begin(two_slots, first) == begun


def test_a_search_that_has_succeeded_is_not_opened_again(two_slots):
    Tasks(two_slots).run_to_the_end()
    with pytest.raises(JobError, match="Search search-0 is finished") as caught:
        reopen_search(two_slots)
    assert "python -m jobs best search-0" in caught.value.hint


def test_an_old_job_that_comes_again_says_nothing_about_its_slot(make_search):
    search = make_search(parallelism=2, max_trials=4)
    for n in range(2):
        begin(search, f"{search.id}.s0.{n}")
    begin(search, f"{search.id}.s1.0"), begin(search, f"{search.id}.s1.1")
    end(search, 0)
    assert next_jobs(search, f"{search.id}.s0.0") == ("idle", ())
    assert load_state(search).idle_slots == {}
    assert load_state(search).slots[0] == f"{search.id}.s0.1"


@EVERY_ORACLE
def test_two_slots_and_one_try_as_many(make_search, oracle):
    usual = {"oracle": oracle, "max_trials": 8, "confirm_top": 1, "max_epochs": 3 if oracle == "hyperband" else None}
    one, two = (Tasks(make_search(parallelism=slots, **usual)).run_to_the_end() for slots in (1, 2))
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


BEGINNINGS = ("begin", "die asking", "begin elsewhere")
ENDINGS = ("end", "end", "die", "die told", "fail", "give up")
EVENTS = st.lists(st.tuples(st.sampled_from((*BEGINNINGS, *ENDINGS, "stop")), st.integers(0, 5)), max_size=40)
ELSEWHERE = Fingerprints("other images", "code")
MORE_SETTINGS = {"hyperband": {"max_epochs": 3, "max_trials": 9}, "grid": {"space": ("batch_size", "flip")}}


def searched(folder: Path, oracle: str, slots: int) -> Search:
    usual = {"recipe": "smoke", "oracle": oracle, "parallelism": slots, "max_trials": 7, "confirm_top": 1}
    more = {"space": ("learning_rate", "flip"), "max_failed_in_a_row": 1000} | MORE_SETTINGS.get(oracle, {})
    return create_search(paths_in(folder), SearchSpec(**usual | more), search_id="search")


def happen(tasks: Tasks, event: str, place: int) -> None:
    status = load_state(tasks.search).status
    if event == "stop" and status == "RUNNING":
        tasks.stop()
        tasks.reopen()
    elif event in BEGINNINGS and tasks.waiting:
        begin_somehow(tasks, event, place)
    elif event in ENDINGS and tasks.training:
        if event in ("end", "fail"):
            tasks.end(place, fails=event == "fail")
        elif event == "give up":
            tasks.give_up(place)
        else:
            tasks.die(place, told=event == "die told")
    if load_state(tasks.search).status == "FAILED":
        tasks.reopen()


def begin_somehow(tasks: Tasks, event: str, place: int) -> None:
    job = tasks.waiting[place % len(tasks.waiting)]
    try:
        with killed_before_the_run_is_made() if event == "die asking" else contextlib.nullcontext():
            tasks.begin(place, metadata=ELSEWHERE if event == "begin elsewhere" else FINGERPRINTS)
    except Killed:
        tasks.waiting.append(job)


@pytest.fixture(scope="module")
def undisturbed(folders, quick_disk):
    """The trials of searches that nothing has happened to, by oracle."""
    return {oracle: Tasks(searched(next(folders), oracle, 1)).run_to_the_end().trials for oracle in ORACLES}


@EVERY_ORACLE
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS, slots=st.integers(1, 3))
def test_whatever_happens_no_trial_is_lost_or_counted_twice(folders, undisturbed, oracle, events, slots):
    tasks = Tasks(searched(next(folders), oracle, slots))
    tasks.begin()
    for event, place in events:
        happen(tasks, event, place)
    state = tasks.run_to_the_end()
    assert state.status == "SUCCEEDED"
    assert {entry.status for entry in state.entries} <= {"COMPLETED", "FAILED"}
    assert len({entry.run for entry in state.entries}) == len(state.entries)
    assert sorted(run.id for run in list_runs(tasks.search.paths)) == sorted(entry.run for entry in state.entries)
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
