"""Whether the model that a training puts into use is measurably worse than the one that was in use before it.

Only a sentence comes of it: what is trained is used, unless somebody goes back. A retraining has a gate instead.
"""

import shlex

import numpy as np

from fer_core import networks
from fer_core.data.dataset import Dataset, load_dataset
from fer_core.errors import DatasetError, FerError
from fer_core.evaluation.analysis_data import class_numbers, training_hashes
from fer_core.evaluation.gate import compare
from fer_core.paths import Paths
from fer_core.store.model_files import ModelFiles
from fer_core.store.run import Run
from fer_core.training.comparing import Ask, files_of, in_its_size

CONFIDENCE = 0.95


def setback(run: Run, before: ModelFiles, paths: Paths, *, ask: Ask) -> str:
    """Returns a sentence if a finished run is measurably worse than the model before it, or cannot be compared.

    Otherwise ''. Both answer on the run's test images, but for those that either has seen in its training.

    Args:
        ask: how a saved model is asked.
    """
    try:
        columns = _columns(run, before)
        dataset = _data_of(run, paths)
        unseen = _unseen(before, dataset)
        old = ask(before, in_its_size(run, dataset, before, paths))[:, columns].argmax(axis=1)
        new = ask(files_of(run), dataset).argmax(axis=1)
    except FerError as error:
        reason = str(error).rstrip(".")
        return f"It cannot be compared with {before.name}, which was in use before: {reason}."
    answers = (part[unseen] for part in (dataset.test.labels, old, new))
    difference = compare(*answers, classes=len(columns), confidence=CONFIDENCE, seed=0).macro_f1
    if difference.interval[1] >= 0:
        return ""
    return (
        f"It is measurably worse than {before.name}, which was in use before: macro F1 goes from "
        f"{difference.sentence()} on {unseen.sum():,} images of {dataset.test.name} that neither has seen. "
        f"`{_way_back(paths)}` goes back."
    )


def _way_back(paths: Paths) -> str:
    is_usual = paths.models == Paths.from_environment().models
    return f"{'' if is_usual else f'FER_MODELS_DIR={shlex.quote(str(paths.models))} '}python -m jobs rollback"


def _columns(run: Run, before: ModelFiles) -> np.ndarray:
    """Returns which output of the model before is which label of the run."""
    try:
        return class_numbers(before.labels, run.manifest.labels)
    except DatasetError:
        raise DatasetError("their labels differ") from None


def _data_of(run: Run, paths: Paths) -> Dataset:
    side, channels = networks.input_shape(run.manifest.config)
    return load_dataset(run.manifest.config, paths, side=side, channels=channels)


def _unseen(before: ModelFiles, dataset: Dataset) -> np.ndarray:
    """Returns which test images neither model has seen, bool (n,). Raises DatasetError if none, or it is not known."""
    seen = training_hashes(before, dataset)
    if seen is None:
        raise DatasetError("which of the test images that one has seen is not known")
    unseen = ~np.isin(dataset.test.hashes, np.union1d(seen, dataset.hashes_seen_before_test()))
    if not unseen.any():
        raise DatasetError("one of them has seen all of the test images")
    return unseen
