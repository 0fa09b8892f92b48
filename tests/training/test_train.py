"""What one training does: which epoch it keeps, when it stops, which images choose, what it records."""

import contextlib
import dataclasses
import os
import re
import signal

import h5py
import keras
import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from fer_core.config import TrainConfig
from fer_core.data.dataset import load_dataset
from fer_core.errors import DatasetError, Interrupted, NonFiniteLossError, RunHeldError, signals_as_exceptions
from fer_core.evaluation.calibration import useful_temperature
from fer_core.resources import available_cores
from fer_core.store.artifacts import load_model, read_h5_manifest, save_model
from fer_core.store.files import file_sha256
from fer_core.store.run import read_metrics
from fer_core.store.runs import create_run
from fer_core.training.finish import calibrated_on, chosen_on
from fer_core.training.history import read_history
from fer_core.training.progress import read_progress
from fer_core.training.train import class_weights, record_data, train


def test_the_best_epoch_is_kept_early_stopping_ends_after_its_patience_and_the_loss_weighs_each_class(begun, paths):
    weights = "angry=3,happy=3,sad=3,fear=3,disgust=3,surprise=3,neutral=3"
    own = {"monitor": "val_loss", "class_weights": weights, "weighted_validation_loss": True, "precision": "float32"}
    run, dataset = begun(kind="trial", epochs=6, early_stopping_patience=2, learning_rate=0.02, **own)
    result = train(run, dataset, paths=paths)
    rows, best = result.progress.rows, result.progress.best_epoch
    losses = [row["val_loss"] for row in rows]
    assert (result.progress.kept_epoch, losses.index(min(losses)) + 1) == (best, best)
    assert len(rows) == min(6, best + 2)
    assert run.manifest.scores["kept_epoch"] == best
    assert run.manifest.scores["val_accuracy"] == rows[best - 1]["val_accuracy"]
    for kept, saved in zip(result.progress.best_weights, load_model(run.model_h5).get_weights(), strict=True):
        np.testing.assert_array_equal(kept, saved)
    part = dataset.validation
    probabilities = load_model(run.model_h5).predict(part.images(slice(None)).astype(np.float32), verbose=0)
    plain_loss = -np.log(probabilities[np.arange(len(part)), part.labels]).mean()
    assert min(losses) == pytest.approx(3 * plain_loss, rel=1e-4)


def test_without_validation_the_last_epoch_is_kept_nothing_chose_it_and_an_int8_export_is_kept_unseen(begun, paths):
    run, dataset = begun(validation="none", epochs=2, eight_bit=True)
    result = train(run, dataset, paths=paths)
    assert result.progress.kept_epoch == 2
    assert "val_loss" not in result.progress.rows[0]
    assert result.evaluation.chosen_on == (
        "No images chose the epoch: the last one is kept. None chose the temperature: it stays 1."
    )
    assert run.manifest.temperature == 1.0
    assert set(run.manifest.splits) == {"train", "test"}
    assert "Int8 export: kept unseen, without validation images; " in run.log_txt.read_text()
    assert run.manifest.int8.sha256 == file_sha256(run.model_int8)


@pytest.mark.parametrize(
    ("settings", "end"),
    [
        (
            {"keep": "last", "eight_bit": True},
            "images): the temperature, and whether the int8 export is kept; the test images chose nothing."
            " The last epoch is kept.",
        ),
        (
            {"validation": "test"},
            "by val_accuracy, and the temperature: the test images themselves, so the test score is optimistic.",
        ),
    ],
)
def test_a_score_says_what_was_chosen_on_which_images(small_config, small_dataset, settings, end):
    if settings.get("validation") == "test":
        small_dataset = dataclasses.replace(small_dataset, validation=small_dataset.test)
    assert chosen_on(small_config.model_copy(update=settings), small_dataset).endswith(end)


