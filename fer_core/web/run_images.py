"""The test images in a cell of a run's confusion matrix: by the answers that it keeps, from the data of its test."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from fer_core.data.dataset import Split
from fer_core.errors import DatasetError, NotFoundError, did_you_mean
from fer_core.evaluation.analysis import ANSWERS, analysis_folder
from fer_core.evaluation.analysis_data import data_for
from fer_core.evaluation.predict import load_answers
from fer_core.paths import Paths
from fer_core.store.model_files import find_model
from fer_core.store.run import Run
from fer_core.web.answers import CellAnswer, CellImageAnswer, CellQuery
from fer_core.web.background import Background, Work
from fer_core.web.run_list import id_of

SHOWN = 60
_OTHERS = 2
_ANALYSE = "Analyse it once: `python realtime_emotion_detector.py --analyze --model {}`, or as a job."

_OPEN = "Open that data set on the page Data: wherever it is now, it is known by its contents."


@dataclass(frozen=True)
class ScoredImages:
    """The test images of a run, and its answers in their order. `confidences` float (n, labels), calibrated."""

    split: Split
    labels: tuple[str, ...]
    truth: np.ndarray
    predicted: np.ndarray
    confidences: np.ndarray
    mark: str

    @property
    def count(self) -> int:
        return len(self.truth)

    @property
    def side(self) -> int:
        """Of a picture, in pixels."""
        return self.pixels(np.array([0])).shape[1]

    def pixels(self, positions: np.ndarray) -> np.ndarray:
        """Returns uint8 (n, side, side)."""
        return self.split.images(positions)[..., 0]


def scored_images(run: Run, paths: Paths, background: Background, *, elsewhere: str | None) -> Work:
    """Returns how far the test images are read; asked for the first time, it begins. The result is a `ScoredImages`.

    Args:
        elsewhere: where its data is now, if that is known.
    """
    places = [run.answers_npz, *(paths.models / "analyses").glob(f"*/{ANSWERS}")]
    stamp = max((path.stat().st_mtime_ns for path in places if path.is_file()), default=None)
    read = partial(_read, run, paths, elsewhere)
    return background.get(f"run {run.id}", read, stamp=(stamp, elsewhere))


def cell(work: Work, query: CellQuery) -> CellAnswer:
    """Returns a page of a cell's images, the surest first. Raises NotFoundError for a class that there is not."""
    own = {"truth": query.truth, "predicted": query.predicted, "progress": "" if work.is_done else work.progress}
    found: ScoredImages | None = work.result
    if found is None:
        nothing = {"mark": "", "count": 0, "start": 0, "images": []}
        return CellAnswer(problem=work.problem, hint=work.hint, **own, **nothing)
    for label in (query.truth, query.predicted):
        if label not in found.labels:
            hint = did_you_mean(label, found.labels)
            raise NotFoundError(f"The model has no class {label[:60]!r}.", hint=hint)
    truth, predicted = map(found.labels.index, (query.truth, query.predicted))
    inside = np.flatnonzero((found.truth == truth) & (found.predicted == predicted))
    inside = inside[np.argsort(-found.confidences[inside, predicted], kind="stable")]
    start = min(query.start, len(inside))
    images = [_image(found, position, predicted) for position in inside[start : start + SHOWN].tolist()]
    return CellAnswer(problem="", hint="", mark=found.mark, count=len(inside), start=start, images=images, **own)


def _image(found: ScoredImages, position: int, predicted: int) -> CellImageAnswer:
    shares = found.confidences[position]
    next_best = [number for number in np.argsort(-shares, kind="stable").tolist() if number != predicted][:_OTHERS]
    return CellImageAnswer(
        position=position,
        name=found.split.names(np.array([position]))[0],
        confidence=float(min(shares[predicted], 1)),
        others={found.labels[number]: float(min(shares[number], 1)) for number in next_best},
    )


def _read(run: Run, paths: Paths, elsewhere: str | None, report: Callable[[str], None]) -> ScoredImages:
    """Raises FerError: a sentence on what is missing."""
    model = find_model(str(run.folder), paths)
    answers = load_answers(run.answers_npz) or load_answers(analysis_folder(model, paths) / ANSWERS)
    hint = _ANALYSE.format(model.name.removeprefix("shipped/"))
    if answers is None:
        raise DatasetError(f"{id_of(run)} does not say what it answered to each image.", hint=hint)
    dataset, reason = data_for(model, elsewhere, paths, report=report)
    if dataset is None:
        raise DatasetError(f"The test images cannot be shown. {reason}", hint=_OPEN)
    rows = answers.rows_of(dataset.test, dataset.labels)
    if rows is None or answers.labels != tuple(model.labels):
        raise DatasetError("Its answers are about other images than those that are there now.", hint=hint)
    return ScoredImages(
        split=dataset.test,
        labels=answers.labels,
        truth=answers.truth[rows],
        predicted=answers.predicted[rows],
        confidences=answers.confidences(model.temperature)[rows],
        mark=dataset.split_fingerprint[:16],
    )
