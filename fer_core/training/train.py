"""`train`: the one path from a run to a trained, scored and saved model. Script, trial and retraining call it.

What a user can mend is found before Keras is loaded, which takes seconds. A model is never promoted here: that is for
who called. An ensemble averages what was trained before, into one stock Keras model in a run of its own.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.audit import Audit, audit
from fer_core.data.dataset import Dataset, load_as_trained, settled_detector
from fer_core.data.votes import settled_labels
from fer_core.errors import (
    ArtifactError,
    ConfigError,
    DatasetError,
    check_interrupted,
    did_you_mean,
    native_messages_hidden,
)
from fer_core.evaluation.figures import class_distribution_figure, save
from fer_core.evaluation.metrics import Evaluation
from fer_core.faces import framings
from fer_core.paths import Paths, expanded
from fer_core.store.artifacts import load_model
from fer_core.store.files import write_atomically, write_json
from fer_core.store.manifest import ONLY_ASKED, Kind, Manifest, SplitMetadata, TrainingImages
from fer_core.store.run import Run
from fer_core.store.runs import create_run, open_run
from fer_core.training.distillation import check_teachers
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.machine import choose_backend, prepare
from fer_core.training.progress import Progress, Report, ignore, reporting
from fer_core.training.starting import network_of, starting_model, with_fixed_models

if TYPE_CHECKING:
    import keras

    from fer_core.training.fit import TrainingResult

_PATHS = ("more_images", "exclude")
"""Settings that are paths of files or folders."""


def training_data(
    config: TrainConfig,
    paths: Paths,
    *,
    run: Run | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Dataset:
    """Returns the images of a training, once its settings, starting weights and teachers are known to fit them.

    Args:
        run: the one that goes on; with a checkpoint, it needs no starting weights.
        report: gets progress messages.
    """
    networks.options(config)
    if config.init_from and not (run and run.checkpoint.is_dir()):
        network_of(config.init_from, paths)
    for name in config.teacher:
        starting_model(name, paths, flag="--teacher")
    with native_messages_hidden():
        labels = run.manifest.labels if run else None
        dataset = load_as_trained(config, paths, labels=labels, **networks.picture_of(config), report=report)
    class_weights(config, dataset.train.labels, dataset.labels)
    if config.teacher:
        check_teachers(config, dataset, paths)
    return dataset


def class_weights(config: TrainConfig, train_labels: np.ndarray, labels: tuple[str, ...]) -> np.ndarray:
    """Returns a weight for each label, float32 (labels,).

    'balanced' is n / (classes x images of the class), as in scikit-learn.

    Args:
        train_labels: integers (n,), 0..labels-1, every class at least once.

    Raises:
        ConfigError: for a weight of a class that the data does not have.
    """
    if config.class_weights == "balanced":
        counts = np.bincount(train_labels, minlength=len(labels))
        return (len(train_labels) / (len(labels) * counts)).astype(np.float32)
    table = config.class_weight_table()
    unknown = next((name for name in table if name not in labels), None)
    if unknown is not None:
        raise ConfigError(
            f"class_weights names {unknown!r}; the data has no such class.", hint=did_you_mean(unknown, labels)
        )
    return np.array([table.get(label, 1.0) for label in labels], np.float32)


def begin_run(
    config: TrainConfig, dataset: Dataset, paths: Paths, *, recipe: str | None, promote: bool, kind: Kind = "train"
) -> Run:
    """Returns a new run whose settings name data and starting weights so that it can be resumed from anywhere."""
    settings = settings_of_a_run(config, dataset, paths)
    return create_run(paths, settings, recipe=recipe, promote=promote, kind=kind, history_header=HISTORY_HEADER)


def settings_of_a_run(config: TrainConfig, dataset: Dataset, paths: Paths) -> TrainConfig:
    """Returns the settings as a run's manifest has them: whole paths, and models by their ids."""
    files = {name: str(expanded(path).resolve()) for name in _PATHS if (path := getattr(config, name))}
    settings = with_fixed_models(networks.with_all_options(config), paths)
    settled = files | settled_labels(config) | settled_detector(config, dataset)
    return settings.model_copy(update={"data": dataset.source, **settled})