def test_a_finished_run_has_the_same_figures_everywhere(trained_run):
    manifest, state = trained_run.manifest, trained_run.state
    progress = read_progress(trained_run.checkpoint)
    epochs = [entry for entry in read_metrics(trained_run.metrics_jsonl) if entry["kind"] == "epoch"]
    assert (state.status, state.epoch, state.attempt) == ("SUCCEEDED", 3, 1)
    assert [entry["epoch"] for entry in epochs] == [row["epoch"] for row in progress.rows] == [1, 2, 3]
    assert [entry["loss"] for entry in epochs] == [row["loss"] for row in progress.rows]
    means = [np.mean([entry[f"val_f1_{label}"] for label in manifest.labels]) for entry in epochs]
    assert means == pytest.approx([row["val_macro_f1"] for row in progress.rows])
    assert manifest.scores["epochs"] == 3
    scores = [row[manifest.config.monitor] for row in progress.rows]
    assert progress.best_epoch == manifest.scores["kept_epoch"] == scores.index(max(scores)) + 1
    assert manifest.threads == available_cores()
    assert read_h5_manifest(trained_run.model_h5).scores == manifest.scores


def test_a_training_starts_from_other_weights_may_train_the_head_alone_and_fits_the_temperature_on_validation_images(
    begun, paths, trained_run, tmp_path
):
    sure = load_model(trained_run.model_h5)
    sure.layers[-1].set_weights([8 * weight for weight in sure.layers[-1].get_weights()])
    save_model(sure, tmp_path / "sure.h5", manifest=trained_run.manifest)
    own = {"init_from": str(tmp_path / "sure.h5"), "train_layers": "head", "validation_fraction": 0.6}
    run, dataset = begun(kind="trial", epochs=1, network_options={}, **own)
    train(run, dataset, paths=paths)
    assert "Started from sure.h5: all layers." in run.log_txt.read_text(encoding="utf-8")
    model, part = load_model(run.model_h5), dataset.validation
    for place, (new, old) in enumerate(zip(model.get_weights(), sure.get_weights(), strict=True)):
        assert np.array_equal(new, old) == (place < len(sure.get_weights()) - 2)
    probabilities = model.predict(part.images(slice(None)).astype(np.float32), verbose=0)
    found = run.manifest.temperature
    assert found == pytest.approx(useful_temperature(probabilities, part.labels), rel=1e-3)
    assert found != 1.0
    assert read_h5_manifest(run.model_h5).temperature == found
    assert f"The temperature was fitted on {len(part)} images of validation." in run.log_txt.read_text()


def test_too_few_validation_images_choose_no_temperature_and_the_log_says_so(trained_run, small_dataset):
    assert trained_run.manifest.temperature == read_h5_manifest(trained_run.model_h5).temperature == 1.0
    assert (
        "The temperature stays 1, since no other one surely helps on "
        f"{len(small_dataset.validation)} images of validation; at least 2,000 would tell more."
    ) in trained_run.log_txt.read_text()


def test_where_more_images_could_be_held_out_for_the_temperature_the_log_says_how(small_config, small_dataset):
    of_fer2013 = {"train": 27_848, "validation": 861}
    parts = {
        part: dataclasses.replace(getattr(small_dataset, part), labels=np.zeros(images, int))
        for part, images in of_fer2013.items()
    }
    large = dataclasses.replace(small_dataset, **parts)
    assert calibrated_on(1.0, small_config, large).endswith(": --validation-fraction 0.07 holds out as many.")
    assert "--validation-fraction" not in calibrated_on(0.9, small_config, large)
    assert "--validation-fraction" not in calibrated_on(1.0, small_config, small_dataset)


def test_the_saved_model_is_float32_uncompiled_and_stock(trained_run):
    model = keras.models.load_model(trained_run.model_h5)
    assert {layer.dtype_policy.name for layer in model.layers} == {"float32"}
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)
    with h5py.File(trained_run.model_h5) as file:
        assert "training_config" not in file.attrs


def test_a_run_that_is_held_is_not_trained_twice(paths, small_config, small_dataset):
    run = create_run(paths, small_config, recipe="smoke")
    with run.hold(), pytest.raises(RunHeldError, match="is being trained by process") as caught:
        train(run, small_dataset, paths=paths)
    assert caught.value.exit_code == 75
    assert run.state.status == "QUEUED"


def test_what_is_our_bug_leaves_a_failed_run_with_its_traceback_in_the_log(paths, small_config, small_dataset):
    run = create_run(paths, small_config, recipe="smoke")
    with pytest.raises(TypeError):
        train(run, small_dataset, paths=paths, report=lambda kind: None)
    assert run.state.status == "FAILED"
    assert run.state.message.startswith("Internal error: TypeError")


