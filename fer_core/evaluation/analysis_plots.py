"""Writes the figures of an analysis as PNG, each under its name only when it is complete."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from fer_core import emotions
from fer_core.evaluation import analysis_figures, plots
from fer_core.evaluation.analysis_result import Analysis, Calibration
from fer_core.evaluation.metrics import Evaluation
from fer_core.evaluation.precision_recall import PrecisionRecall


def confusion(evaluation: Evaluation, path: Path, *, title: str) -> None:
    """Writes the confusion matrix, counts beside percent."""
    plots.confusion_matrix(np.array(evaluation.confusion), evaluation.labels, path, title=title)


def precision_recall(curves: Mapping[str, PrecisionRecall], evaluation: Evaluation, path: Path, *, title: str) -> None:
    """Writes precision over recall of each class."""
    images = {label: score.images for label, score in evaluation.per_class.items()}
    plots.save(analysis_figures.precision_recall_figure(curves, images, title=title), path)


def reliability(analysis: Analysis, path: Path, *, title: str) -> None:
    """Writes the reliability diagram before and, where the temperature is not 1, after temperature scaling."""
    panels = [_panel("As the model says it", analysis.before)]
    if analysis.temperature != 1:
        panels.append(_panel(f"With temperature {analysis.temperature:.2f}", analysis.after))
    plots.save(analysis_figures.reliability_figure(panels, title=title), path)


def confidently_wrong(analysis: Analysis, faces: np.ndarray, path: Path, *, title: str) -> None:
    """Writes the sheet of confidently wrong faces. `faces`: uint8 (n, side, side, channels), in the analysis' order."""
    labels, confusion = analysis.evaluation.labels, np.array(analysis.evaluation.confusion)
    wrong_answers = analysis.evaluation.images - int(np.trace(confusion))
    sheet = [
        analysis_figures.SheetFace(
            face_gray=face[..., 0],
            truth=wrong.truth,
            predicted=wrong.predicted,
            confidence=wrong.confidence,
            name=PurePosixPath(wrong.name).name,
            colour=emotions.colour(wrong.predicted.lower(), labels),
        )
        for face, wrong in zip(faces, analysis.confidently_wrong, strict=True)
    ]
    words = "bold is what the model says, with its calibrated confidence"
    text = f"{title}\nThe {len(sheet)} surest of {wrong_answers:,} wrong answers; {words}."
    plots.save(analysis_figures.confidently_wrong_figure(sheet, title=text), path)


def _panel(words: str, calibration: Calibration) -> analysis_figures.Panel:
    return analysis_figures.Panel(f"{words}: calibration error (ECE) {calibration.error:.1%}", calibration.bins)
