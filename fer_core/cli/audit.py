"""The audits of the command line: of the images, and of their labels by cross-validation. Neither makes a model."""

from dataclasses import asdict, fields, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fer_core import networks
from fer_core.cli.command_line import say
from fer_core.cli.train import Request, command
from fer_core.cli.training import audited_data, loaded_data, print_audit, train_and_print
from fer_core.config import TrainConfig
from fer_core.data.audit import Audit, audit
from fer_core.data.dataset import Dataset, Split, UnsplitError
from fer_core.errors import ArtifactError
from fer_core.evaluation.audit_report import (
    SuspiciousLabel,
    audit_folder,
    audit_page,
    save_suspicious,
    suspicious_labels,
)
from fer_core.store.files import write_atomically
from fer_core.store.run import Run
from fer_core.store.runs import list_runs
from fer_core.training import train as training
from fer_core.training.machine import choose_backend

FOLDS = 5
FIRST_SHOWN = 10
"""Suspicious labels that are printed; the files have all."""


def audit_only(console: Console, request: Request) -> None:
    """Prints the audit of images that may be unreadable or impossible to split, and writes it into a folder."""
    paths = request.paths
    try:
        dataset, found = audited_data(console, request.config.model_copy(update={"skip_bad_images": True}), paths)
    except UnsplitError as error:
        found = audit(error.images)
        print_audit(console, found)
        for sentence in found.report.sentences():
            say(console, sentence)
        _write(console, found, audit_folder(paths, found.source))
        raise
    _write(console, found, audit_folder(paths, found.source), audit_page(found, dataset, None))


def audit_labels(console: Console, request: Request) -> None:
    """Lists the training images whose labels networks doubt that were trained on the other images.

    A fold that was trained before is not trained again, and one that was interrupted goes on.
    """
    import pandas as pd

    without_validation = {"validation": "none", "keep": "auto", "early_stopping_patience": 0}
    without_validation |= {"adjust_prior": False, "score_test": True}
    config = request.config.model_copy(update=without_validation)
    dataset, found = audited_data(console, config, request.paths)
    folder = audit_folder(request.paths, found.source)
    say(console, f"\nLabels: {FOLDS} networks are trained, each on {1 - 1 / FOLDS:.0%} of the training images.")
    folds = [_fold(console, config, f"{number}/{FOLDS}", request, folder) for number in range(1, FOLDS + 1)]
    names = [name for split, _ in folds for name in split.names(slice(None))]
    suspicious = suspicious_labels(
        np.concatenate([probabilities for _, probabilities in folds]),
        np.concatenate([split.labels for split, _ in folds]),
        names=names,
        label_names=dataset.labels,
    )
    _print_suspicious(console, suspicious, images=len(names))
    table = pd.DataFrame([asdict(one) for one in suspicious], columns=[field.name for field in fields(SuspiciousLabel)])
    write_atomically(folder / "suspicious_labels.csv", table.round(4).to_csv(index=False))
    save_suspicious(folder, suspicious, fingerprint=found.fingerprint)
    say(console, f"Written: {folder / 'suspicious_labels.csv'}")
    _write(console, found, folder, audit_page(found, dataset, suspicious))
    say(console, f"Tick there what is wrong, save the list, and train with {command('--exclude', 'exclude.txt', '…')}")


def _fold(console: Console, config: TrainConfig, fold: str, request: Request, folder: Path) -> tuple[Split, np.ndarray]:
    """Returns the images of a fold, and the probabilities, float32 (n, labels), of a network trained on the others."""
    config = networks.with_all_options(config.model_copy(update={"fold": fold}))
    paths = replace(request.paths, models=folder, history=folder / "history")
    dataset = loaded_data(console, config, paths, run=None)
    settings = training.settings_of_a_run(config, dataset, paths)
    run = next((run for run in list_runs(paths) if _is_of(run, settings, dataset)), None)
    if run is None:
        run = training.begin_run(config, dataset, paths, recipe=request.recipe, promote=False, kind="fold")
    if run.state.status != "SUCCEEDED":
        train_and_print(console, run, paths, dataset=dataset)
    choose_backend(run.manifest.backend)
    from fer_core.evaluation.predict import predict
    from fer_core.store.artifacts import load_model

    return dataset.test, predict(load_model(run.model_h5), dataset.test)


def _is_of(run: Run, settings: TrainConfig, dataset: Dataset) -> bool:
    try:
        manifest = run.manifest
    except ArtifactError:
        return False
    planned = {"epochs": settings.epochs} if manifest.plan else {}  # those of the plan fit into the time budget
    is_same = manifest.config.model_copy(update=planned) == settings
    return is_same and manifest.split_fingerprint in (None, dataset.split_fingerprint)


def _print_suspicious(console: Console, suspicious: list[SuspiciousLabel], *, images: int) -> None:
    say(console, f"\n{len(suspicious):,} of {images:,} labels are suspicious. The most suspicious:")
    for one in suspicious[:FIRST_SHOWN]:
        own = f"labelled {one.label} ({one.confidence:.0%})"
        say(console, f"  {one.name}: {own}, looks like {one.prediction} ({one.probability:.0%})")


def _write(console: Console, found: Audit, folder: Path, page: str | None = None) -> None:
    training.save_audit(found, folder / "audit.json", folder)
    say(console, f"Written: {folder / 'audit.json'} and {folder / 'class_distribution.png'}")
    if page is not None:
        write_atomically(folder / "audit.html", page)
        say(console, f"To look at: {folder / 'audit.html'}")
