"""How long a search will take: what is reckoned before a trial has ended, and what after."""

from datetime import datetime

import pytest

from fer_core.store.clock import utc_text
from fer_core.tuning.entries import SearchState
from fer_core.tuning.stage import seconds_left
from fer_core.tuning.state import load_state, summary
from fer_core.tuning.trial import duration_text
from fer_core.tuning.trials import Outcome, tell, tell_speed
from tests.tuning.made_up import BEGIN, confirmation, made_up_search, minutes, plan_of, trial

TEN_EPOCHS = {"recipe": "smoke", "settings": {"epochs": 10}, "max_trials": 6, "confirm_top": 2}


def left(spec: dict, entries=(), *, epoch_seconds: float | None = 30.0, at: float = 0, **state) -> float | None:
    """Returns the seconds left of a search around the smoke recipe, so many minutes after its start."""
    plan = plan_of(**TEN_EPOCHS | spec)
    known = {"started_utc": utc_text(BEGIN), "epoch_seconds": epoch_seconds, "entries": list(entries)}
    return seconds_left(SearchState(plan=plan, **known, **state), minutes(at))


def test_before_an_epoch_was_measured_nothing_is_known():
    assert left({}, epoch_seconds=None) is None


def test_without_early_ending_all_trials_and_confirmations_are_whole():
    assert left({"stop_early": False}, [trial(0)]) == (6 + 2 * 3) * (10 * 30 + 20)
    assert left({"stop_early": False, "parallelism": 2}, [trial(0)]) == (6 + 2 * 3) * (10 * 30 + 20) / 2
    assert left({"stop_early": False, "confirm_top": 0}) == 6 * 320


def test_of_those_that_are_ended_early_a_third_goes_on_at_each_rung():
    epochs = 6 * 1 + 4 * 2 + (3 + 1 / 3) * 6 + (3 + 1 / 9) * 1
    assert left({"confirm_top": 0}) == pytest.approx(epochs * 30 + 6 * 20)


def test_a_trial_that_has_ended_says_what_an_epoch_takes_and_what_comes_beside():
    ended = trial(0, 0.5, epochs=10, seconds=100.0, told_utc=utc_text(minutes(2)))
    assert left({"stop_early": False, "confirm_top": 0}, [ended], at=2) == 5 * 120


def test_what_was_confirmed_already_is_not_reckoned_again():
    told = {"epochs": 10, "seconds": 110.0}
    trials = [trial(n, 0.5, **told, told_utc=utc_text(minutes(2 * n + 2))) for n in range(6)]
    done = [confirmation(6 + n, 0, 0.5, **told, told_utc=utc_text(minutes(14 + 2 * n))) for n in range(4)]
    assert left({}, [*trials, *done, confirmation(10, 1)], at=20) == 2 * 120
    assert left({}, trials[:3], exhausted=True, at=6) == 6 * 120


def test_the_hours_of_a_search_are_not_exceeded_by_its_trials():
    spec = {"stop_early": False, "max_hours": 0.5, "confirm_top": 0}
    assert left(spec) == 1800
    assert left(spec, at=20) == 600


def test_hyperband_trains_most_trials_for_a_short_time():
    assert left({"oracle": "hyperband", "confirm_top": 0}) == pytest.approx(6 * (10 / 3 * 30 + 20))


def test_the_first_measured_epoch_says_how_long_the_search_takes_and_the_ends_of_trials_refine_it(paths):
    search = made_up_search(paths, [trial(0)], max_trials=2, confirm_top=0, stop_early=False)
    state = tell_speed(search, 10.0, clock=lambda: minutes(1))
    assert state.first_estimate_seconds == 60 + 2 * (12 * 10 + 20)
    assert datetime.fromisoformat(state.ends_utc) == minutes(1 + 280 / 60)
    assert duration_text(search, state).startswith("The search takes about 6 min, until ")
    assert "at most 2 trials of up to 12 epochs, 10 s an epoch." in duration_text(search, state)
    assert tell_speed(search, 99.0) is None
    tell(search, 0, Outcome("COMPLETED", 0.5, epochs=12, seconds=480.0), clock=lambda: minutes(10))
    found = summary(search)
    assert (found.first_estimate_seconds, found.ends_utc) == (340, utc_text(minutes(20)))
    assert load_state(search).ends_utc == found.ends_utc
