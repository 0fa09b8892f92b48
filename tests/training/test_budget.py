"""`--time-budget`: as many epochs as fit."""

import time

import pytest

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.training import budget
from tests.training.parts import assert_same_bits, killed_after


def test_a_time_budget_plans_the_epochs_and_trains_as_if_they_had_been_asked_for(begun, places):
    planned, dataset = begun(time_budget="5m", epochs=2, keep="last")
    found = killed_after(1, planned, dataset, places)
    plan = planned.manifest.plan
    assert planned.manifest.config.epochs == plan["epochs"] > 2
    rounding = 0.0005 * plan["epochs"]
    assert plan["budget_seconds"] == 300 >= plan["seconds_per_epoch"] * plan["epochs"] - rounding
    asked, _ = begun(epochs=int(plan["epochs"]), keep="last")
    assert_same_bits(found, killed_after(1, asked, dataset, places))
    killed_after(2, planned, dataset, places)
    assert planned.manifest.plan == plan


def test_what_is_over_and_what_comes_at_the_end_count(begun, places, monkeypatch):
    run, dataset = begun(time_budget="10m")
    monkeypatch.setattr(budget, "_measured", lambda *_, **__: (40.0, 25.0))
    began = time.perf_counter() - 310
    assert budget.planned(run.manifest.config, dataset, None, places=places, began=began).epochs == 265 // 40


def test_a_time_budget_that_is_too_short_is_refused(begun, places, monkeypatch):
    run, dataset = begun(time_budget="1m", warmup_epochs=1.5)
    monkeypatch.setattr(budget, "_measured", lambda *_, **__: (40.0, 5.0))
    with pytest.raises(ConfigError, match=r"In 1m this machine trains 1 epochs of 40 s; .* need at least 2") as caught:
        budget.planned(run.manifest.config, dataset, None, places=places, began=time.perf_counter())
    assert caught.value.hint == "Give more --time-budget, or take a smaller network."


@pytest.mark.parametrize(("text", "seconds"), [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45)])
def test_a_time_budget_is_hours_minutes_and_seconds(text, seconds):
    assert budget.budget_seconds(text) == seconds
    assert TrainConfig(time_budget=text).time_budget == text


@pytest.mark.parametrize("text", ["", "2", "2 h", "m", "1m2h"])
def test_another_form_of_a_time_budget_is_refused(text):
    with pytest.raises(ConfigError, match="time_budget: "):
        TrainConfig.checked({"time_budget": text})
