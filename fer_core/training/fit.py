"""The epochs: trains one after the other, validates, remembers the best, and saves a checkpoint after each.

Imports Keras: only imported by `train`.
"""

import math
import time
from collections.abc import Callable

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset, Split
from fer_core.errors import NonFiniteLossError
from fer_core.evaluation.metrics import SMALLEST_PROBABILITY, confusion_matrix, summary
from fer_core.evaluation.predict import predict
from fer_core.interruption import check_interrupted
from fer_core.store.run import Run
from fer_core.training.checkpoint import Progress, save_checkpoint
from fer_core.training.class_weights import class_weights
from fer_core.training.confusion import Confusion
from fer_core.training.ema import swapped_in
from fer_core.training.feed import Epoch
from fer_core.training.history import write_history
from fer_core.training.report import RunReport

ESTIMATE_AFTER_STEPS = 20
_FIRST_TIMED_STEP = 5
"""The first steps compile."""
PROGRESS_SECONDS = 2.0

IsStopped = Callable[[list[dict]], bool]
"""Is asked with the rows of all epochs so far; True ends the training after them."""


def never(rows: list[dict]) -> bool:
    """Returns False: the training goes on for as long as its own settings say."""
    return False


def fit(
    model: keras.Model,
    dataset: Dataset,
    run: Run,
    *,
    progress: Progress,
    report: RunReport,
    is_stopped: IsStopped = never,
    is_spent: IsStopped = never,
    soft_labels: np.ndarray | None = None,
) -> None:
    """Trains `model` until the last epoch, early stopping or `is_stopped`; `progress` and the run's files follow.

    `is_spent` tells whether the time budget is, and ends the training likewise.
    `soft_labels` is what teachers say of fixed views of the training images, as `cached_soft_labels` gives it.

    Raises:
        NonFiniteLossError: with epoch and batch; the checkpoint is then that of the last good epoch.
    """
    config = run.manifest.config
    weights = class_weights(config, dataset.train.labels, dataset.labels)
    while progress.epoch < config.epochs and not is_over(config, progress):
        # Also before the first epoch of a resumed training; one without any epoch would have nothing to save.
        if progress.rows and is_stopped(progress.rows):
            report.event(f"Stopped early after epoch {progress.epoch} of {config.epochs}, by whoever started it.")
            return
        if progress.rows and is_spent(progress.rows):
            spent = f"the time budget of {config.time_budget} is spent"
            report.event(f"Stopped after epoch {progress.epoch} of {config.epochs}: {spent}.")
            return
        given = {"class_weights": weights, "devices": model.devices, "soft_labels": soft_labels}
        batches = Epoch(dataset.train, config, epoch=progress.epoch + 1, **given)
        row = _one_epoch(model, batches, dataset.validation, report)
        _finish_epoch(model, row, config, progress)
        save_checkpoint(run.checkpoint, model, progress)
        write_history(run.history_csv, progress.rows)
        report.epoch(row)


def is_over(config: TrainConfig, progress: Progress) -> bool:
    """Returns whether early stopping ends the training here."""
    patience = config.early_stopping_patience
    return patience > 0 and progress.epoch - progress.best_epoch >= patience


def _one_epoch(model: keras.Model, batches: Epoch, validation: Split | None, report: RunReport) -> dict:
    """Returns the epoch's row in the history."""
    started = time.perf_counter()
    model.begin_epoch(batches.epoch)
    row = _train_epoch(model, batches, report)
    if validation is not None:
        with swapped_in(model.network, model.kept_weights()):
            row |= _validate(model, validation, batches.class_weights, batches.config)
    return row | {"seconds": round(time.perf_counter() - started, 3)}


def _train_epoch(model: keras.Model, batches: Epoch, report: RunReport) -> dict:
    epoch, watch, data = batches.epoch, Watch(batches, report), for_backend(batches)
    logs = model.fit(data, epochs=epoch, initial_epoch=epoch - 1, shuffle=False, verbose=0, callbacks=[watch]).history
    counts = next(metric for metric in _metrics(model) if isinstance(metric, Confusion)).matrix()
    images = len(batches) * batches.batch_size
    return {
        "epoch": epoch,
        "loss": float(logs["loss"][-1]),
        **summary(counts)._asdict(),
        "learning_rate": float(model.optimizer.learning_rate),
        "images_per_second": round(images / watch.seconds, 1),
    }


