"""`train()`: the only place in the project that compiles and fits a model. Scripts, jobs, trials and tests call it.

It never promotes a model; that is for who called it.
"""

import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError
from fer_core.evaluation.metrics import Evaluation
from fer_core.interruption import check_interrupted
from fer_core.paths import Paths
from fer_core.store.run import Run
from fer_core.training.budget import planned, time_left
from fer_core.training.checkpoint import Progress, check_room, has_checkpoint, load_checkpoint
from fer_core.training.compiling import built, compiled
from fer_core.training.distillation import cached_soft_labels, chosen_by_teachers, record_teachers
from fer_core.training.finish import chosen_on, finish, kept_epoch
from fer_core.training.fit import IsStopped, fit, never
from fer_core.training.lifecycle import lifecycle
from fer_core.training.machine import Machine, prepare, single_or_many
from fer_core.training.members import check_is_no_ensemble
from fer_core.training.record import record_machine
from fer_core.training.report import Report, RunReport, ignore
from fer_core.training.starting import start_from, starting_model


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to."""

    run_id: str
    evaluation: Evaluation
    progress: Progress
    kept_epoch: int


def train(
    run: Run, dataset: Dataset, *, paths: Paths, report: Report = ignore, is_stopped: IsStopped = never
) -> TrainingResult:
    """Trains, scores and saves the model of `run`; goes on from its checkpoint if there is one.

    Args:
        dataset: what `load_dataset` gave for the run's config.
        report: is told events, progress and epochs.
        is_stopped: is asked after each epoch, with the rows so far; True ends the training there, as if it were whole.

    Raises:
        RunHeldError: another process trains this run. NonFiniteLossError: the loss is no number.
        FerError: settings, data or a saved file cannot be used. Interrupted: a signal asked for the end.
    """
    with run.hold():
        _check_can_be_trained(run)
        check_interrupted()
        # Before the run counts as running: what this machine refuses, another one may go on with.
        machine = prepare(run.manifest.config, recorded=run.manifest)
        record_machine(run, machine)
        with lifecycle(run, report) as told:
            return _trained(run, dataset, machine, paths=paths, told=told, is_stopped=is_stopped)


def _check_can_be_trained(run: Run) -> None:
    check_is_no_ensemble(run)
    if run.state.status == "SUCCEEDED":
        raise ArtifactError(f"Run {run.id} is finished: another process has trained it to its end.")


def _trained(
    run: Run, dataset: Dataset, machine: Machine, *, paths: Paths, told: RunReport, is_stopped: IsStopped
) -> TrainingResult:
    began = time.perf_counter()
    told.event(f"Training {run.id}: {machine.sentence()}.")
    with single_or_many(machine):
        record_teachers(run, paths)
        distilled = chosen_by_teachers(run.manifest.config, dataset, paths)  # while they are surely there
        soft_labels = _soft_labels(run, dataset, paths, told)
        _plan(run, dataset, machine, told, paths=paths, soft_labels=soft_labels, began=began)
        network = _built(run, dataset.labels, paths, told)
        model = compiled(network, run.manifest.config, dataset, machine, paths=paths)
        check_room(run.folder, model)
        progress = load_checkpoint(run.checkpoint, model)
        _say_where_it_goes_on(run, progress, told)
        budget = time_left(run.manifest.plan, progress.rows, began=began)
        stops = {"is_stopped": is_stopped, "is_spent": budget.is_spent if budget else never}
        fit(model, dataset, run, progress=progress, report=told, soft_labels=soft_labels, **stops)
    network.set_weights(progress.best_weights or model.kept_weights())
    chosen = f"{chosen_on(run.manifest.config, dataset)} {distilled}".strip()
    evaluation = finish(run, network, dataset, progress=progress, chosen=chosen, told=told)
    return TrainingResult(run.id, evaluation, progress, kept_epoch(progress))


def _plan(run: Run, dataset: Dataset, machine: Machine, told: RunReport, **so_far: Any) -> None:
    """Writes the epochs that fit into --time-budget into the manifest, once: a resumed run keeps them."""
    config = run.manifest.config
    if config.time_budget is None or run.manifest.plan is not None:
        return
    plan = planned(config, dataset, machine, **so_far)
    run.update_manifest(config=config.model_copy(update={"epochs": plan.epochs}), plan=plan._asdict())
    told.has_estimate = True
    told.event(
        f"Planned: {plan.epochs} epochs of about {plan.seconds_per_epoch:,.1f} s, to end within {config.time_budget}.",
        epoch_seconds=plan.seconds_per_epoch,
        total_seconds=round(plan.epochs * plan.seconds_per_epoch, 1),
    )


def _built(run: Run, labels: tuple[str, ...], paths: Paths, told: RunReport) -> keras.Model:
    """Returns the stock network with its starting weights, which a checkpoint makes needless."""
    config = run.manifest.config
    network = built(config, labels)
    if config.init_from and not has_checkpoint(run.checkpoint):
        told.event(start_from(network, starting_model(config.init_from, paths), labels))
    return network


def _say_where_it_goes_on(run: Run, progress: Progress, told: RunReport) -> None:
    config = run.manifest.config
    run.update_state(epoch=progress.epoch, epochs=config.epochs)
    if not progress.epoch:
        return
    told.catch_up(progress.rows)
    told.event(f"Goes on after epoch {progress.epoch} of {config.epochs}.")


def _soft_labels(run: Run, dataset: Dataset, paths: Paths, told: RunReport) -> np.ndarray | None:
    config = run.manifest.config
    if not config.teacher_views:
        return None
    names = " and ".join(run.manifest.teachers)
    told.event(f"Learns from the answers of {names} to {config.teacher_views} views of each image.")
    soft_labels = cached_soft_labels(config, dataset, paths)
    # Loading the teachers draws from the generators: the weights are to be the same where what they said is kept.
    keras.utils.set_random_seed(config.seed)
    return soft_labels
