"""`analyse`: what a model's answers on the test images tell, saved as evaluation.json, plots and a sheet of faces.

Does not know which runtime gives the answers, and prints nothing. To read a saved analysis loads nothing heavy.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from fer_core.data.dataset import Dataset
from fer_core.errors import ArtifactError
from fer_core.evaluation.analysis_figures import confidently_wrong_figure, precision_recall_figure, reliability_figure
from fer_core.evaluation.analysis_result import Analysis, Calibration, ConfusedPair, WrongFace
from fer_core.evaluation.answers import Answers, Classify, answers_of
from fer_core.evaluation.calibration import Bin, error_of, reliability
from fer_core.evaluation.figures import confusion_figure
from fer_core.evaluation.look import load_libraries, save
from fer_core.evaluation.metrics import (
    Evaluation,
    PrecisionRecall,
    cross_entropy,
    evaluate_probabilities,
    precision_recall,
    wilson_interval,
)
from fer_core.paths import Paths
from fer_core.store.files import read_json, write_json
from fer_core.store.model_files import ModelFiles

EVALUATION, SHEET = "evaluation.json", "confidently_wrong.png"
PLOTS = ("plots/confusion_matrix.png", "plots/precision_recall.png", "plots/reliability.png")
"""The sheet is none of them: it shows real faces, and the plots of a run are shipped with its model."""

MOST_CONFUSED, MOST_WRONG = 6, 24

_ELSEWHERE = "Make room or give yourself the right to write there, or take another --models-dir."
_IN_FILE_NAMES = re.compile(r"[^A-Za-z0-9._-]+")


def analyse(
    model: ModelFiles,
    dataset: Dataset,
    *,
    probabilities: Classify,
    folder: Path,
    views: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Analysis:
    """Returns the analysis of a model on the test split, and saves it with its figures in `folder`.

    Args:
        dataset: what `data_for` found; its classes may stand in another order than the model's.
        probabilities: called with the test images, and with the validation images where these are others.
        views: how many views of each image they are averaged over, to be saved with the analysis.

    Raises:
        DatasetError: data and model do not have the same classes.
        ArtifactError: the outputs are no probabilities, or the folder cannot be written to.
    """
    load_libraries()
    began = clock()
    answers = answers_of(model, dataset, probabilities)
    analysis = analysis_of(model, dataset, answers)
    with _errors_named(folder):
        _draw(analysis, answers, dataset, folder, model.name)
        analysis = analysis.model_copy(update={"seconds": round(clock() - began, 3), "views": views})
        # Last, since what is in it says that everything else is there.
        write_json(folder / EVALUATION, analysis.to_json())
    return analysis


@contextlib.contextmanager
def _errors_named(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ArtifactError(f"The analysis cannot be written to {folder}: {reason}.", hint=_ELSEWHERE) from error


def saved_analysis(
    folder: Path,
    *,
    model_sha256: str,
    data_fingerprint: str | None,
    split_fingerprint: str | None,
    labels: tuple[str, ...] | None = None,
    pixels: str | None = None,
    views: int = 1,
) -> Analysis | None:
    """Returns the analysis in `folder` if it is whole and of this model, these images and this split, else None.

    `labels` and `pixels`, where given, must be its own too: for a model from elsewhere both can be chosen.
    """
    analysis = _read(folder / EVALUATION)
    if analysis is None:
        return None
    own = (analysis.evaluation.model_sha256, analysis.data_fingerprint, analysis.split_fingerprint)
    is_same = own == (model_sha256, data_fingerprint, split_fingerprint) and views == analysis.views
    is_same &= labels in (None, analysis.evaluation.labels) and pixels in (None, analysis.pixels)
    return analysis if is_same and all((folder / name).is_file() for name in (SHEET, *PLOTS)) else None


def analysis_folder(
    model: ModelFiles, paths: Paths, *, split_fingerprint: str | None = None, views: int = 1, int8: bool = False
) -> Path:
    """Returns where the model's analysis is saved: the folder of its run, if it is analysed on the run's own images.

    Everything else gets a folder under analyses/: models from elsewhere, shipped ones (which are never written to), and
    runs on other images, over several views or in int8, whose own scores stay as they are.

    Args:
        split_fingerprint: of the images; None: those that the manifest names.
    """
    own = model.manifest.split_fingerprint if model.manifest else None
    is_own = split_fingerprint in (None, own)
    is_plain = is_own and views == 1 and not int8
    if is_plain and model.run_folder and model.run_folder.resolve().parent == (paths.models / "runs").resolve():
        return model.run_folder
    name = _IN_FILE_NAMES.sub("_", model.name).strip("._") or "model"
    marks = [model.sha256[:8]] if is_own else [model.sha256[:8], split_fingerprint[:8]]
    marks += [f"{views}views"] if views > 1 else []
    marks += ["int8"] if int8 else []
    return paths.models / "analyses" / "-".join([name, *marks])


def analysis_of(model: ModelFiles, dataset: Dataset, answers: Answers) -> Analysis:
    """Returns what the answers tell; saves and draws nothing."""
    evaluation = evaluate_probabilities(
        answers.outputs,
        answers.truth,
        label_names=model.labels,
        split=dataset.test.name,
        is_training_copy=answers.copies.is_copy,
        chosen_on=answers.chosen_on,
        model_sha256=model.sha256,
    )
    return Analysis(
        evaluation=evaluation,
        temperature=answers.temperature.value,
        temperature_from=answers.temperature.message,
        before=_calibration(answers.outputs, answers.truth),
        after=_calibration(answers.calibrated, answers.truth),
        average_precision={label: curve.average_precision for label, curve in _curves(model.labels, answers).items()},
        confused=most_confused(evaluation),
        confidently_wrong=_wrong_faces(model.labels, dataset, answers),
        compared_with=answers.copies.message,
        remark=answers.remark,
        pixels=model.pixels,
        data=dataset.name,
        data_fingerprint=dataset.fingerprint,
        split_fingerprint=dataset.split_fingerprint,
        seconds=0.0,
    )


def most_confused(evaluation: Evaluation, most: int = MOST_CONFUSED) -> tuple[ConfusedPair, ...]:
    """Returns the pairs of classes with the largest share of images taken for the other.

    Ranked by the lower end of the share's 95 % interval, so that 1 of 2 images is no finding beside 98 of 496.
    """
    pairs = [
        ConfusedPair(truth=truth, predicted=predicted, images=images, of=sum(row))
        for truth, row in zip(evaluation.labels, evaluation.confusion, strict=True)
        for predicted, images in zip(evaluation.labels, row, strict=True)
        if truth != predicted and images
    ]
    ranked = sorted(pairs, key=lambda pair: -wilson_interval(pair.images, pair.of)[0])
    return tuple(ranked[:most])


def _calibration(probabilities: np.ndarray, truth: np.ndarray) -> Calibration:
    bins = reliability(probabilities, truth)
    return Calibration(error=error_of(bins), loss=cross_entropy(probabilities, truth), bins=tuple(bins))


def _confidently_wrong(answers: Answers) -> np.ndarray:
    """Returns the positions of the wrong answers, int64, the most confident first."""
    wrong = np.flatnonzero(answers.predictions != answers.truth)
    confidence = answers.calibrated[wrong].max(axis=1)
    return wrong[np.argsort(-confidence, kind="stable")][:MOST_WRONG]


def _wrong_faces(labels: tuple[str, ...], dataset: Dataset, answers: Answers) -> tuple[WrongFace, ...]:
    positions = _confidently_wrong(answers)
    return tuple(
        WrongFace(
            name=name,
            truth=labels[answers.truth[position]],
            predicted=labels[answers.predictions[position]],
            confidence=float(answers.calibrated[position].max()),
        )
        for name, position in zip(dataset.test.names(positions), positions, strict=True)
    )


def _curves(labels: tuple[str, ...], answers: Answers) -> dict[str, PrecisionRecall]:
    return dict(zip(labels, precision_recall(answers.outputs, answers.truth), strict=True))


def _draw(analysis: Analysis, answers: Answers, dataset: Dataset, folder: Path, model_name: str) -> None:
    evaluation = analysis.evaluation
    labels, images = evaluation.labels, {label: score.images for label, score in evaluation.per_class.items()}
    title = f"{model_name}: {evaluation.split}, {evaluation.images:,} images, {evaluation.accuracy:.1%} right"
    mistakes = f"{evaluation.images - int(np.trace(evaluation.confusion)):,} wrong answers"
    words = "bold is what the model says, with its calibrated confidence"
    heading = f"{title}\nThe {len(analysis.confidently_wrong)} surest of {mistakes}; {words}."
    faces = dataset.test.images(_confidently_wrong(answers))
    drawn = (
        confusion_figure(evaluation.confusion, labels, title=title),
        precision_recall_figure(_curves(labels, answers), images, title=title),
        reliability_figure(_reliability_panels(analysis), title=title),
        confidently_wrong_figure(analysis.confidently_wrong, faces, labels, title=heading),
    )
    for figure, name in zip(drawn, (*PLOTS, SHEET), strict=True):
        save(figure, folder / name)


def _reliability_panels(analysis: Analysis) -> dict[str, tuple[Bin, ...]]:
    """Returns the bins before and, where the temperature is not 1, after temperature scaling, by their titles."""
    panels = {"As the model says it": analysis.before}
    if analysis.temperature != 1:
        panels[f"With temperature {analysis.temperature:.2f}"] = analysis.after
    return {f"{words}: calibration error (ECE) {part.error:.1%}": part.bins for words, part in panels.items()}


def _read(path: Path) -> Analysis | None:
    try:
        return Analysis.from_json(read_json(path, "analysis"))
    except ArtifactError:
        return None
