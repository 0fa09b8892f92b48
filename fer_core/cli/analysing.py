"""`--analyze`: on the test images, kept with the run, and only printed again while nothing has changed."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from fer_core.cli.live_arguments import LiveRequest
from fer_core.cli.output import say
from fer_core.errors import ArtifactError, DatasetError, FerError
from fer_core.evaluation.analysis import Analysis, analyse, analysis_folder, saved_analysis
from fer_core.evaluation.analysis_data import FoundData, data_for
from fer_core.evaluation.metrics import Evaluation
from fer_core.evaluation.predict import over_views, predict_side_by_side
from fer_core.evaluation.report import print_analysis, print_scores
from fer_core.live.classifier import make_classifier
from fer_core.resources import available_cores
from fer_core.store.files import read_json
from fer_core.store.model_files import ModelFiles

if TYPE_CHECKING:
    from fer_core.data.dataset import Dataset, Split

Classify = Callable[[np.ndarray], np.ndarray]
"""Probabilities, float32 (n, labels), for faces uint8 (n, side, side, channels)."""


def analyse_or_fail(console: Console, model: ModelFiles, request: LiveRequest) -> None:
    """Prints the analysis, or the one that was kept where the images are not there. Raises FerError for neither."""
    found = _data(console, model, request)
    if found.dataset is not None:
        _print_analysis(console, model, found.dataset, request)
    elif not _print_kept(console, model, request):
        raise DatasetError(found.reason, hint="For example: --analyze --data archive.zip")


def analyse_if_possible(console: Console, model: ModelFiles, request: LiveRequest) -> None:
    """Prints the analysis, or the one that was kept, or else the scores that the model came with, and says why.

    Raises FerError only where --data was given.
    """
    try:
        found = _data(console, model, request)
        if found.dataset is not None:
            _print_analysis(console, model, found.dataset, request)
            return
        reason = found.reason
    except FerError as error:
        if request.settings.data is not None:
            raise
        say(console, " ".join(filter(None, ("There is no new analysis.", str(error), error.hint))))
        reason = ""
    if not _print_kept(console, model, request):
        _print_own_scores(console, model)
        if reason:
            say(console, reason)


def _data(console: Console, model: ModelFiles, request: LiveRequest) -> FoundData:
    with console.status("Looking at the test images …") as status:
        return data_for(model, request.settings.data, request.paths, report=status.update)


def _print_analysis(console: Console, model: ModelFiles, dataset: "Dataset", request: LiveRequest) -> None:
    folder = _folder(model, request, dataset.split_fingerprint)
    analysis = _kept(model, folder, (dataset.fingerprint, dataset.split_fingerprint), request.settings.views)
    print_analysis(console, analysis or _analysed(console, model, dataset, request), folder=folder)


def _print_kept(console: Console, model: ModelFiles, request: LiveRequest) -> bool:
    """Prints what was kept of the images that the model's manifest names; returns whether there is any."""
    manifest = model.manifest
    if manifest is None or manifest.data_fingerprint is None:
        return False
    folder = _folder(model, request)
    analysis = _kept(model, folder, (manifest.data_fingerprint, manifest.split_fingerprint), request.settings.views)
    if analysis is not None:
        print_analysis(console, analysis, folder=folder)
    return analysis is not None


def _folder(model: ModelFiles, request: LiveRequest, split_fingerprint: str | None = None) -> Path:
    settings = request.settings
    asked = {"views": settings.views, "int8": settings.runtime == "int8"}
    return analysis_folder(model, request.paths, split_fingerprint=split_fingerprint, **asked)


def _kept(model: ModelFiles, folder: Path, fingerprints: tuple[str | None, str | None], views: int) -> Analysis | None:
    data, split = fingerprints
    return saved_analysis(
        folder,
        model_sha256=model.sha256,
        data_fingerprint=data,
        split_fingerprint=split,
        labels=model.labels,
        pixels=model.pixels,
        views=views,
    )


def _analysed(console: Console, model: ModelFiles, dataset: "Dataset", request: LiveRequest) -> Analysis:
    views, folder = request.settings.views, _folder(model, request, dataset.split_fingerprint)
    classifiers = [over_views(classify, views) for classify in _classifiers(console, model, request)]

    def probabilities(split: "Split") -> np.ndarray:
        return predict_side_by_side(classifiers, split)

    with console.status("Asking the model about the test images …"):
        return analyse(model, dataset, probabilities=probabilities, folder=folder, views=views)


def _classifiers(console: Console, model: ModelFiles, request: LiveRequest) -> list[Classify]:
    """Returns one for each core: LiteRT runs on one, Keras on all by itself."""
    runtime = request.settings.runtime
    # Uncalibrated: the analysis fits the temperature itself.
    make = partial(make_classifier, dataclasses.replace(model, temperature=1.0), request.paths, runtime=runtime)
    # The first one tells of a conversion and the like; the others find it done.
    first = make(report=lambda text: say(console, text))
    others = 0 if runtime == "keras" else available_cores() - 1
    return [classifier.classify for classifier in (first, *(make() for _ in range(others)))]


def _print_own_scores(console: Console, model: ModelFiles) -> None:
    evaluation = _own_scores(model)
    if evaluation is not None:
        print_scores(console, evaluation)
        say(console, f"\n{model.name} was scored like this when it was trained. {evaluation.chosen_on}")


def _own_scores(model: ModelFiles) -> Evaluation | None:
    """Returns the scores that lie beside the model; None where there are none."""
    if model.run_folder is None:
        return None
    try:
        return Evaluation.from_json(read_json(model.run_folder / "evaluation.json", "scores"))
    except ArtifactError:
        return None
