"""What the manifest learns of data and machine, and what a resumed run must still have."""

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.errors import ConfigError, DatasetError
from fer_core.store.runs import create_run
from fer_core.training.record import check_same_config, record_data

OWN = TrainConfig(epochs=10, flip=True)


def test_only_more_epochs_may_be_asked_for():
    assert check_same_config(OWN, OWN) == OWN
    assert check_same_config(OWN, OWN.model_copy(update={"epochs": 12})).epochs == 12
    with pytest.raises(ConfigError, match="The run has 10 epochs; --epochs 9 is less"):
        check_same_config(OWN, OWN.model_copy(update={"epochs": 9}))


def test_another_setting_is_named_with_both_values():
    with pytest.raises(ConfigError, match="The run was begun with flip = True, not False") as caught:
        check_same_config(OWN, OWN.model_copy(update={"flip": False, "epochs": 12}))
    assert "Only --epochs may grow." in caught.value.hint


def test_the_manifest_knows_labels_splits_and_the_hashes_of_what_was_trained_on(paths, small_config, small_dataset):
    run = create_run(paths, small_config, recipe="smoke")
    record_data(run, small_dataset)
    manifest = run.manifest
    assert (manifest.labels, manifest.side, manifest.channels) == (small_dataset.labels, 48, 1)
    assert {part: metadata.images for part, metadata in manifest.splits.items()} == {
        "train": len(small_dataset.train),
        "validation": len(small_dataset.validation),
        "test": len(small_dataset.test),
    }
    hashes = np.fromfile(run.training_images, np.uint64)
    np.testing.assert_array_equal(hashes, small_dataset.hashes_seen_before_test())
    assert manifest.training_images.count == len(hashes)
    assert not np.isin(small_dataset.test.hashes, hashes).any()


def test_a_run_goes_on_with_the_same_images_only(paths, small_config, small_dataset, session_paths):
    run = create_run(paths, small_config, recipe="smoke")
    record_data(run, small_dataset)
    record_data(run, small_dataset)
    others = load_dataset(small_config.model_copy(update={"sample_per_class": 20}), session_paths, side=48)
    with pytest.raises(DatasetError, match=r"The images in .* are not those that run .* was begun with") as caught:
        record_data(run, others)
    assert "start a new run" in caught.value.hint
