"""`train_emotion_model.py --export`: a model in other forms, and a table of how each compares with Keras.

As `python -m fer_core.cli.exporting RUN FORM MODELS HISTORY` it is the child process of the web page.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from fer_core.cli.command_line import say, send_native_messages_to
from fer_core.cli.train import Request
from fer_core.errors import ArtifactError
from fer_core.evaluation.analysis_data import data_for
from fer_core.evaluation.exporting import FILES, ExportComparison, export_model
from fer_core.evaluation.predict import NEEDED
from fer_core.paths import Paths
from fer_core.store.export import Format, can_export
from fer_core.store.inspection import answer
from fer_core.store.model_files import ModelFiles, export_folder, find_model, ignore


def export(console: Console, request: Request) -> None:
    """Writes the forms that were asked for, and prints how they compare. Raises FerError."""
    model = find_model(request.export, request.paths)
    send_native_messages_to(Path(os.devnull))
    with console.status("Looking at the test images …") as status:
        found, reason = _exported(model, request.formats, request.paths, request.given_data, status.update)
    if reason:
        say(console, f"Compared on pictures of random numbers. {reason} {NEEDED}")
    _print(console, found)
    say(console, f"Written: {export_folder(model, request.paths)}")


def _exported(
    model: ModelFiles, formats: tuple[Format, ...], paths: Paths, data: str | None, report: Callable[[str], None]
) -> tuple[ExportComparison, str]:
    if not can_export():
        raise ArtifactError("TensorFlow, which writes exports, is not installed.", hint="`pip install tensorflow`")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    dataset, reason = data_for(model, data, paths, report=report)
    return export_model(model, formats, paths, dataset=dataset, report=report), reason


def _in_child(run: str, form: Format, models: str, history: str) -> str:
    paths = Paths.from_environment(models=models, history=history)
    _exported(find_model(run, paths), (form,), paths, None, ignore)
    return ""


def _print(console: Console, found: ExportComparison) -> None:
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


if __name__ == "__main__":
    answer(lambda: _in_child(*sys.argv[1:]))
