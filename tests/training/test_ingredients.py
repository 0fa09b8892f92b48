"""All training ingredients together: what is interrupted and resumed ends with the bits of what was not."""

import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.errors import ArtifactError, ConfigError
from fer_core.store.artifacts import load_model
from fer_core.store.runs import create_run
from fer_core.training import budget
from fer_core.training import fit as fitting
from fer_core.training.averaging import Average
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.record import record_data
from fer_core.training.teaching import kept_lessons
from fer_core.training.train import train

SMALL = {"filters": (8, 16), "blocks": (1, 1), "strides": (2, 2), "head": 0, "stem": 8, "stochastic_depth": 0.2}
EVERYTHING = {
    "network": "resnet",
    "network_options": SMALL,
    "optimizer": "sgd",
    "learning_rate": 0.05,
    "weight_decay": 1e-3,
    "schedule": "one_cycle",
    "warmup_epochs": 1,
    "epochs": 4,
    "keep": "last",
    "ema": 0.9,
    "label_smoothing": 0.1,
    "mixup": 0.4,
    "crop": 44,
    "erasing": 0.3,
    "camera": 0.3,
    "rotation": 10,
    "contrast": 0.2,
    "fade": 0.5,
    "train_sides": (24, 32),
    "sample_per_class": 20,
    "batch_size": 16,
}


class Killed(BaseException):
    """Stands for a kill: nothing of the process goes on."""


@pytest.fixture
def begun(places, session_places, small_config):
    """A function that makes a run with changed settings, and returns it with its data."""

    def make(**settings):
        changed = small_config.model_dump() | {"threads": 0, "network_options": {}} | settings
        config = networks.with_all_options(small_config.model_validate(changed))
        dataset = load_dataset(config, session_places, side=48)
        run = create_run(places, config, recipe="smoke", history_header=HISTORY_HEADER)
        record_data(run, dataset)
        return run, dataset

    return make


def killed_after(epoch, run, dataset, places):
    """Trains, and is killed right after this epoch's checkpoint is written; returns what is in it."""
    save = fitting.save_checkpoint

    def save_and_die(folder, model, progress):
        save(folder, model, progress)
        if progress.epoch == epoch:
            raise Killed

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Killed):
        patched.setattr(fitting, "save_checkpoint", save_and_die)
        train(run, dataset, places=places)
    with np.load(run.checkpoint / "checkpoint.npz") as file:
        return {name: file[name] for name in file.files if name != "progress"}


@pytest.mark.parametrize("views", [6, 0])
def test_a_training_with_everything_goes_on_to_the_same_bits(views, begun, places, trained_run):
    taught = {"teacher": (str(trained_run.model_h5),), "teacher_views": views, "alternating_flip": not views}
    whole, dataset = begun(**EVERYTHING | taught)
    expected = killed_after(2, whole, dataset, places)
    cut, _ = begun(**EVERYTHING | taught)
    killed_after(1, cut, dataset, places)
    found = killed_after(2, cut, dataset, places)
    assert found.keys() == expected.keys()
    assert [name for name in found if not np.array_equal(found[name], expected[name])] == []


def test_what_is_saved_is_the_average_and_its_int8_export_is_nearly_as_good(begun, places, monkeypatch):
    averages, arrays = [], Average.arrays
    monkeypatch.setattr(Average, "arrays", lambda layer: averages.append(arrays(layer)) or averages[-1])
    run, dataset = begun(eight_bit=True, ema=0.9, keep="last", epochs=1)
    train(run, dataset, places=places)
    for saved, average in zip(load_model(run.model_h5).get_weights(), averages[-1], strict=True):
        np.testing.assert_array_equal(saved, average)
    assert run.model_int8.stat().st_size < 0.5 * run.model_tflite.stat().st_size
    assert run.manifest.int8.accuracy >= run.manifest.scores["accuracy"] - 0.005


def test_teachers_are_asked_once_about_fixed_views(begun, places, trained_run):
    run, dataset = begun(teacher=(str(trained_run.model_h5),), teacher_views=2)
    config = run.manifest.config
    lessons = kept_lessons(config, dataset.train, dataset.labels, places)
    assert (lessons.shape, lessons.dtype) == ((len(dataset.train), 2, 7), np.float16)
    teacher = load_model(trained_run.model_h5)
    images = dataset.train.images(slice(None)).astype(np.float32)
    np.testing.assert_allclose(lessons[:, 0], teacher(images), atol=2e-3)
    np.testing.assert_allclose(lessons[:, 1], teacher(images[:, :, ::-1]), atol=2e-3)
    (path,) = places.cache.glob("lessons-*.npy")
    np.save(path, lessons + 1)
    np.testing.assert_array_equal(kept_lessons(config, dataset.train, dataset.labels, places), lessons + 1)


def test_a_teacher_with_other_labels_is_refused(begun, places, trained_run):
    run, dataset = begun(teacher=(str(trained_run.model_h5),), teacher_views=2)
    with pytest.raises(ArtifactError, match="is not known to have the labels sad, happy"):
        kept_lessons(run.manifest.config, dataset.train, ("sad", "happy"), places)


def test_a_time_budget_plans_the_epochs_and_trains_as_if_they_had_been_asked_for(begun, places):
    planned, dataset = begun(time_budget="5m", epochs=2, keep="last")
    found = killed_after(1, planned, dataset, places)
    plan = planned.manifest.plan
    assert planned.manifest.config.epochs == plan["epochs"] > 2
    assert plan["budget_seconds"] == 300 >= plan["seconds_per_epoch"] * plan["epochs"]
    asked, _ = begun(epochs=int(plan["epochs"]), keep="last")
    expected = killed_after(1, asked, dataset, places)
    assert [name for name in found if not np.array_equal(found[name], expected[name])] == []
    killed_after(2, planned, dataset, places)
    assert planned.manifest.plan == plan


def test_a_time_budget_that_is_too_short_is_refused(begun, places, monkeypatch):
    run, dataset = begun(**EVERYTHING | {"time_budget": "1m", "warmup_epochs": 1.5})
    monkeypatch.setattr(budget, "_seconds_per_epoch", lambda *_: 40.0)
    with pytest.raises(ConfigError, match=r"In 1m this machine trains 1 epochs of 40 s; .* need at least 2") as caught:
        budget.planned(run.manifest.config, dataset, None, places=places)
    assert caught.value.hint == "Give more --time-budget, or take a smaller network."


@pytest.mark.parametrize(("text", "seconds"), [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45)])
def test_a_time_budget_is_hours_minutes_and_seconds(text, seconds):
    assert budget.budget_seconds(text) == seconds
    assert TrainConfig(time_budget=text).time_budget == text


@pytest.mark.parametrize("text", ["", "2", "2 h", "m", "1m2h"])
def test_another_form_of_a_time_budget_is_refused(text):
    with pytest.raises(ConfigError, match="time_budget: "):
        TrainConfig.checked({"time_budget": text})
