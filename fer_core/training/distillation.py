"""Distillation: what finished models, the teachers, predict for the training images becomes part of the labels.

Either the teachers predict once for fixed views of every image, and their predictions are cached, or they predict for
each picture just as it is trained on. What is learnt from is their calibrated prediction, which is the best estimate of
how probable each label is. Source: arXiv 1503.02531. Imports Keras where they predict.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset, Split
from fer_core.errors import ArtifactError, ConfigError
from fer_core.evaluation.analysis_data import saved_hashes
from fer_core.evaluation.calibration import with_temperature
from fer_core.evaluation.predict import BATCH, VIEWS_FORMAT, view
from fer_core.paths import Paths
from fer_core.store.artifacts import load_model, read_h5_manifest
from fer_core.store.files import file_sha256, replacing
from fer_core.store.manifest import Manifest
from fer_core.store.run import Run
from fer_core.training.starting import starting_model

if TYPE_CHECKING:
    import keras

_KIND = "calibrated, half of it the mean"
"""Named anew whenever something else is made of the predictions."""
_OF_OURS = "Take a model that this program has trained on the same classes."


class Teacher(NamedTuple):
    """A finished model, and the temperature that calibrates it."""

    model: "keras.Model"
    temperature: float


def record_teachers(run: Run, paths: Paths) -> dict[str, str]:
    """Notes in the run's manifest who its teachers are, and returns them: the SHA-256 of each by its run.

    Raises ArtifactError if they were others when the run was begun.
    """
    manifest = run.manifest
    found = {_manifest(path).run_id: file_sha256(path) for path in _files(manifest.config, paths)}
    noted = manifest.teachers
    if noted is None and found:
        run.update_manifest(teachers=found)
    elif found != (noted or {}):
        changed = next(name for name in found | noted if found.get(name) != noted.get(name))
        raise ArtifactError(
            f"The teacher {changed} of run {run.id} is not the one that it was begun with.",
            hint="Put the model back where it was, or start a new run.",
        )
    return found


def check_teachers(config: TrainConfig, dataset: Dataset, paths: Paths) -> None:
    """Raises ArtifactError for a teacher that is not there, or has other labels or takes other pictures."""
    for path in _files(config, paths):
        manifest, labels = _manifest(path), dataset.labels
        if manifest.labels != labels:
            names = ", ".join(labels)
            raise ArtifactError(f"The teacher {path} does not have the labels {names}, in this order.", hint=_OF_OURS)
        if (manifest.side, manifest.channels) != (dataset.side, dataset.channels):
            raise ArtifactError(
                f"The teacher {path} takes pictures of {manifest.side} pixels and {manifest.channels} channels; the "
                f"network that it is to teach takes {dataset.side} and {dataset.channels}.",
                hint="Take another --teacher, or train a network with the teacher's --image-size.",
            )


def teachers(config: TrainConfig, dataset: Dataset, paths: Paths) -> list[Teacher]:
    """Returns the teachers, as they were saved. Raises ArtifactError as `check_teachers` does."""
    check_teachers(config, dataset, paths)
    loaded = [Teacher(load_model(path), _manifest(path).temperature) for path in _files(config, paths)]
    for teacher in loaded:
        teacher.model.trainable = False
    return loaded


def chosen_by_teachers(config: TrainConfig, dataset: Dataset, paths: Paths) -> str:
    """Returns which images chose what in each teacher, and whether it knows test images, in sentences."""
    said = dict.fromkeys(_of_teacher(path, dataset) for path in _files(config, paths))
    # A teacher of a teacher is spoken of there.
    return " ".join(text for text in said if not any(text in other for other in said if other != text))


def _of_teacher(path: Path, dataset: Dataset) -> str:
    manifest = _manifest(path)
    said = f"Its teacher {manifest.run_id}: {(manifest.scores or {}).get('chosen_on', 'not known.')}"
    seen = saved_hashes(path.parent, manifest)
    if seen is None:
        return f"{said} Whether it was trained on test images is not known."
    # What the student is trained on too is counted elsewhere.
    known = np.setdiff1d(seen, dataset.hashes_seen_before_test())
    images = int(np.isin(dataset.test.hashes, known).sum())
    return f"{said} It was trained on {images:,} of the test images: the score is optimistic." if images else said


def softened_labels(train: Split) -> np.ndarray:
    """Returns the labels, each softened by the votes on its image: float32 (images, labels), rows sum to 1.

    Half of it is the label, half how probable each label is by the votes alone, as a logistic regression over all
    training images finds it: what most people call neutral has often been labelled sad. Raises ConfigError.
    """
    from sklearn.linear_model import LogisticRegression

    if train.shares is None:
        raise ConfigError("Labels are softened by votes, and there are none.", hint="--votes FILE or --votes ferplus")
    votes = np.hstack([train.shares, np.sqrt(train.shares)])
    fitted = LogisticRegression(max_iter=2000).fit(votes, train.labels)
    softened = np.eye(train.shares.shape[1], dtype=np.float32)[train.labels] / 2
    softened[:, fitted.classes_] += fitted.predict_proba(votes).astype(np.float32) / 2
    return softened


def cached_soft_labels(config: TrainConfig, dataset: Dataset, paths: Paths) -> np.ndarray:
    """Returns the teachers' predictions for the fixed views, float16 (images, views, labels).

    Half of it is their mean prediction for the view itself, half that for all views of the image, which is right more
    often. They are cached under a name that says whose they are, for what; what is not whole there is made again.
    Raises ArtifactError as `teachers` does.
    """
    import keras

    train, views = dataset.train, config.teacher_views
    hashes = [file_sha256(path) for path in _files(config, paths)]
    parts = [VIEWS_FORMAT, _KIND, views, train.images(slice(0, 1)).shape[1:], keras.backend.backend(), hashes]
    digest = hashlib.sha256(repr(parts).encode())
    digest.update(np.ascontiguousarray(train.hashes).tobytes())
    path = paths.cache / "lessons" / f"{digest.hexdigest()[:24]}.npy"
    try:
        soft_labels = np.load(path, allow_pickle=False)
        if soft_labels.shape == (len(train), views, len(dataset.labels)):
            return soft_labels
    except (OSError, ValueError, EOFError):
        pass
    soft_labels = _predicted(teachers(config, dataset, paths), train, views)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, soft_labels)
    return soft_labels


def _predicted(asked: Sequence[Teacher], train: Split, views: int) -> np.ndarray:
    """In batches of one size, so that a step is compiled once."""

    def mean_prediction(images: np.ndarray) -> np.ndarray:
        each = [with_temperature(model.predict_on_batch(images), temperature) for model, temperature in asked]
        return np.mean(each, axis=0)

    soft_labels = []
    for start in range(0, len(train), BATCH):
        images = train.images(slice(start, start + BATCH))
        missing = BATCH - len(images)
        images = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)], mode="edge")
        each = np.stack([mean_prediction(view(images, number)) for number in range(views)], axis=1)
        each = (each + each.mean(axis=1, keepdims=True)) / 2
        soft_labels.append(each[: BATCH - missing].astype(np.float16))
    return np.concatenate(soft_labels)


def _files(config: TrainConfig, paths: Paths) -> list[Path]:
    return [starting_model(name, paths, flag="--teacher") for name in config.teacher]


def _manifest(path: Path) -> Manifest:
    manifest = read_h5_manifest(path) if path.suffix != ".keras" else None
    if manifest is None:
        raise ArtifactError(f"The teacher {path} is not known to this program: it has no manifest.", hint=_OF_OURS)
    return manifest