def for_backend(batches: Epoch):
    """Returns the batches as `fit` of this backend takes them fastest."""
    if keras.backend.backend() != "tensorflow":
        return batches
    from fer_core.training.fast_tensorflow import as_tensorflow_dataset

    return as_tensorflow_dataset(batches)


def _metrics(model: keras.Model):
    return [inner for metric in model.metrics for inner in getattr(metric, "metrics", [metric])]


def _validate(model: keras.Model, validation: Split, weights: np.ndarray, config: TrainConfig) -> dict:
    probabilities = predict(model, validation, devices=model.devices)
    counts = confusion_matrix(validation.labels, probabilities.argmax(axis=1), len(weights))
    image_weights = weights[validation.labels] if config.weighted_validation_loss else np.ones(len(validation))
    true_probabilities = probabilities[np.arange(len(validation)), validation.labels].astype(np.float64)
    losses = -np.log(np.clip(true_probabilities, SMALLEST_PROBABILITY, 1)) * image_weights
    penalty = sum(float(loss) for loss in model.network.losses)
    scores = {"loss": float(losses.mean()) + penalty, **summary(counts)._asdict()}
    return {f"val_{name}": value for name, value in scores.items()}


def _finish_epoch(model: keras.Model, row: dict, config: TrainConfig, progress: Progress) -> None:
    _check_finite(row["epoch"], row)
    if not all(np.isfinite(weight).all() for weight in model.network.get_weights()):
        raise _non_finite(f"a weight is no number at the end of epoch {row['epoch']}")
    progress.epoch = row["epoch"]
    progress.rows.append(row)
    value = row.get(config.monitor)
    if value is None:
        progress.best_epoch = progress.epoch
    elif progress.best_value is None or _is_better(value, progress.best_value, config):
        progress.best_epoch, progress.best_value = progress.epoch, value
        if config.keep != "last":
            progress.best_weights = model.kept_weights()


def _is_better(value: float, best: float, config: TrainConfig) -> bool:
    return value < best if config.monitor == "val_loss" else value > best


def _check_finite(epoch: int, row: dict) -> None:
    bad = next((name for name in ("loss", "val_loss") if not math.isfinite(row.get(name, 0.0))), None)
    if bad:
        raise _non_finite(f"{bad} is {row[bad]} at the end of epoch {epoch}")


def _non_finite(what: str) -> NonFiniteLossError:
    return NonFiniteLossError(
        f"The training went wrong: {what}. The checkpoint of the epoch before is kept.",
        hint="Start a new run with a smaller --learning-rate, or with --precision float32.",
    )


class Watch(keras.callbacks.Callback):
    """Looks at every step: stops at a loss that is no number, times the training, tells how far it is."""

    def __init__(self, batches: Epoch, report: RunReport):
        super().__init__()
        self.epoch, self.config, self.report = batches.epoch, batches.config, report
        self.steps, self.batch_size = len(batches), batches.batch_size
        self.seconds = 0.0
        self._started = self._told = self._timed_from = 0.0
        self._wants_estimate = not report.has_estimate

    def on_epoch_begin(self, epoch, logs=None):
        """Starts the clock."""
        self._started = self._told = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Checks the loss and for signals, and stops the clock."""
        check_interrupted()
        if not math.isfinite(logs["loss"]):
            raise _non_finite(f"the loss is {logs['loss']} in epoch {self.epoch}, batch {batch + 1} of {self.steps}")
        now = time.perf_counter()
        self.seconds = now - self._started
        if batch + 1 == _FIRST_TIMED_STEP:
            self._timed_from = now
        if self._wants_estimate and batch + 1 == min(ESTIMATE_AFTER_STEPS, self.steps):
            self._estimate(batch + 1, now)
        if now - self._told >= PROGRESS_SECONDS or batch + 1 == self.steps:
            self._told = now
            self._tell(batch + 1, logs)

    def _tell(self, step: int, logs: dict) -> None:
        self.report.progress(
            epoch=self.epoch,
            epochs=self.config.epochs,
            step=step,
            steps=self.steps,
            loss=float(logs["loss"]),
            accuracy=float(logs["accuracy"]),
            images_per_second=round(step * self.batch_size / self.seconds, 1),
        )

    def _estimate(self, step: int, now: float) -> None:
        timed = step - _FIRST_TIMED_STEP
        each = (now - self._timed_from) / timed if timed > 0 else self.seconds / step
        self.report.estimate(each * self.steps, self.config.epochs - self.epoch + 1)
