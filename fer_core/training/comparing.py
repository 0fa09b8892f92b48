"""A finished retraining against the model in use: both saved files answer on the same test images.

Decides which images are fair to both and whether the saved file is the one that was scored; the gate does the rest.
Imports Keras when it asks the models.
"""

import shlex
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fer_core import networks
from fer_core.data.dataset import Dataset, load_dataset
from fer_core.errors import ArtifactError, DatasetError, FerError
from fer_core.evaluation.analysis_data import class_numbers, training_hashes
from fer_core.evaluation.calibration import with_temperature
from fer_core.evaluation.gate import Limits, Verdict, compare, judge
from fer_core.evaluation.metrics import Evaluation, confusion_matrix, summary
from fer_core.paths import Paths
from fer_core.store.files import read_json
from fer_core.store.model_files import ModelFiles
from fer_core.store.run import Run
from fer_core.training.retraining import RetrainSpec

CONFIDENCE = 0.95

Ask = Callable[[ModelFiles, Dataset], np.ndarray]
"""Returns a saved model's probabilities for the test images, float32 (n, outputs), not calibrated."""


class Compared(NamedTuple):
    """The verdict, and sentences on how the two were compared."""

    verdict: Verdict
    remarks: tuple[str, ...] = ()


class FairImages(NamedTuple):
    """Which test images two models can be compared on, bool (n,), and sentences on what they have seen of them."""

    chosen: np.ndarray
    remarks: tuple[str, ...]


def compare_models(
    run: Run, dataset: Dataset, champion: ModelFiles | None, spec: RetrainSpec, paths: Paths, *, ask: Ask
) -> Compared:
    """Returns whether the run's saved model is measurably better than the champion, the model in use.

    Args:
        dataset: of the run's own settings.
        champion: None: there is none, and the run is better.

    Raises:
        ArtifactError: the champion cannot be read.
    """
    challenger = files_of(run)
    try:
        answers = ask(challenger, dataset)
    except ArtifactError as error:
        return _not_better(f"The saved model cannot be read again: {error}")
    objection, recorded = _reload_objection(run, challenger, answers, dataset, spec.max_reload_difference)
    if objection:
        return _not_better(objection, recorded)
    if champion is None:
        return Compared(Verdict(True, ("There is no model in use that it would have to beat.",), recorded))
    try:
        columns = class_numbers(champion.labels, dataset.labels)
    except DatasetError as error:
        return _not_better(f"It cannot be compared with {champion.name}, the model in use. {error}", recorded)
    theirs = ask(champion, in_its_size(run, dataset, champion, paths))[:, columns]
    fair = fair_images(champion, dataset)
    verdict = judge(
        dataset.test.labels[fair.chosen],
        with_temperature(theirs, champion.temperature)[fair.chosen],
        with_temperature(answers, challenger.temperature)[fair.chosen],
        labels=dataset.labels,
        limits=Limits(spec.min_gain, spec.max_recall_loss, spec.max_calibration_loss, spec.confidence),
    )
    whom = f"Compared with {champion.name}, the model in use, on {dataset.test.name}."
    return Compared(verdict._replace(figures=verdict.figures | recorded), (whom, *fair.remarks))


def asked_by_keras(run: Run) -> Ask:
    """Returns how Keras asks models, with the threads and devices that the run was trained with.

    Once in a process, before its first Keras operation. Raises ConfigError where the machine is another one.
    """
    from fer_core.training.machine import prepare

    prepare(run.manifest.config, recorded=run.manifest)

    def ask(model: ModelFiles, dataset: Dataset) -> np.ndarray:
        from fer_core.evaluation.predict import predict
        from fer_core.store.artifacts import load_model

        return predict(load_model(model.model), dataset.test)

    return ask


def files_of(run: Run) -> ModelFiles:
    """Returns the model of a finished run; nothing of it is opened."""
    manifest = run.manifest
    return ModelFiles(
        name=run.id,
        model=run.model_h5,
        run_folder=run.folder,
        labels=manifest.labels,
        side=manifest.side,
        channels=manifest.channels,
        temperature=manifest.temperature,
        manifest=manifest,
    )


def fair_images(champion: ModelFiles, dataset: Dataset) -> FairImages:
    """Returns the test images without those that only one of the two models has seen in its training.

    Where that is not known of the champion, all are compared on: what it has seen can only speak for it.
    """
    tested = dataset.test.hashes
    every = np.ones(len(tested), bool)
    if champion.manifest.config.validation == "test":
        return FairImages(every, (f"{champion.name} was chosen on its test images: its score may be too good.",))
    seen = training_hashes(champion, dataset)
    if seen is None:
        return FairImages(every, (f"Which of these images {champion.name} has seen in its training is not known.",))
    by_champion, by_challenger = np.isin(tested, seen), np.isin(tested, dataset.hashes_seen_before_test())
    is_fair = by_champion == by_challenger
    both, one = int((by_champion & by_challenger).sum()), int((~is_fair).sum())
    counts = {
        "{:,} of these {:,} test images occur in the training of both models.": both,
        "{:,} of these {:,} test images are left out: only one of the models has seen them.": one,
    }
    remarks = (text.format(count, len(tested)) for text, count in counts.items() if count)
    return FairImages(is_fair, tuple(remarks))


def _not_better(reason: str, figures: dict[str, Any] | None = None) -> Compared:
    return Compared(Verdict(False, (reason,), figures or {}))


def _reload_objection(
    run: Run, model: ModelFiles, answers: np.ndarray, dataset: Dataset, allowed: float
) -> tuple[str, dict[str, Any]]:
    """Returns what there is against the saved file ('' = nothing), and its scores beside the recorded ones."""
    recorded = Evaluation.from_json(read_json(run.evaluation_json, f"evaluation of run {run.id}"))
    found = summary(confusion_matrix(dataset.test.labels, answers.argmax(axis=1), len(dataset.labels)))
    pairs = {name: (getattr(recorded, name), getattr(found, name)) for name in ("accuracy", "macro_f1")}
    figures = {"reloaded": {name: {"recorded": was, "found": now} for name, (was, now) in pairs.items()}}
    if recorded.model_sha256 != model.sha256:
        return f"{model.model} is not the file that was scored when it was saved.", figures
    for name, (was, now) in pairs.items():
        if abs(was - now) > allowed:
            return f"The saved model, loaded anew, has {name} {now:.6f}; recorded is {was:.6f}.", figures
    return "", figures


def in_its_size(run: Run, dataset: Dataset, champion: ModelFiles, paths: Paths) -> Dataset:
    """Returns the same images as the champion takes them; their order does not depend on the size."""
    if (champion.side, champion.channels) == (dataset.side, dataset.channels):
        return dataset
    return load_dataset(run.manifest.config, paths, side=champion.side, channels=champion.channels)


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
