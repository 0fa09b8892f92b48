"""Distillation: what finished models, the teachers, predict for the training images becomes part of the labels.

Either the teachers predict once for fixed views of every image, and their predictions are cached, or they predict for
each picture just as it is trained on. What is learnt from is their calibrated prediction, which is the best estimate of
how probable each label is. A teacher that was trained on folds is asked only about images that it has never seen: about
others it knows the label by heart. Source: arXiv 1503.02531. Imports Keras where they predict.
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
    seen: np.ndarray | None
    """Content hashes, uint64 (n,), of the images that it is not asked about; None: it is asked about all."""


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
    """Raises ArtifactError for a teacher that is not there, or has other labels or takes other pictures.

    And ConfigError for one that cannot be asked at each step.
    """
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
        if manifest.config.fold and not config.teacher_views:
            raise ConfigError(
                f"The teacher {path} was trained on folds: it is asked once, about images that it has never seen.",
                hint="Add --teacher-views 10.",
            )


def teachers(config: TrainConfig, dataset: Dataset, paths: Paths) -> list[Teacher]:
    """Returns the teachers, as they were saved. Raises ArtifactError as `check_teachers` does."""
    check_teachers(config, dataset, paths)
    loaded = [_teacher(path) for path in _files(config, paths)]
    for teacher in loaded:
        teacher.model.trainable = False
    return loaded


def _teacher(path: Path) -> Teacher:
    manifest = _manifest(path)
    seen = saved_hashes(path.parent, manifest) if manifest.config.fold else None
    if manifest.config.fold and seen is None:
        raise ArtifactError(
            f"The teacher {path} was trained on folds, and it is not known on which images.",
            hint="Name its run: training_images.bin beside the model says it.",
        )
    return Teacher(load_model(path), manifest.temperature, seen)


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
    """Returns the mean of those who have not seen an image; of all, where everybody has."""
    unseen = np.stack([~np.isin(train.hashes, () if teacher.seen is None else teacher.seen) for teacher in asked])
    unseen |= ~unseen.any(axis=0)
    total = np.zeros((len(train), views, asked[0].model.output_shape[-1]), np.float32)
    for teacher, positions in zip(asked, map(np.flatnonzero, unseen), strict=True):
        total[positions] += _answers(teacher, train.part(positions), views)
    mean = total / unseen.sum(axis=0)[:, None, None]
    return ((mean + mean.mean(axis=1, keepdims=True)) / 2).astype(np.float16)


def _answers(teacher: Teacher, images_of: Split, views: int) -> np.ndarray:
    """Returns a teacher's predictions, float32 (images, views, labels); in batches of one size, compiled once."""
    answers = np.empty((len(images_of), views, teacher.model.output_shape[-1]), np.float32)
    for start in range(0, len(images_of), BATCH):
        images = images_of.images(slice(start, start + BATCH))
        count = len(images)
        images = np.pad(images, [(0, BATCH - count), (0, 0), (0, 0), (0, 0)], mode="edge")
        for number in range(views):
            predicted = teacher.model.predict_on_batch(view(images, number))
            answers[start : start + count, number] = with_temperature(predicted, teacher.temperature)[:count]
    return answers


def _files(config: TrainConfig, paths: Paths) -> list[Path]:
    return [starting_model(name, paths, flag="--teacher") for name in config.teacher]


def _manifest(path: Path) -> Manifest:
    manifest = read_h5_manifest(path) if path.suffix != ".keras" else None
    if manifest is None:
        raise ArtifactError(f"The teacher {path} is not known to this program: it has no manifest.", hint=_OF_OURS)
    return manifest
