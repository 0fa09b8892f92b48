"""Two models on the same test images, image by image: chance in the choice of images cancels out."""

import contextlib
import shlex
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fer_core import networks
from fer_core.data.dataset import Dataset, load_dataset
from fer_core.errors import ArtifactError, DatasetError, FerError
from fer_core.evaluation.analysis_data import data_for, training_hashes
from fer_core.evaluation.gate import Comparison, Difference, compare
from fer_core.evaluation.predict import Answers, class_numbers, load_answers, predict_side_by_side, save_answers
from fer_core.paths import Paths
from fer_core.resources import available_cores
from fer_core.store.model_files import ModelFiles, find_model
from fer_core.store.run import Run
from fer_core.training.deciding import in_its_size
from fer_core.training.starting import starting_model

CONFIDENCE = 0.95


class Paired(NamedTuple):
    """How two models differ on the same images."""

    images: int
    labels: tuple[str, ...]
    comparison: Comparison
    only_first: int
    """Images that only the first one gets right."""
    only_second: int

    def sentence(self) -> str:
        """Returns the difference for people."""
        low, high = self.comparison.macro_f1.interval
        judged = "more than chance" if low > 0 or high < 0 else "no more than chance"
        return (
            f"On the same {self.images:,} images: macro F1 {self.comparison.macro_f1.sentence()}, {judged}. "
            f"Only the first is right on {self.only_first:,}, only the second on {self.only_second:,}."
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain values; the interval is that of second minus first, of 95 %."""
        named = {label: _plain(recall) for label, recall in zip(self.labels, self.comparison.recall, strict=True)}
        counts = {"images": self.images, "only_first": self.only_first, "only_second": self.only_second}
        return counts | {"macro_f1": _plain(self.comparison.macro_f1), "recall": named}


def saved_difference(first: Run, second: Run) -> Paired | None:
    """Returns how two runs differ on the same test images by the answers that they keep; None where these do not do.

    Takes some ten milliseconds, and needs neither images nor models. Raises ArtifactError for answers that are damaged.
    """
    return _paired(*(load_answers(run.answers_npz) for run in (first, second)))


def paired_difference(paths: Paths, first: Run, second: Run) -> Paired:
    """Returns how two runs of the same split differ on its test images.

    Raises:
        ArtifactError: a model is missing or cannot be loaded. DatasetError: the images are not there any more.
    """
    found = saved_difference(first, second) or _paired(*(_asked(run, paths) for run in (first, second)))
    if found is None:
        raise DatasetError("Their test images, or their labels, are not the same.")
    return found


def _paired(ours: Answers | None, theirs: Answers | None) -> Paired | None:
    """Returns how answers differ; None where they are missing, or to other images."""
    if ours is None or theirs is None or set(ours.labels) != set(theirs.labels) or not len(ours.hashes):
        return None
    columns = np.array([ours.labels.index(label) for label in theirs.labels])
    truths = ours.truth.astype(np.int64), columns[theirs.truth]
    orders = [np.lexsort(keys) for keys in zip(truths, (ours.hashes, theirs.hashes), strict=True)]
    for one, other in ((ours.hashes, theirs.hashes), truths):
        if not np.array_equal(one[orders[0]], other[orders[1]]):
            return None
    truth = truths[0][orders[0]]
    said = ours.predicted.astype(np.int64)[orders[0]], columns[theirs.predicted][orders[1]]
    comparison = compare(truth, *said, classes=len(ours.labels), confidence=CONFIDENCE, seed=0)
    only_first, only_second = ((a == truth) & (b != truth) for a, b in (said, said[::-1]))
    return Paired(len(truth), ours.labels, comparison, int(only_first.sum()), int(only_second.sum()))


def _plain(difference: Difference) -> dict[str, Any]:
    return {"first": difference.champion, "second": difference.challenger, "interval": list(difference.interval)}


def _asked(run: Run, paths: Paths) -> Answers | None:
    """Returns the answers of a run's model, which is asked once: runs of earlier versions keep none themselves."""
    model = find_model(str(run.folder), paths)
    split = model.manifest.split_fingerprint or ""
    path = paths.cache / "answers" / f"{model.sha256}-{split[:16]}.npz"
    with contextlib.suppress(ArtifactError):
        if (known := load_answers(path)) is not None:
            return known
    found = data_for(model, None, paths)
    if found.dataset is None:
        raise DatasetError(found.reason)
    test = found.dataset.test
    truth = class_numbers(model.labels, found.dataset.labels)[test.labels]
    path.parent.mkdir(parents=True, exist_ok=True)
    save_answers(path, probabilities(model, found.dataset, paths), truth, labels=model.labels, test=test)
    return load_answers(path)


def probabilities(model: ModelFiles, dataset: Dataset, paths: Paths) -> np.ndarray:
    """Returns the model's probabilities for the test images, float32 (n, outputs), computed on all cores."""
    from fer_core.live.classifier import make_classifier

    classifiers = [make_classifier(model, paths).classify for _ in range(available_cores())]
    return predict_side_by_side(classifiers, dataset.test)


def setback(
    run: Run,
    before: ModelFiles,
    paths: Paths,
    *,
    predict: Callable[[ModelFiles, Dataset, Paths], np.ndarray] = probabilities,
) -> str:
    """Returns a sentence if a finished run is measurably worse than the model before it, or cannot be compared.

    Otherwise ''. Both predict the run's test images, but for those that either has seen in its training.
    """
    try:
        difference, where = _difference(run, before, paths, predict)
    except FerError as error:
        reason = str(error).rstrip(".")
        return f"It cannot be compared with {before.name}, which was in use before: {reason}."
    if difference.interval[1] >= 0:
        return ""
    is_usual = paths.models == Paths.from_environment().models
    way_back = f"{'' if is_usual else f'FER_MODELS_DIR={shlex.quote(str(paths.models))} '}python -m jobs rollback"
    return (
        f"It is measurably worse than {before.name}, which was in use before: macro F1 goes from "
        f"{difference.sentence()} on {where}. `{way_back}` goes back."
    )


def gain(run: Run, paths: Paths, *, predict: Callable[[ModelFiles, Dataset, Paths], np.ndarray] = probabilities) -> str:
    """Returns a sentence on how much better a fine-tuned run is than the model that it started from."""
    try:
        start = find_model(str(starting_model(run.manifest.config.init_from, paths)), paths)
        difference, where = _difference(run, start, paths, predict)
    except FerError as error:
        return f"It cannot be compared with the model that it started from: {str(error).rstrip('.')}."
    low, high = difference.interval
    judged = "measurably better" if low > 0 else "measurably worse" if high < 0 else "no measurable difference"
    return f"Beside {start.name}, which it started from: macro F1 {difference.sentence()} on {where}: {judged}."


def _difference(
    run: Run, before: ModelFiles, paths: Paths, predict: Callable[[ModelFiles, Dataset, Paths], np.ndarray]
) -> tuple[Difference, str]:
    """Returns the difference on the run's test images, and what these are."""
    config = run.manifest.config
    columns = _columns(before, run.manifest.labels)
    dataset = load_dataset(config, paths, **networks.picture_of(config))
    unseen = _unseen(before, dataset)
    old = predict(before, in_its_size(run, dataset, before, paths), paths)[:, columns].argmax(axis=1)
    new = predict(find_model(str(run.folder), paths), dataset, paths).argmax(axis=1)
    both = (part[unseen] for part in (dataset.test.labels, old, new))
    difference = compare(*both, classes=len(columns), confidence=CONFIDENCE, seed=0).macro_f1
    return difference, f"{unseen.sum():,} images of {dataset.test.name} that neither has seen"


def _columns(before: ModelFiles, labels: tuple[str, ...]) -> np.ndarray:
    try:
        return class_numbers(before.labels, labels)
    except DatasetError:
        raise DatasetError("their labels differ") from None


def _unseen(before: ModelFiles, dataset: Dataset) -> np.ndarray:
    """Returns which test images neither model has seen, bool (n,). Raises DatasetError if none, or it is not known."""
    seen = training_hashes(before, dataset)
    if seen is None:
        raise DatasetError("which of the test images that one has seen is not known")
    unseen = ~np.isin(dataset.test.hashes, np.union1d(seen, dataset.hashes_seen_before_test()))
    if not unseen.any():
        raise DatasetError("one of them has seen all of the test images")
    return unseen
