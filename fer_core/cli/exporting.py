"""`train_emotion_model.py --export`: a model in other forms, and a table of how each compares with Keras."""

import os
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from fer_core.cli.console import say, send_native_messages_to
from fer_core.cli.train import Request
from fer_core.errors import ArtifactError
from fer_core.evaluation.analysis_data import data_for
from fer_core.evaluation.exporting import FILES, Comparison, export_model
from fer_core.store.export import can_export
from fer_core.store.model_files import export_folder, find_model


def export(console: Console, request: Request) -> None:
    """Writes the forms that were asked for, and prints how they compare. Raises FerError."""
    model = find_model(request.export, request.paths)
    if not can_export():
        raise ArtifactError("TensorFlow, which writes exports, is not installed.", hint="`pip install tensorflow`")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    send_native_messages_to(Path(os.devnull))
    with console.status("Looking at the test images …") as status:
        dataset, reason = data_for(model, request.given_data, request.paths, report=status.update)
        found = export_model(model, request.formats, request.paths, dataset=dataset, report=status.update)
    if reason:
        say(console, f"Compared on pictures of random numbers. {reason}")
    _print(console, found)
    say(console, f"Written: {export_folder(model, request.paths)}")


def _print(console: Console, found: Comparison) -> None:
    title = f"{found.images:,} images of {found.split}" if found.split else f"{found.images:,} random pictures"
    table = Table("form", "file", title=f"Compared with Keras on {title}", box=box.SIMPLE)
    for column in ("size", "largest difference", "accuracy"):
        table.add_column(column, justify="right")
    table.add_row("keras", "", "", "", _percent(found.keras_accuracy))
    for file in found.files:
        cells = (f"{file.bytes / 1e6:.1f} MB", f"{file.largest_difference:.1e}", _percent(file.accuracy))
        table.add_row(file.format, FILES[file.format], *cells)
    console.print(table)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2%}"
