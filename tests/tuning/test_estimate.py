"""How long a search will take: what is reckoned before a trial has ended, and what after."""

from datetime import datetime

import pytest

from fer_core.cli.trial import duration_text
from fer_core.store.files import utc_text
from fer_core.tuning.entries import SearchState
from fer_core.tuning.stage import seconds_left
from fer_core.tuning.state import load_state, summary
from fer_core.tuning.trials import Outcome, tell, tell_speed
from tests.tuning.made_up import BEGIN, confirmation, made_up_search, minutes, plan_of, trial

TEN_EPOCHS = {"recipe": "smoke", "settings": {"epochs": 10}, "max_trials": 6, "confirm_top": 2}


def left(spec: dict, entries=(), *, epoch_seconds: float | None = 30.0, at: float = 0, **state) -> float | None:
    """Returns the seconds left of a search around the smoke recipe, so many minutes after its start."""
    plan = plan_of(**TEN_EPOCHS | spec)
    known = {"started_utc": utc_text(BEGIN), "epoch_seconds": epoch_seconds, "entries": list(entries)}
    return seconds_left(SearchState(plan=plan, **known, **state), minutes(at))


ENDED = trial(0, 0.5, epochs=10, seconds=100.0, told_utc=utc_text(minutes(2)))
WHOLE = {"stop_early": False, "confirm_top": 0}


CASES = {
    "nothing as long as no epoch was measured": ({}, {"epoch_seconds": None}, None),
    "all trials and confirmations": ({"stop_early": False}, {"entries": [trial(0)]}, (6 + 2 * 3) * (10 * 30 + 20)),
    "two side by side": (
        {"stop_early": False, "parallelism": 2},
        {"entries": [trial(0)]},
        (6 + 2 * 3) * (10 * 30 + 20) / 2,
    ),
    "no confirmations": (WHOLE, {}, 6 * 320),
    "a third goes on at each rung": (
        {"confirm_top": 0},
        {},
        (6 * 1 + 4 * 2 + (3 + 1 / 3) * 6 + (3 + 1 / 9) * 1) * 30 + 6 * 20,
    ),
    "as a trial that has ended took": (WHOLE, {"entries": [ENDED], "at": 2}, 5 * 120),
    "no longer than its hours": (WHOLE | {"max_hours": 0.5}, {}, 1800),
    "what is left of them": (WHOLE | {"max_hours": 0.5}, {"at": 20}, 600),
    "hyperband": ({"oracle": "hyperband", "confirm_top": 0}, {}, 6 * (10 / 3 * 30 + 20)),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_left_is_reckoned_from_trials_epochs_and_slots(case):
    spec, given, expected = CASES[case]
    assert left(spec, **given) == pytest.approx(expected)


def test_what_was_confirmed_already_is_not_reckoned_again():
    told = {"epochs": 10, "seconds": 110.0}
    trials = [trial(n, 0.5, **told, told_utc=utc_text(minutes(2 * n + 2))) for n in range(6)]
    done = [confirmation(6 + n, 0, 0.5, **told, told_utc=utc_text(minutes(14 + 2 * n))) for n in range(4)]
    assert left({}, [*trials, *done, confirmation(10, 1)], at=20) == 2 * 120
    assert left({}, trials[:3], exhausted=True, at=6) == 6 * 120


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
