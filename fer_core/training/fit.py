"""From a run and its images to a trained, scored and saved model: builds, compiles, fits. Only called by `train`.

With `--time-budget` it measures the first steps on this machine, and plans the epochs that fit into the time. What is
measured on is thrown away, so that the training is the one that `--epochs` with the same number gives. Imports Keras.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from pydantic import TypeAdapter

from fer_core import networks
from fer_core.config import MOST_EPOCHS, TrainConfig
from fer_core.data.dataset import Dataset, Split
from fer_core.errors import ConfigError, check_interrupted
from fer_core.evaluation.metrics import Evaluation
from fer_core.evaluation.predict import BATCH, predict
from fer_core.paths import Paths
from fer_core.store.files import temporary_beside
from fer_core.store.manifest import checkout_commit
from fer_core.store.run import Run
from fer_core.training.callbacks import EndOfEpoch, EpochBegin, Validation, Watch
from fer_core.training.distillation import cached_soft_labels, chosen_by_teachers, record_teachers
from fer_core.training.feed import TrainingBatches, for_backend, steps_per_epoch, whole_batch
from fer_core.training.finish import chosen_on, finish
from fer_core.training.machine import Machine, single_or_many
from fer_core.training.progress import (
    FILE_NAME,
    Progress,
    RunReport,
    check_room,
    load_checkpoint,
    read_progress,
    save_checkpoint,
)
from fer_core.training.starting import stages, start_from, starting_model
from fer_core.training.training_model import built, compile_for, compiled

_STEPS = 8
"""In each epoch that is measured."""
_RESERVE = 1.05
"""Epochs take a little longer than planned where the machine has other work too."""


class TrainingResult(NamedTuple):
    """What a training came to."""

    evaluation: Evaluation
    progress: Progress


@dataclass(frozen=True)
class Training:
    """One attempt at a run's training."""

    run: Run
    dataset: Dataset
    machine: Machine
    paths: Paths
    report: RunReport
    class_weights: np.ndarray
    """Of each label, float32 (labels,)."""
    began: float = field(default_factory=lambda: time.perf_counter())

    def fit_and_finish(self, is_stopped: Callable[[list[dict]], bool]) -> TrainingResult:
        """Trains the run's model from its last checkpoint on, scores it and saves it.

        Raises:
            NonFiniteLossError: with epoch and batch; the checkpoint is then that of the last good epoch.
        """
        run, dataset, report = self.run, self.dataset, self.report
        report.event(f"Training {run.id}: {self.machine.sentence()}.")
        with single_or_many(self.machine):
            teachers_choices, soft_labels = self._of_teachers(run.manifest.config)
            config = self._planned(soft_labels)
            network = built(config, dataset.labels)
            if not (run.checkpoint / FILE_NAME).is_file():
                self._start(network, config)
            every, epoch = stages(config), read_progress(run.checkpoint).epoch
            stage = next((one for one in every if epoch <= one.last_epoch), every[-1])  # whose optimizer was saved
            model = compiled(network, config, dataset, self.machine, paths=self.paths, stage=stage)
            check_room(run.folder, model)
            progress = load_checkpoint(run.checkpoint, model)
            run.update_state(epoch=progress.epoch, epochs=config.epochs)
            if progress.epoch:
                self._say_where_it_goes_on(progress)
            record = EndOfEpoch(run, progress, report, is_stopped=is_stopped, began=self.began)
            is_over = record.is_over()
            for one in every:
                if progress.epoch >= one.last_epoch or is_over:
                    continue
                if sentence := one.sentence(config):
                    report.event(sentence)
                if one is not stage:
                    compile_for(model, one, config, dataset, self.machine)
                self._fit(model, config, record, soft_labels, last_epoch=one.last_epoch)
                is_over = model.stop_training
        network.set_weights(progress.best_weights or model.kept_weights())
        chosen = f"{chosen_on(config, dataset)} {teachers_choices}".strip()
        given = {"progress": progress, "chosen": chosen, "class_weights": self.class_weights}
        evaluation = finish(run, network, dataset, report=report, **given)
        return TrainingResult(evaluation, progress)

    def _start(self, network: keras.Model, config: TrainConfig) -> None:
        """Puts in the weights that a training starts from, where it does not start from nothing."""
        if config.init_from:
            path = starting_model(config.init_from, self.paths)
            self.report.event(start_from(network, path, self.dataset.labels))
        elif sentence := networks.pretrained(config, network):
            self.report.event(sentence)

    def _say_where_it_goes_on(self, progress: Progress) -> None:
        manifest, here = self.run.manifest, checkout_commit()
        self.report.catch_up(progress.rows)
        self.report.event(f"Goes on after epoch {progress.epoch} of {self.run.state.epochs}.")
        if manifest.git_commit not in (None, here):
            begun_by = manifest.git_commit[:7]
            self.report.event(
                f"Commit {begun_by} began it: the same bits are promised only where a checkout of that resumes it."
            )

    def _fit(
        self,
        model: keras.Model,
        config: TrainConfig,
        record: EndOfEpoch,
        soft_labels: np.ndarray | None,
        *,
        last_epoch: int,
    ) -> None:
        batches = TrainingBatches(
            self.dataset.train,
            config,
            class_weights=self.class_weights,
            epoch=record.progress.epoch + 1,
            devices=model.devices,
            soft_labels=soft_labels,
        )
        callbacks = [EpochBegin(batches), Watch(batches, self.report)]
        if self.dataset.validation is not None:
            callbacks.append(Validation(self.dataset.validation, batches))
        epochs = {"initial_epoch": record.progress.epoch, "epochs": last_epoch}
        model.fit(for_backend(batches), **epochs, shuffle=False, verbose=0, callbacks=[*callbacks, record])

    def _planned(self, soft_labels: np.ndarray | None) -> TrainConfig:
        """Returns the settings; with --time-budget, of as many epochs as fit, which a resumed run keeps."""
        manifest, report = self.run.manifest, self.report
        config = manifest.config
        if config.time_budget is None or manifest.plan is not None:
            return config
        plan = planned(self, config, soft_labels)
        report.has_estimate = True
        pace = f"{plan.epochs} epochs of about {plan.seconds_per_epoch:,.1f} s"
        report.event(
            f"Planned: {pace}, to end within {config.time_budget}.",
            epoch_seconds=plan.seconds_per_epoch,
            total_seconds=round(plan.epochs * plan.seconds_per_epoch, 1),
        )
        config = config.model_copy(update={"epochs": plan.epochs})
        return self.run.update_manifest(config=config, plan=plan._asdict()).config

    def _of_teachers(self, config: TrainConfig) -> tuple[str, np.ndarray | None]:
        """Returns what chose the teachers, in sentences, and their predictions for fixed views, if they are wanted."""
        if not config.teacher:
            return "", None
        names = " and ".join(record_teachers(self.run, self.paths))
        choices = chosen_by_teachers(config, self.dataset, self.paths)  # while they are there
        if not config.teacher_views:
            return choices, None
        self.report.event(f"Learns from the answers of {names} to {config.teacher_views} views of each image.")
        soft_labels = cached_soft_labels(config, self.dataset, self.paths)
        # Loading the teachers draws from the generators: the weights are to be the same where the labels are cached.
        keras.utils.set_random_seed(config.seed)
        return choices, soft_labels


