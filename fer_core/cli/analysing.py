"""`--analyze`: on the test images, saved with the run, and only printed again while nothing has changed."""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_core.cli.live_arguments import LiveRequest
from fer_core.cli.output import say
from fer_core.errors import ArtifactError, DatasetError, FerError
from fer_core.evaluation.analysis import Analysis, analyse, analysis_folder, saved_analysis
from fer_core.evaluation.analysis_data import data_for
from fer_core.evaluation.analysis_report import print_analysis
from fer_core.evaluation.metrics import Evaluation
from fer_core.evaluation.predict import over_views, predict_side_by_side
from fer_core.evaluation.report import print_scores
from fer_core.live.classifier import make_classifier
from fer_core.resources import available_cores
from fer_core.store.files import read_json
from fer_core.store.model_files import ModelFiles

Classify = Callable[[np.ndarray], np.ndarray]
"""Probabilities, float32 (n, labels), for faces uint8 (n, side, side, channels)."""


def analyse_or_fail(console: Console, model: ModelFiles, request: LiveRequest) -> None:
    """Prints the analysis, or the saved one where the images are not there. Raises FerError for neither."""
    if reason := _print_analysis(console, model, request):
        raise DatasetError(reason, hint="For example: --analyze --data archive.zip")


def analyse_if_possible(console: Console, model: ModelFiles, request: LiveRequest) -> None:
    """Prints the analysis, or the saved one, or else the scores that the model came with, and says why.

    Raises FerError only where --data was given.
    """
    try:
        reason = _print_analysis(console, model, request)
        if not reason:
            return
    except FerError as error:
        if request.settings.data is not None:
            raise
        say(console, " ".join(filter(None, ("There is no new analysis.", str(error), error.hint))))
        reason = ""
        if _print_saved(console, model, request):
            return
    _print_own_scores(console, model)
    if reason:
        say(console, reason)


def _print_analysis(console: Console, model: ModelFiles, request: LiveRequest) -> str:
    """Prints the analysis, or the saved one where the images are not there; returns why there is neither, or ''."""
    views = request.settings.views
    with console.status("Looking at the test images …") as status:
        dataset, reason = data_for(model, request.settings.data, request.paths, report=status.update)
    if dataset is None:
        return "" if _print_saved(console, model, request) else reason
    folder = _folder(model, request, dataset.split_fingerprint)
    analysis = _saved(model, folder, (dataset.fingerprint, dataset.split_fingerprint), views)
    if analysis is None:
        classifiers = [over_views(classify, views) for classify in _classifiers(console, model, request)]
        with console.status("Asking the model about the test images …"):
            probabilities = partial(predict_side_by_side, classifiers)
            analysis = analyse(model, dataset, probabilities=probabilities, folder=folder, views=views)
    print_analysis(console, analysis, folder=folder)
    return ""


def _print_saved(console: Console, model: ModelFiles, request: LiveRequest) -> bool:
    """Prints what was saved for the images that the model's manifest names; returns whether there is any."""
    manifest = model.manifest
    if manifest is None or manifest.data_fingerprint is None:
        return False
    folder, fingerprints = _folder(model, request), (manifest.data_fingerprint, manifest.split_fingerprint)
    analysis = _saved(model, folder, fingerprints, request.settings.views)
    if analysis is not None:
        print_analysis(console, analysis, folder=folder)
    return analysis is not None


def _folder(model: ModelFiles, request: LiveRequest, split_fingerprint: str | None = None) -> Path:
    kind = {"views": request.settings.views, "int8": request.settings.runtime == "int8"}
    return analysis_folder(model, request.paths, split_fingerprint=split_fingerprint, **kind)


def _saved(model: ModelFiles, folder: Path, fingerprints: tuple[str | None, str | None], views: int) -> Analysis | None:
    data, split = fingerprints
    own = {"model_sha256": model.sha256, "labels": model.labels, "pixels": model.pixels}
    return saved_analysis(folder, data_fingerprint=data, split_fingerprint=split, views=views, **own)


def _classifiers(console: Console, model: ModelFiles, request: LiveRequest) -> list[Classify]:
    """Returns one for each core: LiteRT runs on one, Keras on all by itself."""
    runtime = request.settings.runtime
    # Uncalibrated: the analysis fits the temperature itself.
    make = partial(make_classifier, dataclasses.replace(model, temperature=1.0), request.paths, runtime=runtime)
    # The first one reports a conversion and the like; the others find it done.
    first = make(report=partial(say, console))
    others = 0 if runtime == "keras" else available_cores() - 1
    return [classifier.classify for classifier in (first, *(make() for _ in range(others)))]


def _print_own_scores(console: Console, model: ModelFiles) -> None:
    """Where scores lie beside the model."""
    if model.run_folder is None:
        return
    try:
        evaluation = Evaluation.from_json(read_json(model.run_folder / "evaluation.json", "scores"))
    except ArtifactError:
        return
    print_scores(console, evaluation)
    say(console, f"\n{model.name} was scored like this when it was trained. {evaluation.chosen_on}")
