"""Distillation: what finished models, the teachers, say of the training images becomes part of the labels.

Either the teachers are asked once about fixed views of every image, and what they say is kept, or they are asked about
each picture just as it is trained on. Source: arXiv 1503.02531, at temperature 1. Imports Keras where it asks.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Split
from fer_core.data.views import view
from fer_core.errors import ArtifactError
from fer_core.evaluation.predict import BATCH
from fer_core.places import Places
from fer_core.store.artifacts import load_model, read_h5_manifest
from fer_core.store.files import file_sha256, replacing
from fer_core.training.starting import starting_model

if TYPE_CHECKING:
    import keras


def teachers(config: TrainConfig, labels: tuple[str, ...], places: Places) -> "list[keras.Model]":
    """Returns the teachers, as they were saved. Raises ArtifactError for one that is not there or has other labels."""
    return [_loaded(starting_model(name, places), labels) for name in config.teacher]


def kept_lessons(config: TrainConfig, train: Split, labels: tuple[str, ...], places: Places) -> np.ndarray:
    """Returns the teachers' mean probabilities for the fixed views, float16 (images, views, labels).

    They are asked once; what they said is kept in the cache, under a name that says who was asked about what.
    """
    files = [starting_model(name, places) for name in config.teacher]
    path = places.cache / f"lessons-{_name(files, train, config.teacher_views)}.npy"
    if path.is_file():
        return np.load(path, allow_pickle=False)
    lessons = _asked(teachers(config, labels, places), train, config.teacher_views)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, lessons)
    return lessons


def _name(files: Sequence[Path], train: Split, views: int) -> str:
    digest = hashlib.sha256(repr([views, [file_sha256(path) for path in files]]).encode())
    digest.update(np.ascontiguousarray(train.hashes).tobytes())
    return digest.hexdigest()[:24]


def _loaded(path: Path, labels: tuple[str, ...]) -> "keras.Model":
    manifest = read_h5_manifest(path) if path.suffix != ".keras" else None
    if manifest is None or manifest.labels != labels:
        raise ArtifactError(
            f"The teacher {path} is not known to have the labels {', '.join(labels)}, in this order.",
            hint="Take a model that this program has trained on the same classes.",
        )
    model = load_model(path)
    model.trainable = False
    return model


def _asked(models: "list[keras.Model]", train: Split, views: int) -> np.ndarray:
    """Asks in batches of one size, so that a step is compiled once."""
    lessons = []
    for start in range(0, len(train), BATCH):
        images = train.images(slice(start, start + BATCH))
        missing = BATCH - len(images)
        images = np.pad(images, [(0, missing), (0, 0), (0, 0), (0, 0)], mode="edge")
        said = [np.mean([model.predict_on_batch(view(images, n)) for model in models], axis=0) for n in range(views)]
        lessons.append(np.stack(said, axis=1)[: BATCH - missing].astype(np.float16))
    return np.concatenate(lessons)