class BudgetPlan(NamedTuple):
    """How many epochs fit into the time, and what that was reckoned from."""

    epochs: int
    seconds_per_epoch: float
    budget_seconds: float
    end_seconds: float
    """Of the scoring after the last epoch."""


class Seconds(NamedTuple):
    """What takes how long."""

    start: float
    """Compiling: once for each size of the pictures."""
    epoch: float
    """With its validation and its checkpoint."""
    end: float
    """Predicting all splits again."""


def budget_seconds(text: str) -> float:
    """Returns the seconds of '2h', '90m', '1h30m' or '45s'."""
    return TypeAdapter(timedelta).validate_python(f"PT{text.upper()}").total_seconds()  # as ISO 8601 has it


def planned(training: Training, config: TrainConfig, soft_labels: np.ndarray | None) -> BudgetPlan:
    """Returns the plan for `config.time_budget`; leaves the random generators as they were set up.

    What is over by now counts, and so does the scoring of the kept weights; plots and exports, some seconds, do not.

    Raises:
        ConfigError: the time is too short for the warm-up, or for the sizes that the pictures are to have.
    """
    took = measured(training, config, soft_labels)
    keras.utils.set_random_seed(config.seed)
    budget = budget_seconds(config.time_budget)
    heads = config.head_epochs + 1 if config.fine_tune else 1
    fewest = max(int(config.warmup_epochs) + 1, len(config.progressive_sizes), heads)
    left = budget - took.start - took.end - (time.perf_counter() - training.began)
    epochs = min(int(left / (_RESERVE * took.epoch)), MOST_EPOCHS)
    if epochs < fewest:
        raise ConfigError(
            f"In {config.time_budget} this machine trains {max(epochs, 0)} epochs of {took.epoch:,.1f} s; "
            f"these settings need at least {fewest}.",
            hint="Give more --time-budget, or take a smaller network.",
        )
    return BudgetPlan(epochs, round(took.epoch, 3), budget, round(took.end, 3))


