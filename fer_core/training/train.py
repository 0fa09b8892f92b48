"""`train`: the one path from a run to a trained, scored and saved model. Script, trial and retraining call it.

What a user can mend is found before Keras is loaded, which takes seconds. A model is never promoted here: that is for
who called.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.audit import Audit, audit
from fer_core.data.dataset import Dataset, load_dataset
from fer_core.errors import ArtifactError
from fer_core.evaluation.figures import class_distribution_figure, save
from fer_core.interruption import check_interrupted
from fer_core.paths import Paths
from fer_core.store.files import write_json
from fer_core.store.litert import native_messages_hidden
from fer_core.store.manifest import Manifest
from fer_core.store.run import Run
from fer_core.store.runs import create_run
from fer_core.training.class_weights import class_weights
from fer_core.training.distillation import check_teachers
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.machine import choose_backend, prepare
from fer_core.training.record import check_is_no_ensemble, record_data, record_machine
from fer_core.training.report import Report, ignore, reporting
from fer_core.training.starting import starting_model, with_fixed_models

if TYPE_CHECKING:
    from fer_core.training.fit import TrainingResult


def never(rows: list[dict]) -> bool:
    """Returns False: the training goes on for as long as its own settings say."""
    return False


def training_data(
    config: TrainConfig, paths: Paths, *, resumes: bool = False, report: Callable[[str], None] = lambda text: None
) -> Dataset:
    """Returns the images of a training, once its settings, starting weights and teachers are known to fit them.

    Args:
        resumes: there is a checkpoint, which makes the starting weights needless.
        report: gets sentences about a long look.
    """
    networks.options(config)
    if config.init_from and not resumes:
        starting_model(config.init_from, paths)
    for name in config.teacher:
        starting_model(name, paths, flag="--teacher")
    side, channels = networks.input_shape(config)
    with native_messages_hidden():
        dataset = load_dataset(config, paths, side=side, channels=channels, report=report)
    class_weights(config, dataset.train.labels, dataset.labels)
    check_teachers(config, dataset, paths)
    return dataset


def begin_run(config: TrainConfig, dataset: Dataset, paths: Paths, *, recipe: str | None, promote: bool) -> Run:
    """Returns a new run whose settings name data and starting weights so that it can be resumed from anywhere."""
    more = config.more_images
    found_again = {
        "data": dataset.source,
        "more_images": str(Path(more).expanduser().resolve()) if more else None,
    }
    settings = with_fixed_models(networks.with_all_options(config), paths).model_copy(update=found_again)
    return create_run(paths, settings, recipe=recipe, promote=promote, history_header=HISTORY_HEADER)


def train(
    run: Run,
    dataset: Dataset | None = None,
    *,
    paths: Paths,
    audited: Audit | None = None,
    epochs: int | None = None,
    begin: Callable[[], None] = lambda: None,
    report: Report = ignore,
    is_stopped: Callable[[list[dict]], bool] = never,
) -> "TrainingResult":
    """Trains, scores and saves the model of `run`; goes on from its checkpoint if there is one.

    Args:
        dataset: the images, where `training_data` has looked at them already. audited: likewise, what `audit` found.
        epochs: more of them than the run was begun with.
        begin: is called when all that can be checked without Keras is, before it is loaded.
        report: gets events, progress and epochs.
        is_stopped: is asked after each epoch, with the rows so far; True ends the training there, as if it were whole.

    Raises:
        RunHeldError: another process trains this run. NonFiniteLossError: the loss is no number.
        FerError: settings, data or a saved file cannot be used. Interrupted: a signal asked for the end.
    """
    if dataset is None:
        dataset = training_data(run.manifest.config, paths, resumes=run.checkpoint.is_dir())
    with run.hold():
        manifest = _recorded(run, dataset, audited, epochs)
        begin()
        choose_backend(manifest.backend)
        from fer_core.training.fit import Work, fit_and_finish

        check_interrupted()
        # Before the run counts as running: what this machine refuses, another one may go on with.
        machine = prepare(manifest.config, recorded=manifest)
        manifest = record_machine(run, machine)
        with reporting(run, report) as run_report:
            return fit_and_finish(Work(run, dataset, machine, paths, run_report, is_stopped), manifest)


def _recorded(run: Run, dataset: Dataset, audited: Audit | None, epochs: int | None) -> Manifest:
    """Returns the manifest, once it says what is trained on, and for how many epochs; writes the audit of the images.

    A trial has none: all trials of a search have the same images.
    """
    check_is_no_ensemble(run.id, run.manifest.members)
    if run.state.status == "SUCCEEDED":
        raise ArtifactError(f"Run {run.id} is finished: another process has trained it to its end.")
    manifest = record_data(run, dataset)
    if epochs is not None and epochs != manifest.config.epochs:
        manifest = run.update_manifest(config=manifest.config.model_copy(update={"epochs": epochs}))
        run.update_state(epochs=epochs)
    if manifest.kind != "trial":
        save_audit(audited or audit(dataset), run.audit_json, run.plots)
    return manifest


def save_audit(found: Audit, json_path: Path, plots_folder: Path) -> None:
    """Writes what the audit of the images found, and draws how many there are of each class."""
    for folder in (json_path.parent, plots_folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(json_path, found.to_json())
    images = {part.name: part.images for part in found.parts}
    save(class_distribution_figure(images, title=found.name), plots_folder / "class_distribution.png")
