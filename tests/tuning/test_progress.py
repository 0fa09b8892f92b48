"""What a search comes to when its trainings are killed, fail and come again at any moment, in however many slots."""

import contextlib
import itertools
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fer_core.errors import ConfigError
from fer_core.store import files, runs
from fer_core.store.runs import list_runs
from fer_core.tuning import trials
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.stage import running_slots, slot_count, stage, trial_of, work_left
from fer_core.tuning.state import Search, changing, create_search, load_state
from fer_core.tuning.trials import Asked, Outcome, ask, cancel_search, note_refusal, reopen_search, tell, trial_failed
from tests.conftest import paths_in
from tests.tuning.conftest import FINGERPRINTS, NOON
from tests.tuning.made_up import hill

WORKERS = 3
ORACLES = ("random", "hyperband", "grid")
BEGINNINGS = ("begin", "begin", "die asking", "begin elsewhere")
ENDINGS = ("end", "end", "die", "die told", "fail", "give up")
EVENTS = st.lists(st.tuples(st.sampled_from((*BEGINNINGS, *ENDINGS, "stop")), st.integers(0, 5)), max_size=40)
ELSEWHERE = FINGERPRINTS._replace(data_fingerprint="other images")
MORE_SETTINGS = {"hyperband": {"max_epochs": 3, "max_trials": 9}, "grid": {"space": ("batch_size", "flip")}}


class Killed(BaseException):
    """What a kill looks like from inside."""


class Workers:
    """The workers of one search, without training. Whoever comes takes a slot, if there is work."""

    def __init__(self, search: Search):
        self.search = search
        self.training: dict[int, Entry] = {}

    def happen(self, event: str, place: int) -> None:
        """Lets something happen to the search, or to one of the workers."""
        if load_state(self.search).status == "FAILED":
            reopen_search(self.search)
        if event == "stop" and load_state(self.search).status == "RUNNING":
            cancel_search(self.search)
            self.training.clear()
            reopen_search(self.search)
        elif event in BEGINNINGS:
            killed = mock.patch.object(trials, "create_run", side_effect=Killed)
            with contextlib.suppress(Killed), killed if event == "die asking" else contextlib.nullcontext():
                self.begin(metadata=ELSEWHERE if event == "begin elsewhere" else FINGERPRINTS)
        elif event in ENDINGS and self.training:
            self.end(event, self.training.pop(sorted(self.training)[place % len(self.training)]))

    def free_slot(self) -> int | None:
        """Returns the slot that a worker would take now."""
        state = load_state(self.search)
        if state.status != "RUNNING" or len(self.training) >= WORKERS:
            return None
        abandoned = sorted(running_slots(state) - set(self.training))
        free = (slot for slot in range(slot_count(self.search)) if slot not in self.training)
        return next(iter(abandoned), next(free, None) if work_left(state, NOON) > 0 else None)

    def begin(self, metadata=FINGERPRINTS) -> None:
        """A worker takes a slot, and its process asks."""
        slot = self.free_slot()
        if slot is None:
            return
        name = trial_of(load_state(self.search), self.search.id, slot)
        try:
            asked = ask(self.search, name.id, metadata=metadata, clock=lambda: NOON)
        except ConfigError as error:
            note_refusal(self.search, "bad/1", str(error))
            return
        if isinstance(asked, Asked) and asked.entry.status == "RUNNING":
            self.training[slot] = asked.entry
        else:
            self.leave()

    def end(self, event: str, entry: Entry) -> None:
        """A training ends, and its process tells and leaves; or it is killed, or has crashed too often."""
        if event == "give up":
            trial_failed(self.search, entry.job, "It crashed.")
        elif event != "die":
            outcome = Outcome("FAILED") if event == "fail" else Outcome("COMPLETED", hill(entry.values))
            tell(self.search, entry.number, outcome, clock=lambda: NOON)
        if event in ("end", "fail"):
            self.leave()

    def leave(self) -> None:
        with changing(self.search) as state:
            if stage(state, NOON) == "done":
                state.status = "SUCCEEDED"

    def run_to_the_end(self) -> SearchState:
        """Lets every training end well; a search that has failed is reopened."""
        while (state := load_state(self.search)).status != "SUCCEEDED":
            if state.status != "RUNNING":
                reopen_search(self.search)
            elif self.free_slot() is not None:
                self.begin()
            else:
                self.happen("end", 0)
        return state


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """New folders. No waiting for the disk, and no look at git for each run: what is killed here are no machines."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((files, "sync"), (runs, "sync"), (runs, "checkout_commit")):
            patch.setattr(module, name, lambda *_: None)
        yield (tmp_path_factory.mktemp(f"search-{number}") for number in itertools.count())


def searched(folder: Path, oracle: str, slots: int) -> Search:
    usual = {"recipe": "smoke", "oracle": oracle, "parallelism": slots, "max_trials": 7, "confirm_top": 1}
    more = {"space": ("learning_rate", "flip"), "max_failed_in_a_row": 1000} | MORE_SETTINGS.get(oracle, {})
    return create_search(paths_in(folder), SearchSpec(**usual | more), search_id="search")


@pytest.fixture(scope="module")
def undisturbed(folders):
    """The trials of searches that nothing has happened to, by oracle."""
    return {oracle: Workers(searched(next(folders), oracle, 1)).run_to_the_end().trials for oracle in ORACLES}


@pytest.mark.parametrize("oracle", ORACLES)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(events=EVENTS, slots=st.integers(1, 3))
def test_whatever_happens_no_trial_is_lost_or_counted_twice(folders, undisturbed, oracle, events, slots):
    workers = Workers(searched(next(folders), oracle, slots))
    workers.begin()
    for event, place in events:
        workers.happen(event, place)
    state = workers.run_to_the_end()
    assert {entry.status for entry in state.entries} <= {"COMPLETED", "FAILED"}
    assert (
        len({entry.run for entry in state.entries}) == len({entry.job for entry in state.entries}) == len(state.entries)
    )
    assert sorted(run.id for run in list_runs(workers.search.paths)) == sorted(entry.run for entry in state.entries)
    if oracle in ("random", "grid"):
        assert [entry.values for entry in state.trials] == [entry.values for entry in undisturbed[oracle]]
    elif all(entry.status == "COMPLETED" for entry in state.trials):
        assert len(state.trials) == len(undisturbed[oracle])
    confirmed = [state.entries[entry.of] for entry in state.entries[len(state.trials) :]]
    assert all(entry.status == "COMPLETED" for entry in confirmed)
    assert len(confirmed) == (3 if any(entry.status == "COMPLETED" for entry in state.trials) else 0)
    continued = [trial for trial in state.trials if "tuner/trial_id" in trial.values]
    sources = [state.trials[int(trial.values["tuner/trial_id"])] for trial in continued]
    assert len({source.number for source in sources}) == len(sources)  # nobody is continued twice
    for trial, source in zip(continued, sources, strict=True):
        assert source.status == "COMPLETED" and source.number < trial.number
        assert source.values["tuner/round"] == trial.values["tuner/round"] - 1
