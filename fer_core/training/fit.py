"""From a run and its images to a trained, scored and saved model: builds, compiles, fits. Only called by `train`.

Imports Keras.
"""

import time
from dataclasses import dataclass

import keras
import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset
from fer_core.evaluation.metrics import Evaluation
from fer_core.paths import Paths
from fer_core.store.manifest import Manifest
from fer_core.store.run import Run
from fer_core.training.budget import planned, time_left
from fer_core.training.callbacks import EpochBegin, IsStopped, Record, Stop, Validation, Watch
from fer_core.training.checkpoint import Progress, check_room, has_checkpoint, load_checkpoint
from fer_core.training.class_weights import class_weights
from fer_core.training.compiling import built, compiled
from fer_core.training.distillation import cached_soft_labels, chosen_by_teachers, record_teachers
from fer_core.training.feed import TrainingBatches, for_backend
from fer_core.training.finish import chosen_on, finish, kept_epoch
from fer_core.training.machine import Machine, single_or_many
from fer_core.training.report import RunReport
from fer_core.training.starting import start_from, starting_model
from fer_core.training.training_model import Augmented


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to."""

    run_id: str
    evaluation: Evaluation
    progress: Progress
    kept_epoch: int


@dataclass(frozen=True)
class Work:
    """What one attempt at a training works with."""

    run: Run
    dataset: Dataset
    machine: Machine
    paths: Paths
    report: RunReport
    is_stopped: IsStopped


def fit_and_finish(work: Work, manifest: Manifest) -> TrainingResult:
    """Trains the run's model from its last checkpoint on, scores it and saves it.

    Raises:
        NonFiniteLossError: with epoch and batch; the checkpoint is then that of the last good epoch.
    """
    began = time.perf_counter()
    run, dataset, report = work.run, work.dataset, work.report
    report.event(f"Training {run.id}: {work.machine.sentence()}.")
    with single_or_many(work.machine):
        teachers = record_teachers(run, manifest, work.paths)
        distilled = chosen_by_teachers(manifest.config, dataset, work.paths)  # while they are surely there
        soft_labels = _soft_labels(work, manifest.config, teachers)
        manifest = _with_plan(work, manifest, soft_labels, began)
        config = manifest.config
        network = _network(work, config)
        model = compiled(network, config, dataset, work.machine, paths=work.paths)
        check_room(run.folder, model)
        progress = load_checkpoint(run.checkpoint, model)
        _report_start(work, config, progress)
        _fit(work, manifest, model, progress, soft_labels=soft_labels, began=began)
    network.set_weights(progress.best_weights or model.kept_weights())
    chosen = f"{chosen_on(config, dataset)} {distilled}".strip()
    evaluation = finish(run, network, dataset, progress=progress, chosen=chosen, report=report)
    return TrainingResult(run.id, evaluation, progress, kept_epoch(progress))


def _fit(
    work: Work,
    manifest: Manifest,
    model: Augmented,
    progress: Progress,
    *,
    soft_labels: np.ndarray | None,
    began: float,
) -> None:
    """Trains until the last epoch or until `Stop` ends it; `progress` and the run's files follow."""
    config, dataset, report = manifest.config, work.dataset, work.report
    budget = time_left(manifest.plan, progress.rows, began=began)
    stop = Stop(config, progress, report, is_stopped=work.is_stopped, is_spent=budget.is_spent if budget else None)
    if stop.is_over():
        return
    weights = class_weights(config, dataset.train.labels, dataset.labels)
    given = {"class_weights": weights, "devices": model.devices, "soft_labels": soft_labels}
    batches = TrainingBatches(dataset.train, config, epoch=progress.epoch + 1, **given)
    callbacks = [EpochBegin(batches), Watch(batches, report)]
    if dataset.validation is not None:
        callbacks.append(Validation(dataset.validation, batches))
    callbacks += [Record(work.run, config, progress, report), stop]
    epochs = {"initial_epoch": progress.epoch, "epochs": config.epochs}
    model.fit(for_backend(batches), **epochs, shuffle=False, verbose=0, callbacks=callbacks)


def _with_plan(work: Work, manifest: Manifest, soft_labels: np.ndarray | None, began: float) -> Manifest:
    """Writes the epochs that fit into --time-budget into the manifest, once: a resumed run keeps them."""
    config = manifest.config
    if config.time_budget is None or manifest.plan is not None:
        return manifest
    so_far = {"paths": work.paths, "soft_labels": soft_labels, "began": began}
    plan = planned(config, work.dataset, work.machine, **so_far)
    work.report.has_estimate = True
    work.report.event(
        f"Planned: {plan.epochs} epochs of about {plan.seconds_per_epoch:,.1f} s, to end within {config.time_budget}.",
        epoch_seconds=plan.seconds_per_epoch,
        total_seconds=round(plan.epochs * plan.seconds_per_epoch, 1),
    )
    settings = config.model_copy(update={"epochs": plan.epochs})
    return work.run.update_manifest(config=settings, plan=plan._asdict())


def _network(work: Work, config: TrainConfig) -> keras.Model:
    """Returns the stock network with its starting weights, which a checkpoint makes needless."""
    network = built(config, work.dataset.labels)
    if config.init_from and not has_checkpoint(work.run.checkpoint):
        path = starting_model(config.init_from, work.paths)
        work.report.event(start_from(network, path, work.dataset.labels))
    return network


def _report_start(work: Work, config: TrainConfig, progress: Progress) -> None:
    work.run.update_state(epoch=progress.epoch, epochs=config.epochs)
    if progress.epoch:
        work.report.catch_up(progress.rows)
        work.report.event(f"Goes on after epoch {progress.epoch} of {config.epochs}.")


def _soft_labels(work: Work, config: TrainConfig, teachers: dict[str, str]) -> np.ndarray | None:
    if not config.teacher_views:
        return None
    names = " and ".join(teachers)
    work.report.event(f"Learns from the answers of {names} to {config.teacher_views} views of each image.")
    soft_labels = cached_soft_labels(config, work.dataset, work.paths)
    # Loading the teachers draws from the generators: the weights are to be the same where the labels are cached.
    keras.utils.set_random_seed(config.seed)
    return soft_labels
