"""`train()`: the only place in the project that compiles and fits a model. Scripts, jobs, trials and tests call it.

It never promotes a model; that is for who called it.
"""

import contextlib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import keras

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.data.dataset import Dataset
from fer_core.errors import FerError
from fer_core.evaluation.metrics import Evaluation
from fer_core.places import Places
from fer_core.store.artifacts import check_saveable
from fer_core.store.clock import utc_now, utc_text
from fer_core.store.files import DiskFullError
from fer_core.store.run import Run
from fer_core.training.checkpoint import Progress, check_room, load_checkpoint
from fer_core.training.confusion import Confusion
from fer_core.training.feed import steps_per_epoch
from fer_core.training.finish import finish, kept_epoch
from fer_core.training.fit import fit
from fer_core.training.machine import Machine, prepare, single_or_many
from fer_core.training.optimizers import make_optimizer
from fer_core.training.record import record_machine
from fer_core.training.report import Report, RunReport, ignore
from fer_core.training.starting import freeze_all_but_head, start_from, starting_model
from fer_core.training.twin import Augmented, is_fast, training_twin


@dataclass(frozen=True)
class TrainingResult:
    """What a training came to."""

    run_id: str
    evaluation: Evaluation
    progress: Progress
    kept_epoch: int


def train(run: Run, dataset: Dataset, *, places: Places, report: Report = ignore) -> TrainingResult:
    """Trains, scores and saves the model of `run`; goes on from its checkpoint if there is one.

    Args:
        dataset: what `load_dataset` gave for the run's config.
        report: is told events, progress and epochs.

    Raises:
        RunHeldError: another process trains this run. NonFiniteLossError: the loss is no number.
        FerError: settings, data or a saved file cannot be used.
    """
    with run.hold(), _lifecycle(run, report) as told:
        machine = prepare(run.manifest.config, recorded=run.manifest)
        record_machine(run, machine)
        told.event(f"Training {run.id}: {machine.sentence()}.")
        with single_or_many(machine):
            network, model, progress = _start(run, dataset, machine, places, told)
            fit(model, dataset, run, progress, told)
        network = _with_kept_weights(network, model, progress)
        evaluation = finish(run, network, dataset, progress, told)
    return TrainingResult(run.id, evaluation, progress, kept_epoch(progress))


def _start(run: Run, dataset: Dataset, machine: Machine, places: Places, told: RunReport):
    """Returns the stock network, the compiled training model with the checkpoint in it, and how far that is."""
    config = run.manifest.config
    network = networks.build(config, dataset.labels)
    check_saveable(network)
    if config.init_from:
        told.event(start_from(network, starting_model(config.init_from, places), dataset.labels))
        freeze_all_but_head(network, config)
    model = _compiled(network, config, dataset, machine)
    check_room(run.folder, model)
    progress = load_checkpoint(run.checkpoint, model)
    if progress.epoch:
        told.event(f"Goes on after epoch {progress.epoch} of {config.epochs}.")
    return network, model, progress


def _compiled(network: keras.Model, config: TrainConfig, dataset: Dataset, machine: Machine) -> Augmented:
    model = Augmented(training_twin(network, machine), Augmentation(config))
    model.build((None, *network.input_shape[1:]))
    optimizer = make_optimizer(config, steps_per_epoch(dataset.train, config), fast=is_fast(machine))
    # XLA makes these convolutions five to ten times slower on a CPU under TensorFlow.
    jit = machine.on_gpu or machine.backend == "jax"
    loss = keras.losses.CategoricalCrossentropy()
    model.compile(optimizer=optimizer, loss=loss, metrics=[Confusion(len(dataset.labels))], jit_compile=jit)
    optimizer.build(model.trainable_variables)
    return model


def _with_kept_weights(network: keras.Model, model: Augmented, progress: Progress) -> keras.Model:
    network.set_weights(progress.best_weights or model.network.get_weights())
    return network


@contextlib.contextmanager
def _lifecycle(run: Run, report: Report) -> Iterator[RunReport]:
    """Keeps state.json true, however the training ends."""
    state = run.update_state(
        status="RUNNING", attempt=run.state.attempt + 1, message="", started_utc=utc_text(utc_now())
    )
    with RunReport(run, state.attempt, report) as told:
        try:
            yield told
        except KeyboardInterrupt:
            _end(run, "INTERRUPTED", f"Interrupted after epoch {run.state.epoch}.")
            raise
        except DiskFullError as error:
            # There may be no room for this either; whoever made room can go on with --resume latest.
            with contextlib.suppress(DiskFullError):
                _end(run, "INTERRUPTED", str(error))
            raise
        except FerError as error:
            _end(run, "FAILED", str(error))
            raise
        except Exception as error:
            _end(run, "FAILED", f"Internal error: {error!r}")
            told.event(traceback.format_exc())
            raise
    _end(run, "SUCCEEDED", "")


def _end(run: Run, status: str, message: str) -> None:
    run.update_state(status=status, message=message, finished_utc=utc_text(utc_now()))
