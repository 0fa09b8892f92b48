"""The checkpoint: all that the next epoch depends on."""

import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.errors import ArtifactError
from fer_core.training.progress import Progress, load_checkpoint, read_progress, save_checkpoint
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


@pytest.fixture(scope="module")
def model():
    return compiled()


def test_progress_is_read_without_a_model_and_without_a_checkpoint_a_training_begins(tmp_path, model):
    assert load_checkpoint(tmp_path, model) == read_progress(tmp_path) == Progress()
    save_checkpoint(tmp_path, model, Progress(2, 2, 0.5, ROWS))
    assert read_progress(tmp_path) == Progress(2, 2, 0.5, ROWS)


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path, model):
    save_checkpoint(tmp_path, model, Progress(1))
    path = tmp_path / "checkpoint.npz"
    for size in (20_000, 100, 0):
        path.write_bytes(path.read_bytes()[:size])
        with pytest.raises(ArtifactError, match=r"checkpoint\.npz is damaged") as caught:
            load_checkpoint(tmp_path, model)
        assert caught.value.hint == "Remove it, and --resume starts this run again from its first epoch."


@pytest.mark.parametrize("settings", [{"network_options": {"filters": (8, 16, 8)}}, {"optimizer": "sgd"}])
def test_a_checkpoint_of_another_network_or_optimizer_is_refused(tmp_path, model, settings):
    save_checkpoint(tmp_path, compiled(**settings), Progress(1))
    with pytest.raises(ArtifactError, match="of another network or optimizer"):
        load_checkpoint(tmp_path, model)
