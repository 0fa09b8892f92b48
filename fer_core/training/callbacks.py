"""What happens around the steps of a training, as Keras callbacks; `fit` gives them in the order of this file.

Keras' own leave out what a resumed training needs to come to the same bits: `ModelCheckpoint` and `BackupAndRestore`
the seed generators and the best weights so far, `EarlyStopping` and `CSVLogger` what earlier attempts have seen, and
`TerminateOnNaN` ends as if the training were whole. Imports Keras: only imported by training itself.
"""

import math
import time
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from fer_core.data.dataset import Split
from fer_core.errors import NonFiniteLossError, check_interrupted
from fer_core.evaluation.metrics import SMALLEST_PROBABILITY, class_scores, confusion_matrix, summary
from fer_core.evaluation.predict import predict
from fer_core.store.run import Run
from fer_core.training.feed import TrainingBatches
from fer_core.training.history import write_history
from fer_core.training.progress import Progress, RunReport, save_checkpoint

ESTIMATE_AFTER_STEPS = 20
_FIRST_TIMED_STEP = 5
"""The first steps compile."""
PROGRESS_SECONDS = 2.0
CLASS_F1 = "val_f1_"
"""In metrics.jsonl, before each label: the F1 of this class on the validation images."""


class Confusion(keras.metrics.Metric):
    """Counts images by true class (rows) and predicted class (columns). Its result is the accuracy so far."""

    def __init__(self, classes: int):
        super().__init__(name="accuracy", dtype="float32")
        self.classes = classes
        self.counts = self.add_weight(shape=(classes, classes), initializer="zeros", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch: labels and probabilities, both (batch, classes). Weights do not count.

        A mixed or distilled label counts as the class that it has most of.
        """
        truths, guesses = (ops.one_hot(ops.argmax(y, axis=-1), self.classes, dtype="float32") for y in (y_true, y_pred))
        self.counts.assign_add(ops.matmul(ops.transpose(truths), guesses))

    def result(self):
        """Returns the accuracy, a scalar."""
        return ops.trace(self.counts) / ops.maximum(ops.sum(self.counts), 1.0)

    def matrix(self) -> np.ndarray:
        """Returns the counts, int64 (classes, classes)."""
        return np.rint(np.asarray(self.counts)).astype(np.int64)


class EpochBegin(keras.callbacks.Callback):
    """Gives images and model the epoch: order of the images, strength of the augmentation, size of the pictures."""

    def __init__(self, batches: TrainingBatches):
        super().__init__()
        self.batches = batches

    def on_epoch_begin(self, epoch, logs=None):
        self.batches.begin_epoch(epoch + 1)
        self.model.begin_epoch(epoch + 1)


class Watch(keras.callbacks.Callback):
    """Looks at every step: stops at a loss that is no number, times the training, reports how far it is."""

    def __init__(self, batches: TrainingBatches, report: RunReport):
        super().__init__()
        self.batches, self.config, self.report, self.steps = batches, batches.config, report, len(batches)
        self.seconds = 0.0
        self._started = self._reported = self._timed_from = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._started = self._reported = time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        """Checks the loss and for signals, and stops the clock."""
        check_interrupted()
        step, now = batch + 1, time.perf_counter()
        if not math.isfinite(logs["loss"]):
            where = f"epoch {self.batches.epoch}, batch {step} of {self.steps}"
            raise _non_finite(f"the loss is {logs['loss']} in {where}")
        self.seconds = now - self._started
        if step == _FIRST_TIMED_STEP:
            self._timed_from = now
        if not self.report.has_estimate and step == min(ESTIMATE_AFTER_STEPS, self.steps):
            timed = step - _FIRST_TIMED_STEP
            each = (now - self._timed_from) / timed if timed > 0 else self.seconds / step
            self.report.estimate(each * self.steps, self.config.epochs - self.batches.epoch + 1)
        if now - self._reported >= PROGRESS_SECONDS or step == self.steps:
            self._reported = now
            self.report.progress(
                epoch=self.batches.epoch,
                epochs=self.config.epochs,
                step=step,
                steps=self.steps,
                loss=float(logs["loss"]),
                accuracy=float(logs["accuracy"]),
                images_per_second=round(step * self.batches.batch_size / self.seconds, 1),
            )

    def on_epoch_end(self, epoch, logs=None):
        """Adds what the counts say of the training images, and how fast they went by."""
        metrics = (inner for metric in self.model.metrics for inner in getattr(metric, "metrics", [metric]))
        counts = summary(next(metric for metric in metrics if isinstance(metric, Confusion)).matrix())
        images = self.steps * self.batches.batch_size
        logs |= counts._asdict() | {"learning_rate": float(self.model.optimizer.learning_rate)}
        logs["images_per_second"] = round(images / self.seconds, 1)


class Validation(keras.callbacks.Callback):
    """Scores the weights that would be saved, the average where there is one, on the validation images.

    Not Keras' `validation_data`: the last batch would be a second compiled step, and its loss that of the batches.
    """

    def __init__(self, split: Split, batches: TrainingBatches):
        super().__init__()
        self.split = split
        weights = batches.class_weights[split.labels]
        self._image_weights = weights if batches.config.weighted_validation_loss else np.ones(len(split))

    def on_epoch_end(self, epoch, logs=None):
        network = self.model.network
        own = network.get_weights()
        network.set_weights(self.model.kept_weights())
        try:
            probabilities = predict(network, self.split, devices=self.model.devices)
            penalty = sum(float(loss) for loss in network.losses)
        finally:
            network.set_weights(own)
        labels = self.split.labels
        counts = confusion_matrix(labels, probabilities.argmax(axis=1), probabilities.shape[1])
        true_probabilities = probabilities[np.arange(len(labels)), labels].astype(np.float64)
        losses = -np.log(np.clip(true_probabilities, SMALLEST_PROBABILITY, 1)) * self._image_weights
        scores = {"loss": float(losses.mean()) + penalty, **summary(counts)._asdict()}
        logs |= {f"val_{name}": value for name, value in scores.items()}
        logs[CLASS_F1] = [score.f1 for score in class_scores(counts)]


class EndOfEpoch(keras.callbacks.Callback):
    """Ends an epoch: refuses what is no number, remembers the best weights, writes checkpoint and history, reports.

    Ends the training, too, before its last epoch: early stopping, a spent time budget, or whoever started it.
    """

    def __init__(
        self,
        run: Run,
        progress: Progress,
        report: RunReport,
        *,
        is_stopped: Callable[[list[dict]], bool],
        began: float,
    ):
        """`is_stopped` is called with the rows of all epochs so far; `began`: this attempt, by `time.perf_counter`."""
        super().__init__()
        manifest = run.manifest
        self.run, self.config, self.progress, self.report = run, manifest.config, progress, report
        self._plan, self._is_stopped, self._history_csv = manifest.plan, is_stopped, run.history_csv
        self._began = began - sum(row["seconds"] for row in progress.rows)  # as if all attempts had been one
        self._epoch_began = 0.0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch_began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """All that is on disk afterwards is of the same epoch; a kill in between leaves the checkpoint to decide.

        Keras looks at `stop_training` before it begins another epoch.
        """
        class_f1 = logs.pop(CLASS_F1, ())  # for metrics.jsonl alone: the columns of a history are the same for all
        row = {"epoch": epoch + 1} | logs | {"seconds": round(time.perf_counter() - self._epoch_began, 3)}
        self._check_finite(row)
        self._remember(row)
        save_checkpoint(self.run.checkpoint, self.model, self.progress)
        write_history(self._history_csv, self.progress.rows)
        labels = self.run.manifest.labels if class_f1 else ()
        self.report.epoch(row | {f"{CLASS_F1}{label}": f1 for label, f1 in zip(labels, class_f1, strict=True)})
        self.model.stop_training = self.is_over()

    def is_over(self) -> bool:
        """Returns whether no other epoch is trained; also before the first one of a resumed training.

        Without any epoch there would be nothing to save.
        """
        config, progress = self.config, self.progress
        patience = config.early_stopping_patience
        if progress.epoch >= config.epochs or (patience > 0 and progress.epoch - progress.best_epoch >= patience):
            return True
        if not progress.rows:
            return False
        if self._is_stopped(progress.rows):
            self.report.event(f"Stopped early after epoch {progress.epoch} of {config.epochs}, by whoever started it.")
            return True
        # Another epoch like the last one, and the end, take longer than there is time.
        wanted = progress.rows[-1]["seconds"] + (self._plan or {}).get("end_seconds", 0.0)
        if self._plan and time.perf_counter() - self._began + wanted > self._plan["budget_seconds"]:
            spent = f"the time budget of {config.time_budget} is spent"
            self.report.event(f"Stopped after epoch {progress.epoch} of {config.epochs}: {spent}.")
            return True
        return False

    def _check_finite(self, row: dict) -> None:
        end = f"at the end of epoch {row['epoch']}"
        for name in ("loss", "val_loss"):
            if not math.isfinite(row.get(name, 0.0)):
                raise _non_finite(f"{name} is {row[name]} {end}")
        if not all(np.isfinite(weight).all() for weight in self.model.network.get_weights()):
            raise _non_finite(f"a weight is no number {end}")

    def _remember(self, row: dict) -> None:
        progress, monitor = self.progress, self.config.monitor
        value, best = row.get(monitor), progress.best_value
        progress.epoch = row["epoch"]
        progress.rows.append(row)
        if value is None:
            progress.best_epoch = progress.epoch
        elif best is None or (value < best if monitor == "val_loss" else value > best):
            progress.best_epoch, progress.best_value = progress.epoch, value
            if self.config.keep != "last":
                progress.best_weights = self.model.kept_weights()


def _non_finite(what: str) -> NonFiniteLossError:
    return NonFiniteLossError(
        f"The training went wrong: {what}. The checkpoint of the epoch before is kept.",
        hint="Start a new run with a smaller --learning-rate, or with --precision float32.",
    )
