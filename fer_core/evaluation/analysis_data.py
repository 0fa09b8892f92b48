"""Which images a model is analysed with, and how they relate to those that it was trained on.

Without --data these are the images that the model's manifest names, if they are still there and still the same.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.dataset import Dataset, ignore, load_dataset
from fer_core.errors import DatasetError
from fer_core.paths import Paths
from fer_core.store.manifest import Manifest
from fer_core.store.model_files import ModelFiles

_NEEDED = "The analysis needs the test images: give them with --data PATH."
_COMPARED = "Compared with the {:,} different images that training and its choices saw."
_ALL_SEEN = "Each of these images is among the {:,} that training and its choices saw."
_NO_PATHS = ("kaggle",)
"""What may have to be downloaded first is only used where it is asked for."""


class FoundData(NamedTuple):
    """The images to analyse with; None where there are none, and then a sentence says what it would need."""

    dataset: Dataset | None
    reason: str = ""


class Copies(NamedTuple):
    """Which test images also occur in training: bool (n,), or None if that is not known; and with what was compared."""

    is_copy: np.ndarray | None
    message: str


def data_for(
    model: ModelFiles, given: str | None, paths: Paths, *, report: Callable[[str], None] = ignore
) -> FoundData:
    """Returns the images to analyse the model with, split as it was trained, in the size that it takes.

    Args:
        given: what --data says; None: what the model's manifest names, if it is there and its fingerprint is equal.
        report: gets progress sentences, e.g. of decoding.

    Raises:
        DatasetError: the given data is not usable, or its classes are not those of the model.
    """
    if given is not None:
        dataset = _loaded(model, given, paths, report)
        class_numbers(model.labels, dataset.labels)
        return FoundData(dataset)
    manifest = model.manifest
    if manifest is None or manifest.data_fingerprint is None:
        return FoundData(None, f"It is not known what {model.name} was trained on. {_NEEDED}")
    source = _still_there(manifest)
    if source is None:
        return FoundData(None, f"{_named_data(manifest)} is not here. {_NEEDED}")
    try:
        dataset = _loaded(model, source, paths, report)
        class_numbers(model.labels, dataset.labels)
    except DatasetError as error:
        return FoundData(None, f"{error} {_NEEDED}")
    if dataset.fingerprint != manifest.data_fingerprint:
        return FoundData(
            None, f"{source} does not hold the images any more that {model.name} was trained on. {_NEEDED}"
        )
    return FoundData(dataset)


def class_numbers(model_labels: tuple[str, ...], data_labels: tuple[str, ...]) -> np.ndarray:
    """Returns, for each class of the data, which output of the model it is: int64 (classes,).

    By name, never by position: a model from elsewhere may have the order of FER-2013's csv, data here is alphabetical.
    Raises DatasetError where they are not the same classes.
    """
    outputs = {label.strip().lower(): number for number, label in enumerate(model_labels)}
    if len(outputs) < len(model_labels):
        raise DatasetError(
            f"The model has a label twice: {', '.join(model_labels)}.", hint="Give its own --labels FILE."
        )
    unknown = [label for label in data_labels if label not in outputs]
    unused = [label for label in outputs if label not in data_labels]
    if unknown or unused:
        sides = (("the model does not know", unknown), ("the data does not have", unused))
        found = " and ".join(f"{words} {', '.join(labels)}" for words, labels in sides if labels)
        raise DatasetError(
            f"Data and model do not have the same classes: {found}.",
            hint="Give --data with the classes that the model was trained on, or its own --labels FILE.",
        )
    return np.array([outputs[label] for label in data_labels], np.int64)


def remark_on(manifest: Manifest | None, dataset: Dataset) -> str:
    """Returns a sentence if these are not images and split of the training; '' if they are, or nothing is known."""
    if manifest is None or manifest.split_fingerprint in (None, dataset.split_fingerprint):
        return ""
    if manifest.data_fingerprint == dataset.fingerprint:
        return "These images are split in another way than when the model was trained: it may know some of them."
    return "These are other images than the model was trained and scored with."


def copies_in_test(model: ModelFiles, dataset: Dataset) -> Copies:
    """Returns which test images also occur in training, and a sentence that says with what they were compared."""
    seen = training_hashes(model, dataset)
    if seen is not None:
        is_copy = np.isin(dataset.test.hashes, seen)
        return Copies(is_copy, (_ALL_SEEN if is_copy.all() else _COMPARED).format(len(seen)))
    if model.manifest is not None:
        return Copies(None, "Which of them also occur in training is not known: training_images.bin is missing.")
    sentence = f"What this model was trained on is not known; compared with the training images of {dataset.name}."
    return Copies(np.isin(dataset.test.hashes, dataset.hashes_seen_before_test()), sentence)


def training_hashes(model: ModelFiles, dataset: Dataset) -> np.ndarray | None:
    """Returns the content hashes, uint64 (n,), of what the model's training and its choices saw; None if not known."""
    manifest = model.manifest
    if manifest is None:
        return None
    saved = saved_hashes(model.run_folder, manifest)
    if saved is None and manifest.split_fingerprint == dataset.split_fingerprint:
        return dataset.hashes_seen_before_test()
    return saved


def _loaded(model: ModelFiles, data: str, paths: Paths, report: Callable[[str], None]) -> Dataset:
    config = model.manifest.config if model.manifest else TrainConfig()
    more = config.more_images if config.more_images and Path(config.more_images).is_dir() else None
    # Whoever analyses a model cannot mend the data: what cannot be read is left out, and the data set counts it.
    config = config.model_copy(update={"data": data, "more_images": more, "skip_bad_images": True})
    return load_dataset(config, paths, side=model.side, channels=model.channels, report=report)


def _still_there(manifest: Manifest) -> str | None:
    names = dict.fromkeys(filter(None, (manifest.data_source, manifest.config.data)))
    return next((name for name in names if name == "sample" or _is_path(name)), None)


def _is_path(name: str) -> bool:
    return name not in _NO_PATHS and Path(name).expanduser().exists()


def _named_data(manifest: Manifest) -> str:
    source = manifest.data_source or manifest.config.data
    return " ".join(filter(None, (manifest.data_name, f"({source})" if source else "")))


def saved_hashes(run_folder: Path | None, manifest: Manifest) -> np.ndarray | None:
    """Returns the content hashes, uint64 (n,), saved in a run's folder; None if they are not there or not its own."""
    metadata = manifest.training_images
    path = None if run_folder is None else run_folder / "training_images.bin"
    if metadata is None or path is None or not path.is_file():
        return None
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != metadata.sha256:
        return None
    return np.frombuffer(content, np.uint64)