def train(
    run: Run,
    dataset: Dataset | None = None,
    *,
    paths: Paths,
    audited: Audit | None = None,
    epochs: int | None = None,
    begin: Callable[[], None] = lambda: None,
    report: Report = ignore,
    is_stopped: Callable[[list[dict]], bool] = lambda rows: False,
) -> "TrainingResult":
    """Trains, scores and saves the model of `run`; goes on from its checkpoint if there is one.

    Args:
        dataset: the images, where `training_data` has loaded them already. audited: likewise, their audit.
        epochs: more of them than the run was begun with.
        begin: is called when all that can be checked without Keras is, before it is loaded.
        report: gets events, progress and epochs.
        is_stopped: is called after each epoch with the rows so far; True ends the training there, as if it were whole.

    Raises:
        RunHeldError: another process trains this run. NonFiniteLossError: the loss is no number.
        FerError: settings, data or a saved file cannot be used. Interrupted: a signal asked for the end.
    """
    if dataset is None:
        dataset = training_data(run.manifest.config, paths, run=run)
    with run.hold():
        manifest = _recorded(run, dataset, audited, epochs)
        weights = class_weights(manifest.config, dataset.train.labels, dataset.labels)
        begin()
        choose_backend(manifest.backend)
        from fer_core.training.fit import Training

        check_interrupted()
        # Before the run counts as running: what this machine refuses, another one may go on with.
        machine = prepare(manifest.config, recorded=manifest)
        run.update_manifest(
            backend=machine.backend,
            devices=", ".join(machine.devices),
            threads=machine.threads,
            precision=machine.precision,
            precision_reason=machine.precision_reason,
        )
        with reporting(run, report) as run_report:
            return Training(run, dataset, machine, paths, run_report, weights).fit_and_finish(is_stopped)


def _recorded(run: Run, dataset: Dataset, audited: Audit | None, epochs: int | None) -> Manifest:
    """Returns the manifest, once it says what is trained on, and for how many epochs; writes the audit of the images.

    A trial has none: all trials of a search have the same images. A fold has that of the whole.
    """
    check_is_no_ensemble(run.id, run.manifest.members)
    if run.state.status == "SUCCEEDED":
        raise ArtifactError(f"Run {run.id} is finished: another process has trained it to its end.")
    manifest = record_data(run, dataset)
    if epochs is not None and epochs != manifest.config.epochs:
        manifest = run.update_manifest(config=manifest.config.model_copy(update={"epochs": epochs}))
        run.update_state(epochs=epochs)
    if manifest.kind not in ONLY_ASKED:
        save_audit(audited or audit(dataset), run.audit_json, run.plots)
    return manifest


