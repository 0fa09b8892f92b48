"""The difference of two models on the same test images, image by image: chance in the choice of images cancels out."""

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fer_core.errors import DatasetError
from fer_core.evaluation.gate import Comparison, compare
from fer_core.paths import Paths
from fer_core.resources import available_cores
from fer_core.store.files import write_atomically
from fer_core.store.model_files import ModelFiles, find_model
from fer_core.store.run import Run

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
        is_clear = low > 0 or high < 0
        judged = "more than chance" if is_clear else "no more than chance"
        return (
            f"On the same {self.images:,} images: macro F1 {self.comparison.macro_f1.sentence()}, {judged}. "
            f"Only the first is right on {self.only_first:,}, only the second on {self.only_second:,}."
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain values; the interval is that of second minus first, of 95 %."""
        named = {label: _plain(recall) for label, recall in zip(self.labels, self.comparison.recall, strict=True)}
        counts = {"images": self.images, "only_first": self.only_first, "only_second": self.only_second}
        return counts | {"macro_f1": _plain(self.comparison.macro_f1), "recall": named}


class _Answers(NamedTuple):
    truth: np.ndarray
    predictions: np.ndarray
    """Both integers (n,), positions in the model's labels."""


def paired_difference(paths: Paths, first: Run, second: Run) -> Paired:
    """Returns how two runs of the same split differ on its test images.

    Raises:
        ArtifactError: a model is missing or cannot be asked. DatasetError: the images are not there any more.
    """
    models = _model(first, paths), _model(second, paths)
    answers = [_kept_or_asked(model, paths) for model in models]
    labels = models[0].labels
    order = np.array([labels.index(label) for label in models[1].labels])
    truth, ours, theirs = answers[0].truth, answers[0].predictions, order[answers[1].predictions]
    comparison = compare(truth, ours, theirs, classes=len(labels), confidence=CONFIDENCE, seed=0)
    right = ours == truth, theirs == truth
    counts = [int((right[side] & ~right[1 - side]).sum()) for side in (0, 1)]
    return Paired(len(truth), labels, comparison, *counts)


def _plain(difference: Any) -> dict[str, Any]:
    return {"first": difference.champion, "second": difference.challenger, "interval": list(difference.interval)}


def _model(run: Run, paths: Paths) -> ModelFiles:
    return find_model(str(run.folder), paths)


def _kept_or_asked(model: ModelFiles, paths: Paths) -> _Answers:
    """The same model gives the same answers to the same images, so they are asked for once."""
    split = model.manifest.split_fingerprint or ""
    path = paths.cache / "answers" / f"{model.sha256}-{split[:16]}.npz"
    kept = _read(path)
    if kept is None:
        kept = _asked(model, paths)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()
        np.savez(content, **kept._asdict())
        write_atomically(path, content.getvalue())
    return kept


def _read(path: Path) -> _Answers | None:
    try:
        with np.load(path, allow_pickle=False) as content:
            return _Answers(content["truth"], content["predictions"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _asked(model: ModelFiles, paths: Paths) -> _Answers:
    from fer_core.evaluation.analysis_data import class_numbers, data_for
    from fer_core.evaluation.predict import predict_side_by_side
    from fer_core.live.classifier import make_classifier

    found = data_for(model, None, paths)
    if found.dataset is None:
        raise DatasetError(found.reason)
    classifiers = [make_classifier(model, paths).classify for _ in range(available_cores())]
    predictions = predict_side_by_side(classifiers, found.dataset.test).argmax(axis=1)
    truth = class_numbers(model.labels, found.dataset.labels)[found.dataset.test.labels]
    return _Answers(truth, predictions)
