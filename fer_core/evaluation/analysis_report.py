"""Says in the terminal what an analysis found; readable at 80 columns and in a log file."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.evaluation.analysis_result import Analysis
from fer_core.evaluation.metrics import Evaluation
from fer_core.evaluation.report import new_table, print_scores, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

FIRST_WRONG = 5
"""So many are named; the sheet shows all."""

_GAP = 2
_LEAST_HEADER = 4
_LONGEST_LABEL = 14


def print_analysis(console: "Console", analysis: Analysis, *, folder: Path | None = None) -> None:
    """Prints scores, confusion, the most confused pairs, calibration and the surest mistakes.

    Args:
        folder: where the analysis is saved, to be named.
    """
    evaluation = analysis.evaluation
    print_scores(
        console,
        evaluation,
        average_precision=analysis.average_precision,
        compared_with=analysis.compared_with,
    )
    console.print()
    views = f"Answers are the mean over {analysis.views} views of each image." if analysis.views > 1 else ""
    say(console, " ".join(filter(None, (analysis.remark, evaluation.chosen_on, views))))
    _print_confusion(console, evaluation)
    _print_pairs(console, analysis)
    _print_calibration(console, analysis)
    _print_wrong(console, analysis)
    if folder is not None:
        say(console, f"\nKept with its figures in {folder}")


def _print_confusion(console: "Console", evaluation: Evaluation) -> None:
    say(console, "\nConfusion: rows are the true class, columns the prediction", style="bold")
    first = min(_LONGEST_LABEL, max(map(len, evaluation.labels)))
    room = (console.width - first) // len(evaluation.labels) - _GAP
    if room < max(_LEAST_HEADER, len(f"{evaluation.images:,}")):
        say(console, f"The terminal is too narrow for {len(evaluation.labels)} classes; confusion_matrix.png shows it.")
        return
    console.print(_matrix(evaluation, "images", room, lambda images, row: f"{images:,}"))
    console.print()
    console.print(_matrix(evaluation, "percent", room, lambda images, row: f"{100 * images / max(row, 1):.1f}"))


def _matrix(evaluation: Evaluation, what: str, room: int, cell: Callable[[int, int], str]) -> "Table":
    from rich.text import Text

    table = new_table(header_style="bold")
    table.add_column(what, no_wrap=True)
    for label in evaluation.labels:
        table.add_column(Text(_cut(label, room)), justify="right", no_wrap=True)
    for number, (label, row) in enumerate(zip(evaluation.labels, evaluation.confusion, strict=True)):
        cells = [Text(cell(images, sum(row))) for images in row]
        cells[number].stylize("bold")
        table.add_row(Text(_cut(label, _LONGEST_LABEL)), *cells)
    return table


def _print_pairs(console: "Console", analysis: Analysis) -> None:
    say(console, "\nMost confused", style="bold")
    for pair in analysis.confused:
        say(console, f"{pair.message}.")
    if not analysis.confused:
        say(console, "No class is taken for another.")


def _print_calibration(console: "Console", analysis: Analysis) -> None:
    say(console, "\nCalibration: how far the confidence can be believed", style="bold")
    table = new_table(header_style="bold")
    table.add_column()
    for header in ("as the model says", f"temperature {analysis.temperature:.2f}"):
        table.add_column(header, justify="right", no_wrap=True)
    both = (analysis.before, analysis.after)
    table.add_row("expected calibration error", *(f"{part.error:.1%}" for part in both))
    table.add_row("loss", *(f"{part.loss:.3f}" for part in both))
    console.print(table)
    say(console, f"{analysis.temperature_from} The error is over {len(analysis.before.bins)} equally wide bins.")


def _print_wrong(console: "Console", analysis: Analysis) -> None:
    from rich.text import Text

    if not analysis.confidently_wrong:
        return
    say(console, "\nConfidently wrong", style="bold")
    table = new_table()
    for _ in range(3):
        table.add_column(overflow="fold")
    for face in analysis.confidently_wrong[:FIRST_WRONG]:
        table.add_row(Text(f"{face.predicted} {face.confidence:.1%}"), Text(f"labelled {face.truth}"), Text(face.name))
    console.print(table)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
