"""From a run and its images to a trained, scored and saved model: builds, compiles, fits. Only called by `train`.

Imports Keras.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset
from fer_core.evaluation.metrics import Evaluation
from fer_core.paths import Paths
from fer_core.store.run import Run
from fer_core.training.budget import planned
from fer_core.training.callbacks import EpochBegin, Record, Validation, Watch
from fer_core.training.checkpoint import FILE_NAME, Progress, check_room, load_checkpoint
from fer_core.training.compiling import built, compiled
from fer_core.training.distillation import cached_soft_labels, chosen_by_teachers, record_teachers
from fer_core.training.feed import TrainingBatches, for_backend
from fer_core.training.finish import chosen_on, finish, kept_epoch
from fer_core.training.machine import Machine, single_or_many
from fer_core.training.report import RunReport
from fer_core.training.starting import start_from, starting_model


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to."""

    evaluation: Evaluation
    progress: Progress
    kept_epoch: int


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
    began: float = field(default_factory=time.perf_counter)

    def fit_and_finish(self, is_stopped: Callable[[list[dict]], bool]) -> TrainingResult:
        """Trains the run's model from its last checkpoint on, scores it and saves it.

        Raises:
            NonFiniteLossError: with epoch and batch; the checkpoint is then that of the last good epoch.
        """
        run, dataset, report = self.run, self.dataset, self.report
        report.event(f"Training {run.id}: {self.machine.sentence()}.")
        with single_or_many(self.machine):
            teachers = record_teachers(run, self.paths)
            teachers_choices = chosen_by_teachers(run.manifest.config, dataset, self.paths)  # while they are there
            soft_labels = self._soft_labels(run.manifest.config, teachers)
            config = self._planned(soft_labels)
            network = built(config, dataset.labels)
            if config.init_from and not (run.checkpoint / FILE_NAME).is_file():
                report.event(start_from(network, starting_model(config.init_from, self.paths), dataset.labels))
            model = compiled(network, config, dataset, self.machine, paths=self.paths)
            check_room(run.folder, model)
            progress = load_checkpoint(run.checkpoint, model)
            run.update_state(epoch=progress.epoch, epochs=config.epochs)
            if progress.epoch:
                report.catch_up(progress.rows)
                report.event(f"Goes on after epoch {progress.epoch} of {config.epochs}.")
            record = Record(run, progress, report, is_stopped=is_stopped, began=self.began)
            if not record.is_over():
                self._fit(model, config, record, soft_labels)
        network.set_weights(progress.best_weights or model.kept_weights())
        chosen = f"{chosen_on(config, dataset)} {teachers_choices}".strip()
        evaluation = finish(run, network, dataset, progress=progress, chosen=chosen, report=report)
        return TrainingResult(evaluation, progress, kept_epoch(progress))

    def _fit(self, model: keras.Model, config: TrainConfig, record: Record, soft_labels: np.ndarray | None) -> None:
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
        epochs = {"initial_epoch": record.progress.epoch, "epochs": config.epochs}
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

    def _soft_labels(self, config: TrainConfig, teachers: dict[str, str]) -> np.ndarray | None:
        if not config.teacher_views:
            return None
        names = " and ".join(teachers)
        self.report.event(f"Learns from the answers of {names} to {config.teacher_views} views of each image.")
        soft_labels = cached_soft_labels(config, self.dataset, self.paths)
        # Loading the teachers draws from the generators: the weights are to be the same where the labels are cached.
        keras.utils.set_random_seed(config.seed)
        return soft_labels
