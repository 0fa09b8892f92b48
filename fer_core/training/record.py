"""What a run's manifest learns before the first epoch, and whether a resumed run still has the same data and machine.

Without Keras, so that a command line can refuse before it is imported.
"""

import hashlib
from collections.abc import Sequence

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError, ConfigError, DatasetError
from fer_core.faces import framings
from fer_core.store.files import write_atomically
from fer_core.store.manifest import Manifest, SplitMetadata, TrainingImages
from fer_core.store.run import Run
from fer_core.training.machine import Machine


def record_data(run: Run, dataset: Dataset) -> Manifest:
    """Returns the manifest, completed with what the data decides; for a resumed run, checks that it is the same data.

    Raises:
        DatasetError: if the data is not what the run was begun with.
    """
    manifest = run.manifest
    if manifest.split_fingerprint is not None:
        check_same_data(manifest, dataset)
        return manifest
    parts = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return run.update_manifest(
        labels=dataset.labels,
        side=dataset.side,
        channels=dataset.channels,
        framing=framings(),
        data_name=dataset.name,
        data_source=dataset.source,
        data_fingerprint=dataset.fingerprint,
        split_fingerprint=dataset.split_fingerprint,
        splits={part: SplitMetadata(name=s.name, images=len(s)) for part, s in parts.items() if s is not None},
        training_images=_save_training_images(run, dataset),
    )


def record_machine(run: Run, machine: Machine) -> Manifest:
    """Returns the manifest, completed with how this machine trains."""
    return run.update_manifest(
        backend=machine.backend,
        devices=", ".join(machine.devices),
        threads=machine.threads,
        precision=machine.precision,
        precision_reason=machine.precision_reason,
    )


def check_same_config(own: TrainConfig, asked: TrainConfig) -> TrainConfig:
    """Returns the config to resume with: the run's own, with more epochs if they were asked for.

    Raises:
        ConfigError: if a setting is asked for that the run does not have.
    """
    changed = [name for name in TrainConfig.model_fields if getattr(own, name) != getattr(asked, name)]
    others = [name for name in changed if name != "epochs"]
    if others:
        name = others[0]
        raise ConfigError(
            f"The run was begun with {name} = {getattr(own, name)!r}, not {getattr(asked, name)!r}.",
            hint="Leave that setting out beside --resume, or start a new run. Only --epochs may grow.",
        )
    if asked.epochs < own.epochs:
        raise ConfigError(
            f"The run has {own.epochs} epochs; --epochs {asked.epochs} is less.", hint="It may only grow."
        )
    return asked


def _save_training_images(run: Run, dataset: Dataset) -> TrainingImages:
    content = dataset.hashes_seen_before_test().tobytes()
    write_atomically(run.training_images, content)
    return TrainingImages(count=len(content) // 8, sha256=hashlib.sha256(content).hexdigest())


def check_same_data(
    manifest: Manifest,
    dataset: Dataset,
    *,
    hint: str = "Put the old images back, or start a new run without --resume.",
) -> None:
    """Raises DatasetError, with the hint, unless the images and the split are those that a run was begun with."""
    if manifest.split_fingerprint == dataset.split_fingerprint:
        return
    splits = ", ".join(f"{s.images:,} {part}" for part, s in (manifest.splits or {}).items())
    raise DatasetError(
        f"The images in {dataset.source} are not those that run {manifest.run_id} was begun with ({splits}).",
        hint=hint,
    )


def check_is_no_ensemble(run_id: str, members: Sequence[str]) -> None:
    """Raises ArtifactError for an ensemble: it has nothing to train, and is made anew where it was cut off."""
    if members:
        raise ArtifactError(
            f"Run {run_id} is an ensemble that was not finished: it is not trained.",
            hint=f"Make it again: --ensemble {' '.join(members)}",
        )