def measured(training: Training, config: TrainConfig, soft_labels: np.ndarray | None = None) -> Seconds:
    """Fits a model that is thrown away: two short epochs for each size of the pictures, the first of which compiles."""
    began, dataset, paths = time.perf_counter(), training.dataset, training.paths
    epochs = 2 * max(len(config.progressive_sizes), 1)
    short = {"epochs": epochs, "warmup_epochs": 0.0, "annealing": 0.0, "time_budget": None}
    trial = config.model_copy(update=short)
    model = compiled(built(trial, dataset.labels), trial, dataset, training.machine, paths=paths)
    few = _STEPS * whole_batch(dataset.train, config, devices=model.devices)
    # From everywhere: data is often sorted by class.
    few = np.linspace(0, len(dataset.train) - 1, min(few, len(dataset.train))).astype(np.int64)
    given = {"devices": model.devices, "soft_labels": None if soft_labels is None else soft_labels[few]}
    batches = TrainingBatches(dataset.train.part(few), trial, class_weights=training.class_weights, **given)
    stopwatch = _Stopwatch(temporary_beside(paths.models / "runs" / "checkpoint"))
    callbacks = [EpochBegin(batches), stopwatch]
    try:
        model.fit(for_backend(batches), epochs=trial.epochs, shuffle=False, verbose=0, callbacks=callbacks)
    finally:
        shutil.rmtree(stopwatch.folder, ignore_errors=True)
    step = np.mean([np.median(np.diff(times[:-1])) for times in stopwatch.epochs[1::2]])
    last = np.diff(stopwatch.epochs[-1])
    beside_steps = last.sum() - len(last[:-1]) * np.median(last[:-1])  # sets up its images, and leaves a checkpoint
    image, validation = _prediction_seconds(model, dataset.test), len(dataset.validation or ())
    start = time.perf_counter() - began
    steps = steps_per_epoch(dataset.train, config, devices=model.devices)
    return Seconds(
        start, float(steps * step + beside_steps + image * validation), image * (len(dataset.test) + validation)
    )


class _Stopwatch(keras.callbacks.Callback):
    """Notes by epoch when it begins, when each step has ended, and when it has ended itself."""

    def __init__(self, folder: Path):
        super().__init__()
        self.folder = folder
        self.epochs: list[list[float]] = []

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.append([time.perf_counter()])

    def on_train_batch_end(self, batch, logs=None):
        check_interrupted()
        self.epochs[-1].append(time.perf_counter())

    def on_epoch_end(self, epoch, logs=None):
        save_checkpoint(self.folder, self.model, Progress(best_weights=self.model.kept_weights()))
        self.epochs[-1].append(time.perf_counter())


def _prediction_seconds(model: keras.Model, split: Split) -> float:
    """Returns the seconds for one image."""
    few = split.part(slice(0, 2 * BATCH))
    predict(model, few)
    began = time.perf_counter()
    predict(model, few)
    return (time.perf_counter() - began) / len(few)