# How it ends early


def test_a_signal_that_a_library_swallows_ends_it_at_its_next_step_and_one_that_is_stopped_is_whole(begun, paths):
    run, dataset = begun(kind="trial")
    asked = []

    def swallow(rows):
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
        return False

    def stop(rows):
        asked.append([row["epoch"] for row in rows])
        return True

    with signals_as_exceptions():
        for _ in range(2):
            with pytest.raises(Interrupted):
                train(run, dataset, paths=paths, is_stopped=swallow)
    assert (run.state.status, run.state.epoch, run.state.attempt) == ("INTERRUPTED", 1, 1)
    result = train(run, dataset, paths=paths, is_stopped=stop)
    assert asked == [[1]]
    assert (run.state.status, run.state.epoch, result.progress.kept_epoch) == ("SUCCEEDED", 1, 1)
    assert len(read_history(run.history_csv).rows) == 1
    assert run.model_h5.is_file()
    events = [entry["text"] for entry in read_metrics(run.metrics_jsonl) if entry["kind"] == "event"]
    assert "Stopped early after epoch 1 of 3, by whoever started it." in events


# Decay takes up to ten times a weight from it each step: weights grow ninefold a step towards the warm-up's end.
GROWING = {"optimizer": "sgd", "learning_rate": 10.0, "weight_decay": 1.0, "warmup_epochs": 8.0, "schedule": "constant"}


def test_a_loss_that_is_no_number_ends_the_training_and_keeps_the_last_good_checkpoint(begun, paths):
    run, dataset = begun(**GROWING, precision="float32", sample_per_class=55, batch_size=8, epochs=9)
    where = (
        r"(the loss is nan in epoch (\d), batch \d+ of 35|a weight is no number at the end of epoch (\d))\. The check"
    )
    with pytest.raises(NonFiniteLossError, match=f"^The training went wrong: {where}") as caught:
        train(run, dataset, paths=paths)
    found = re.search(where, str(caught.value))
    epoch = int(found[2] or found[3])
    assert epoch > 1
    assert "smaller --learning-rate" in caught.value.hint
    assert (run.state.status, run.state.epoch, run.state.message in str(caught.value)) == ("FAILED", epoch - 1, True)
    assert read_progress(run.checkpoint).epoch == epoch - 1
    assert not run.model_h5.exists()


# What is checked and recorded without Keras


@pytest.mark.parametrize(("setting", "weights"), [("none", [1, 1, 1]), ("Disgust=6.5, angry=3.5", [3.5, 6.5, 1])])
def test_classes_weigh_what_was_given_and_otherwise_one(setting, weights):
    images, labels = np.array([0] * 7 + [1] + [2] * 12), ("angry", "disgust", "happy")
    assert class_weights(TrainConfig(class_weights=setting), images, labels).tolist() == weights
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=images)
    found = class_weights(TrainConfig(class_weights="balanced"), images, labels)
    np.testing.assert_allclose(found, balanced, rtol=1e-6)
    assert found.dtype == np.float32


def test_the_manifest_knows_labels_splits_and_hashes_and_a_run_goes_on_with_the_same_images_only(
    begun, small_dataset, small_config, session_paths
):
    run, _ = begun()
    manifest = run.manifest
    assert (manifest.labels, manifest.side, manifest.channels) == (small_dataset.labels, 48, 1)
    parts = ("train", "validation", "test")
    assert {part: manifest.splits[part].images for part in parts} == {p: len(getattr(small_dataset, p)) for p in parts}
    hashes = np.fromfile(run.training_images, np.uint64)
    np.testing.assert_array_equal(hashes, small_dataset.hashes_seen_before_test())
    assert manifest.training_images.count == len(hashes)
    assert not np.isin(small_dataset.test.hashes, hashes).any()
    assert record_data(run, small_dataset) == manifest
    others = load_dataset(small_config.model_copy(update={"sample_per_class": 20}), session_paths, side=48)
    with pytest.raises(DatasetError, match=r"The images in .* are not those that run .* was begun with") as caught:
        record_data(run, others)
    assert "start a new run" in caught.value.hint