def save_audit(found: Audit, json_path: Path, plots_folder: Path) -> None:
    """Writes what the audit of the images found, and draws how many there are of each class."""
    for folder in (json_path.parent, plots_folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_json(json_path, found.to_json())
    images = {part.name: part.images for part in found.parts}
    save(class_distribution_figure(images, title=found.name), plots_folder / "class_distribution.png")


def record_data(run: Run, dataset: Dataset) -> Manifest:
    """Returns the manifest, completed with what the data decides; for a resumed run, checks that it is the same data.

    Raises:
        DatasetError: if the data is not what the run was begun with.
    """
    manifest = run.manifest
    if manifest.split_fingerprint is not None:
        check_same_data(manifest, dataset)
        return manifest
    hashes = dataset.hashes_seen_before_test()
    write_atomically(run.training_images, hashes.tobytes())
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return run.update_manifest(
        labels=dataset.labels,
        side=dataset.side,
        channels=dataset.channels,
        colours=networks.picture_of(manifest.config)["colours"],
        framing=framings(),
        aligned=dataset.contents.report.is_aligned,
        data_name=dataset.name,
        data_source=dataset.source,
        data_fingerprint=dataset.fingerprint,
        split_fingerprint=dataset.split_fingerprint,
        splits={part: SplitMetadata(name=s.name, images=len(s)) for part, s in parts.items() if s is not None},
        training_images=TrainingImages(count=len(hashes), sha256=hashlib.sha256(hashes.tobytes()).hexdigest()),
    )


def check_same_data(
    manifest: Manifest, dataset: Dataset, *, hint: str = "Put the old images back, or start a new run without --resume."
) -> None:
    """Raises DatasetError, with the hint, unless the images and the split are those that a run was begun with."""
    if manifest.split_fingerprint == dataset.split_fingerprint:
        return
    splits = ", ".join(f"{s.images:,} {part}" for part, s in (manifest.splits or {}).items())
    raise DatasetError(
        f"The images in {dataset.source} are not those that run {manifest.run_id} was begun with ({splits}).", hint=hint
    )


def check_same_config(own: TrainConfig, given: TrainConfig) -> None:
    """Raises ConfigError for settings given beside --resume that are not the run's own; only epochs may be more."""
    changed = [name for name in TrainConfig.model_fields if getattr(own, name) != getattr(given, name)]
    other = next((name for name in changed if name != "epochs"), None)
    if other is not None:
        raise ConfigError(
            f"The run was begun with {other} = {getattr(own, other)!r}, not {getattr(given, other)!r}.",
            hint="Leave that setting out beside --resume, or start a new run. Only --epochs may grow.",
        )
    if given.epochs < own.epochs:
        raise ConfigError(
            f"The run has {own.epochs} epochs; --epochs {given.epochs} is less.", hint="It may only grow."
        )


def check_is_no_ensemble(run_id: str, members: Sequence[str]) -> None:
    """Raises ArtifactError for an ensemble: it has nothing to train, and is made anew where it was cut off."""
    if members:
        raise ArtifactError(
            f"Run {run_id} is an ensemble that was not finished: it is not trained.",
            hint=f"Make it again: --ensemble {' '.join(members)}",
        )


def finished_members(names: Sequence[str], paths: Paths) -> list[Run]:
    """Returns the runs of an ensemble.

    Raises:
        ArtifactError: there are fewer than two, one is not finished, or they differ in labels, input or split.
    """
    members = [open_run(paths, name) for name in names]
    if len({run.id for run in members}) < max(2, len(members)):
        raise ArtifactError("An ensemble needs at least two different runs.", hint="Give --ensemble RUN RUN ….")
    for run in members:
        if run.state.status != "SUCCEEDED":
            raise ArtifactError(f"Run {run.id} is not finished.", hint=f"Finish it: --resume {run.id}.")
        for name in ("labels", "side", "channels", "split_fingerprint"):
            if getattr(run.manifest, name) != getattr(members[0].manifest, name):
                raise ArtifactError(
                    f"Runs {members[0].id} and {run.id} differ in {name.replace('_', ' ')}.",
                    hint="They need the same classes, input and data; train several seeds with --validation none.",
                )
    return members


def begin_ensemble(members: Sequence[Run], dataset: Dataset, paths: Paths, *, promote: bool) -> Run:
    """Returns a new run for the ensemble, with the settings of its first member. Raises DatasetError for other data."""
    hint = "Put the old images back: a member may have been trained on what is a test image now."
    check_same_data(members[0].manifest, dataset, hint=hint)
    config, ids = members[0].manifest.config, tuple(run.id for run in members)
    made = {"recipe": "ensemble", "kind": "ensemble", "members": ids, "history_header": HISTORY_HEADER}
    run = create_run(paths, config, promote=promote, **made)
    record_data(run, dataset)
    return run


def finish_ensemble(run: Run, members: Sequence[Run], dataset: Dataset, *, report: Report = ignore) -> Evaluation:
    """Averages the members into one model, scores it on test and saves it; nothing is trained."""
    from fer_core.training.finish import finish

    part = dataset.validation
    own = f"{part.name} ({len(part):,} images)" if part is not None else "no images: it stays 1"
    each = [f"{member.id}: {(member.manifest.scores or {}).get('chosen_on', 'not known.')}" for member in members]
    chosen = f"The ensemble's temperature was chosen on {own}. Of its members, {' '.join(each)}"
    with run.hold(), reporting(run, report) as run_report:
        model = averaged([load_model(member.model_h5) for member in members])
        return finish(run, model, dataset, progress=Progress(), chosen=chosen, report=run_report)


def averaged(models: Sequence["keras.Model"]) -> "keras.Model":
    """Returns one model that gives the mean of the models' probabilities, in stock layers."""
    import keras

    pixels = keras.Input(models[0].input_shape[1:], name="pixels")
    for number, model in enumerate(models):
        model.name = f"member_{number + 1}"
    return keras.Model(pixels, keras.layers.Average(name="probabilities")([model(pixels) for model in models]))
