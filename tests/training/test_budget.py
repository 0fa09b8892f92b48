"""`--time-budget`: as many epochs as fit."""

import itertools
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.store.run import read_metrics
from fer_core.training import fit
from fer_core.training.callbacks import EndOfEpoch
from fer_core.training.feed import one_hot
from fer_core.training.history import read_history
from fer_core.training.machine import prepare
from fer_core.training.progress import Progress
from fer_core.training.train import train
from tests.training.parts import assert_same_bits, killed_after


def test_a_time_budget_plans_the_epochs_and_trains_as_if_they_had_been_asked_for_also_after_a_kill(
    begun, paths, trained_run
):
    """With a teacher's predictions for fixed views, which are made once."""
    of_teacher = {"teacher": (str(trained_run.model_h5),), "teacher_views": 6, "keep": "last"}
    planned, dataset = begun(time_budget="5m", epochs=2, **of_teacher)
    killed_after(1, planned, dataset, paths)
    plan = planned.manifest.plan
    assert planned.manifest.config.epochs == plan["epochs"] > 2
    rounding = 0.0005 * plan["epochs"]
    assert plan["budget_seconds"] == 300 >= plan["seconds_per_epoch"] * plan["epochs"] - rounding
    asked, _ = begun(epochs=int(plan["epochs"]), **of_teacher)
    expected = killed_after(2, asked, dataset, paths)
    assert_same_bits(killed_after(2, planned, dataset, paths), expected)
    assert planned.manifest.plan == plan


def test_the_training_ends_when_its_time_is_spent_however_many_epochs_were_planned(begun, paths, monkeypatch):
    run, dataset = begun(kind="trial", time_budget="10s", keep="last")
    monkeypatch.setattr(fit, "measured", lambda *_: fit.Seconds(0.0, 0.001, 0.5))
    seconds = itertools.count(step=0.1)
    with monkeypatch.context() as patch:
        patch.setattr(time, "perf_counter", lambda: next(seconds))  # at each look a tenth later
        train(run, dataset, paths=paths)
    texts = [entry["text"] for entry in read_metrics(run.metrics_jsonl) if entry["kind"] == "event"]
    assert any(text.startswith("Planned: ") for text in texts)
    (stopped,) = [text for text in texts if text.endswith(": the time budget of 10s is spent.")]
    assert stopped.startswith(f"Stopped after epoch {run.state.epoch} of ")
    assert 5 < sum(row["seconds"] for row in read_history(run.history_csv).rows) <= 10 - 0.5
    assert run.state.status == "SUCCEEDED"


def test_images_that_are_sorted_by_class_are_measured_with_softened_labels_too(begun, paths):
    run, dataset = begun(kind="trial", vote_target="softened", batch_size=2)
    train = dataset.train.part(np.argsort(dataset.train.labels))
    train = replace(train, shares=one_hot(train.labels, len(dataset.labels)))
    assert train.labels[: 16 * 2].max() == 0
    machine, weights = prepare(run.manifest.config, recorded=run.manifest), np.ones(len(dataset.labels), np.float32)
    training = fit.Training(run, replace(dataset, train=train), machine, paths, None, weights)
    assert fit.measured(training, run.manifest.config).epoch > 0


@pytest.mark.parametrize(("seconds", "is_over"), [(14.0, False), (16.0, True)])
def test_what_earlier_attempts_took_counts(begun, seconds, is_over):
    run, _ = begun(epochs=9, time_budget="1m")
    run.update_manifest(plan={"epochs": 9, "seconds_per_epoch": 10.0, "budget_seconds": 60.0, "end_seconds": 5.0})
    progress = Progress(epoch=4, rows=[{"epoch": epoch, "seconds": 10.0} for epoch in range(1, 5)])
    report = SimpleNamespace(event=lambda text: None)
    record = EndOfEpoch(run, progress, report, is_stopped=lambda rows: False, began=time.perf_counter())
    progress.rows.append({"epoch": 5, "seconds": seconds})
    assert record.is_over() == is_over


def test_what_is_over_and_what_comes_at_the_end_count_and_too_short_a_time_is_refused(monkeypatch):
    monkeypatch.setattr(fit, "measured", lambda *_: fit.Seconds(10.0, 40.0, 25.0))
    begun = SimpleNamespace(began=time.perf_counter() - 310)
    assert fit.planned(begun, TrainConfig(time_budget="10m"), None).epochs == int(255 / 42)
    short, begins = TrainConfig(time_budget="1m20s", warmup_epochs=1.5), SimpleNamespace(began=time.perf_counter())
    problem = r"In 1m20s this machine trains 1 epochs of 40\.0 s; .* need at least 2"
    with pytest.raises(ConfigError, match=problem) as caught:
        fit.planned(begins, short, None)
    assert caught.value.hint == "Give more --time-budget, or take a smaller network."


@pytest.mark.parametrize(("text", "seconds"), [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45)])
def test_a_time_budget_is_hours_minutes_and_seconds(text, seconds):
    assert fit.budget_seconds(text) == seconds
    assert TrainConfig(time_budget=text).time_budget == text


@pytest.mark.parametrize("text", ["", "2", "2 h", "m", "1m2h", f"{10**20}h"])
def test_another_form_of_a_time_budget_is_refused(text):
    with pytest.raises(ConfigError, match="time_budget: "):
        TrainConfig.checked({"time_budget": text})
