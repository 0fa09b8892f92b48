"""The checkpoint: all that the next epoch depends on."""

import keras
import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.errors import ArtifactError
from fer_core.training.checkpoint import Progress, load_checkpoint, read_progress, save_checkpoint
from fer_core.training.training_model import Augmented, make_optimizer

LABELS = ("angry", "happy", "sad")
ROWS = [{"epoch": 1, "loss": 1.5, "val_accuracy": 0.25}, {"epoch": 2, "loss": 1.25, "val_accuracy": None}]


def compiled(**settings):
    config = TrainConfig(**{"network": "smoke", "flip": True, **settings})
    model = Augmented(networks.build(config, LABELS), Augmentation(config))
    model.build((None, 48, 48, 1))
    model.compile(optimizer=make_optimizer(config, 10, fast=False), loss="categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    return model


def trained(**settings):
    model = compiled(**settings)
    random = np.random.default_rng(0)
    model.fit(random.random((32, 48, 48, 1)) * 255, np.eye(3)[random.integers(0, 3, 32)], verbose=0)
    return model


def state(model):
    return [keras.ops.convert_to_numpy(variable) for variable in (*model.variables, *model.optimizer.variables)]


def test_all_variables_and_random_generators_come_back_whatever_names_keras_makes_up(tmp_path):
    model = trained()
    assert len([v for v in model.variables if "seed" in v.name]) == 2  # augmentation and dropout
    best = [np.array(weight) for weight in model.network.get_weights()]
    save_checkpoint(tmp_path / "checkpoint", model, Progress(2, 1, 0.25, ROWS, best))
    keras.layers.Conv2D(1, 1)  # the next one of its kind in this process has another name
    fresh = compiled()
    progress = load_checkpoint(tmp_path / "checkpoint", fresh)
    for found, expected in zip(state(fresh), state(model), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert (progress.epoch, progress.best_epoch, progress.best_value, progress.rows) == (2, 1, 0.25, ROWS)
    for found, expected in zip(progress.best_weights, best, strict=True):
        np.testing.assert_array_equal(found, expected)
    pixels = np.full((4, 48, 48, 1), 100.0)
    np.testing.assert_array_equal(fresh(pixels, training=True), model(pixels, training=True))


def test_progress_is_read_without_a_model_and_without_a_checkpoint_a_training_begins(tmp_path):
    assert load_checkpoint(tmp_path, compiled()) == read_progress(tmp_path) == Progress()
    save_checkpoint(tmp_path, compiled(), Progress(2, 2, 0.5, ROWS))
    assert read_progress(tmp_path) == Progress(2, 2, 0.5, ROWS)


@pytest.mark.parametrize("size", [0, 100, 20_000])
def test_a_damaged_file_is_refused_with_what_to_do(tmp_path, size):
    save_checkpoint(tmp_path, compiled(), Progress(1))
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ArtifactError, match=r"checkpoint\.npz is damaged") as caught:
        load_checkpoint(tmp_path, compiled())
    assert caught.value.hint == "Remove it, and --resume starts this run again from its first epoch."


@pytest.mark.parametrize("settings", [{"network_options": {"filters": (8, 16, 8)}}, {"optimizer": "sgd"}])
def test_a_checkpoint_of_another_network_or_optimizer_is_refused(tmp_path, settings):
    save_checkpoint(tmp_path, compiled(**settings), Progress(1))
    with pytest.raises(ArtifactError, match="of another network or optimizer"):
        load_checkpoint(tmp_path, compiled())
