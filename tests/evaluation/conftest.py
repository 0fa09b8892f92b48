import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset, Split, load_dataset
from fer_core.evaluation.metrics import evaluate_probabilities
from fer_core.paths import Paths
from fer_core.store.manifest import Manifest, TrainingImages
from fer_core.store.model_files import ModelFiles
from tests.conftest import paths_in

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
DRAWN = {"data": "sample", "sample_per_class": 20, "validation_fraction": 0.2}
IMAGES = (467, 56, 496, 895, 607, 653, 415)


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    """The labels of as many images as PublicTest has."""
    return np.repeat(np.arange(7), IMAGES)


@pytest.fixture(scope="session")
def probabilities(truth) -> np.ndarray:
    """Outputs of a model that is right in more than half of them."""
    random = np.random.default_rng(3)
    outputs = random.random((len(truth), 7))
    outputs[np.arange(len(truth)), truth] += 0.4
    return (outputs / outputs.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="session")
def evaluation(truth, probabilities):
    return evaluate_probabilities(
        probabilities,
        truth,
        label_names=LABELS,
        split="PublicTest",
        is_training_copy=np.arange(len(truth)) % 10 == 0,
        chosen_on="2,871 validation images chose the epoch.",
    )


@pytest.fixture(scope="session")
def drawn_places(tmp_path_factory) -> Paths:
    return paths_in(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def load_drawn(drawn_places) -> Callable[..., Dataset]:
    """A function that loads drawn faces, 140 unless told otherwise."""

    def load(**settings) -> Dataset:
        return load_dataset(TrainConfig(**DRAWN | settings), drawn_places, side=48)

    return load


@pytest.fixture(scope="session")
def drawn(load_drawn) -> Dataset:
    return load_drawn()


def scores_by_hand(truth: np.ndarray, predictions: np.ndarray, classes: int) -> np.ndarray:
    """Returns macro F1 and the recall of each class, all of which there are images of."""
    table = np.bincount(classes * truth + predictions, minlength=classes**2).reshape(classes, classes)
    right, of_truth, predicted = table.diagonal(), table.sum(axis=1), table.sum(axis=0)
    return np.array([np.mean(2 * right / (of_truth + predicted)), *right / of_truth])


def all_texts(figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]


def nothing_is_cut_off(figure) -> bool:
    figure.draw_without_rendering()
    box, page = figure.get_tightbbox(), figure.bbox_inches
    return box.x0 >= -0.01 and box.y0 >= -0.01 and box.x1 <= page.width + 0.01 and box.y1 <= page.height + 0.01


@pytest.fixture
def make_model(tmp_path) -> Callable[..., ModelFiles]:
    """`model_files` in the test's own folder."""
    return partial(model_files, tmp_path)


def model_files(folder: Path, trained_on: Dataset | None = None, *, labels=LABELS, **fields) -> ModelFiles:
    """Returns the files of a model: ours, trained on `trained_on`, or without that one from elsewhere."""
    run = folder / "models" / "runs" / "20260131-140212-smoke-3f9a"
    run.mkdir(parents=True, exist_ok=True)
    path = run / "model.h5" if trained_on else folder / "other.h5"
    path.write_bytes(b"a model")
    own = {"run_folder": run, "manifest": manifest_of(trained_on, run)} if trained_on else {"run_folder": None}
    metadata = {"name": path.stem, "model": path, "labels": labels, "side": 48, "channels": 1}
    return ModelFiles(**metadata | own | fields)


def manifest_of(dataset: Dataset, folder: Path) -> Manifest:
    """Returns what a training on the data set writes, and writes the hashes of its images."""
    seen = np.unique(np.concatenate([dataset.train.hashes, dataset.validation.hashes])).tobytes()
    (folder / "training_images.bin").write_bytes(seen)
    return Manifest(
        run_id=folder.name,
        created_utc="2026-01-31T14:02:12.000Z",
        kind="train",
        config=TrainConfig(**DRAWN),
        history_csv="history.csv",
        seed=0,
        labels=dataset.labels,
        side=48,
        channels=1,
        data_name=dataset.name,
        data_source=dataset.source,
        data_fingerprint=dataset.fingerprint,
        split_fingerprint=dataset.split_fingerprint,
        training_images=TrainingImages(count=len(seen) // 8, sha256=hashlib.sha256(seen).hexdigest()),
        scores={"chosen_on": "Chosen on validation: the epoch."},
    )


def drawn_answers(part: Split, sharpness: float = 1.0) -> np.ndarray:
    """Returns the outputs of a model that is often right; with more sharpness it is surer than it should be."""
    random = np.random.default_rng(len(part))
    logits = random.normal(size=(len(part), 7))
    logits[np.arange(len(part)), part.labels] += 1.5
    powers = np.exp(sharpness * logits)
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
