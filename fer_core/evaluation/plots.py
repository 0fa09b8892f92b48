"""Writes the figures of `figures.py` as PNG at 150 dpi, each under its name only when it is complete."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.evaluation import figures
from fer_core.store.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
CURVES = ("accuracy", "loss", "precision", "recall")


def training_curves(rows: Sequence[Mapping], folder: Path, *, title: str, kept_epoch: int | None) -> list[Path]:
    """Writes training_accuracy.png, _loss, _precision and _recall into `folder` and returns their paths.

    Args:
        rows: the history, one mapping per epoch.
        title: which run, data and number of images.
        kept_epoch: the epoch whose weights are saved; marked.
    """
    paths = [folder / f"training_{column}.png" for column in CURVES]
    for column, path in zip(CURVES, paths, strict=True):
        save(figures.curve_figure(rows, column, title=title, kept_epoch=kept_epoch), path)
    return paths


def class_distribution(counts: Mapping[str, Mapping[str, int]], path: Path, *, title: str = "") -> None:
    """Writes the images per class of each split: {split: {label: images}}."""
    save(figures.class_distribution_figure(counts, title=title), path)


def confusion_matrix(matrix: np.ndarray, labels: Sequence[str], path: Path, *, title: str) -> None:
    """Writes the confusion matrix, counts beside percent. `matrix`: integers (k, k), rows are the truth."""
    save(figures.confusion_figure(matrix, labels, title=title), path)


def history_overview(histories: Sequence[figures.Curve], path: Path) -> None:
    """Writes the runs over each other: validation accuracy against epoch."""
    save(figures.overview_figure(histories), path)


def save(figure: "Figure", path: Path) -> None:
    """Writes any figure of ours; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)
