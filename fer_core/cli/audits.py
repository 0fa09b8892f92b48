"""What is said of the images before a training, and `--audit-only`. Without Keras."""

import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from fer_core.cli.output import say
from fer_core.config import TrainConfig
from fer_core.data.audit import Audit, audit
from fer_core.data.contents import UnreadableImagesError
from fer_core.data.dataset import Dataset, UnsplitError
from fer_core.data.default_source import find_source
from fer_core.errors import DatasetError
from fer_core.evaluation.report import print_audit
from fer_core.paths import Paths
from fer_core.store.files import write_json
from fer_core.training.train import save_audit, training_data


def audited_data(
    console: Console, config: TrainConfig, paths: Paths, *, resumes: bool = False
) -> tuple[Dataset, Audit]:
    """Returns the images of a training and their audit, which is printed. Raises FerError, as `training_data` does."""
    try:
        with console.status("Looking at the images …") as status:
            dataset = training_data(config, paths, resumes=resumes, report=status.update)
    except UnreadableImagesError as error:
        path = _folder(paths, find_source(config.data, os.environ)) / "audit.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"unreadable": [asdict(image) for image in error.bad_images]})
        raise DatasetError(f"{error} All are named in {path}.", hint=error.hint) from None
    found = audit(dataset)
    print_audit(console, found)
    for note in dataset.notes:
        say(console, note)
    return dataset, found


def audit_only(console: Console, config: TrainConfig, paths: Paths) -> None:
    """Prints the audit of images that may be unreadable or impossible to split, and writes it into a folder."""
    try:
        _, found = audited_data(console, config.model_copy(update={"skip_bad_images": True}), paths)
    except UnsplitError as error:
        found = audit(error.images)
        print_audit(console, found)
        _write(console, found, paths)
        raise
    _write(console, found, paths)


def _write(console: Console, found: Audit, paths: Paths) -> None:
    folder = _folder(paths, found.source)
    save_audit(found, folder / "audit.json", folder)
    say(console, f"Written: {folder / 'audit.json'} and {folder / 'class_distribution.png'}")


def _folder(paths: Paths, source: str) -> Path:
    return paths.models / "audits" / (Path(source).stem or "data")
