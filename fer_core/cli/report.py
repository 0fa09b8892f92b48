"""Says in the terminal what a model scores and what an analysis found, also at 80 columns."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_core.cli.command_line import add_row, plain_table
from fer_core.cli.command_line import say_wrapped as say
from fer_core.evaluation.analysis import Analysis, sure_sentence
from fer_core.evaluation.metrics import Evaluation, difference_interval, wilson_interval

if TYPE_CHECKING:
    import pandas as pd

SMALL_GAP_POINTS = 3.0
LARGE_GAP_POINTS = 10.0
"""Training minus validation accuracy, in percentage points: under the small gap none, over the large one a lot."""

FIRST_WRONG = 5  # so many are named; the sheet shows all

_GAP = 2
_LEAST_HEADER = 4
_LONGEST_LABEL = 14


def print_evaluation(
    console: Console,
    evaluation: Evaluation,
    *,
    images: tuple[int, int],
    last_epoch: Mapping[str, float | None],
    kept_epoch: int | None,
) -> None:
    """Prints the scores with their intervals, the table per class, the gap to training and which split chose what.

    Args:
        images: how many train and validate.
        last_epoch: the history's last row (accuracy and val_accuracy, 0..1; missing without validation).
        kept_epoch: the epoch whose weights were scored; None if it is not known.
    """
    print_scores(console, evaluation)
    console.print()
    say(console, overfitting_sentence(last_epoch.get("accuracy"), last_epoch.get("val_accuracy"), images=images))
    kept = f"Kept: epoch {kept_epoch}." if kept_epoch is not None else ""
    say(console, " ".join(filter(None, (kept, evaluation.chosen_on))))


def print_scores(
    console: Console,
    evaluation: Evaluation,
    *,
    average_precision: Mapping[str, float | None] | None = None,
    compared_with: str = "",
) -> None:
    """Prints loss, accuracy and macro F1 with their intervals, the score without copies, and the table per class.

    Args:
        average_precision: by class, for one more column.
        compared_with: a sentence: which images count as training images.
    """
    say(console, f"\nScore on {evaluation.split} ({evaluation.images:,} images)", style="bold")
    table = plain_table("", "")
    table.add_column(overflow="fold")
    table.add_row("loss", f"{evaluation.loss:.3f}", "")
    for name, score, (low, high) in (
        ("accuracy", evaluation.accuracy, evaluation.accuracy_interval),
        ("macro F1", evaluation.macro_f1, evaluation.macro_f1_interval),
    ):
        table.add_row(name, f"{score:.1%}", f"95% interval {low:.1%} to {high:.1%}")
    console.print(table)
    say(console, " ".join(filter(None, (_copies_sentence(evaluation), compared_with))))
    console.print()
    console.print(_class_table(evaluation, average_precision))
    missing = ", ".join(label for label, score in evaluation.per_class.items() if not score.images)
    say(console, f"Not measured, as there is no image of it: {missing}." if missing else "")


def print_analysis(console: Console, analysis: Analysis, *, folder: Path | None = None) -> None:
    """Prints scores, confusion, the most confused pairs, calibration and the surest mistakes.

    Args:
        folder: where the analysis is saved, to be named.
    """
    evaluation, precision = analysis.evaluation, analysis.average_precision
    print_scores(console, evaluation, average_precision=precision, compared_with=analysis.compared_with)
    console.print()
    views = f"Answers are the mean over {analysis.views} views of each image." if analysis.views > 1 else ""
    say(console, " ".join(filter(None, (analysis.remark, evaluation.chosen_on, views))))
    _print_confusion(console, evaluation)
    say(console, "\nMost confused", style="bold")
    for pair in analysis.confused:
        say(console, f"{pair.message}.")
    say(console, "" if analysis.confused else "No class is taken for another.")
    _print_calibration(console, analysis)
    say(console, sure_sentence(analysis))
    _print_wrong(console, analysis)
    if folder is not None:
        say(console, f"\nKept with its figures in {folder}")


def print_robustness(console: Console, table: "pd.DataFrame") -> None:
    """Prints what `robustness` gave: accuracy and points lost under each change of the test images."""
    from fer_core.evaluation.robustness import COUNTED, mean_loss

    say(console, "\nOn changed test images", style="bold")
    rows = plain_table("change", "images", "accuracy", "points lost")
    for row in table.itertuples():
        lost = "" if row.condition == "none" else f"{row.lost:.1f} ± {row.margin:.1f}"
        add_row(rows, f"{row.condition} {row.strength}".strip(), f"{row.images:,}", f"{row.accuracy:.1%}", lost)
    console.print(rows)
    say(console, f"Mean loss over {', '.join(COUNTED)}: {mean_loss(table):.1f} points.")


def overfitting_sentence(training: float | None, validation: float | None, *, images: tuple[int, int]) -> str:
    """Returns the last epoch's training and validation accuracy, and what their gap means as far as its interval says.

    Args:
        training, validation: 0..1. images: how many train and validate.
    """
    if training is None or validation is None:
        return "There were no validation images, so overfitting cannot be judged."
    measured = ((training, images[0]), (validation, images[1]))
    low, high = difference_interval(*((share, wilson_interval(round(share * n), n)) for share, n in measured))
    gap = 100 * (training - validation)
    figures = f"Last epoch: {training:.1%} of the training images right, {validation:.1%} of the validation images"
    return f"{figures}: {_gap_in_words(gap, 100 * low, 100 * high)}"


def _gap_in_words(gap: float, low: float, high: float) -> str:
    measured = f"a gap of {gap:.1f} points ({low:.1f} to {high:.1f})"
    if low > LARGE_GAP_POINTS:
        return (
            f"{measured}, strong overfitting: it learns the training images by heart. "
            "Augmentation (--flip --rotation 15 --shift 0.1), more dropout or more images help."
        )
    if low > 0 and gap >= SMALL_GAP_POINTS:
        return f"{measured}, some overfitting."
    if high > LARGE_GAP_POINTS:
        return f"{measured}: too few images to say whether it overfits."
    if gap <= 0:
        return "no overfitting (dropout and augmentation, if any, make training images harder)."
    return f"{measured}, no overfitting to speak of."


def _copies_sentence(evaluation: Evaluation) -> str:
    part = evaluation.without_training_copies
    if part is None:
        return ""
    copies = evaluation.images - part.images
    if copies == 0:
        return "None of these images occurs in training too."
    low, high = part.accuracy_interval
    return (
        f"Without the {copies:,} that also occur in training: accuracy {part.accuracy:.1%} "
        f"({low:.1%} to {high:.1%}, {part.images:,} images)."
    )


def _class_table(evaluation: Evaluation, average_precision: Mapping[str, float | None] | None) -> Table:
    averages = [evaluation.precision, evaluation.recall, evaluation.macro_f1]
    rows = {
        label: [score.precision, score.recall, score.f1] if score.images else [None, None, None]
        for label, score in evaluation.per_class.items()
    }
    if average_precision:
        rows = {label: [*shares, average_precision[label]] for label, shares in rows.items()}
        known = [value for value in average_precision.values() if value is not None]
        averages.append(sum(known) / len(known) if known else None)
    table = plain_table(
        "class", "precision", "recall", "F1", *(["avg. precision"] if average_precision else []), "images"
    )
    for label, shares in rows.items():
        add_row(table, label, *map(_share, shares), f"{evaluation.per_class[label].images:,}")
    table.add_row("macro average", *map(_share, averages), f"{evaluation.images:,}", style="bold")
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _print_confusion(console: Console, evaluation: Evaluation) -> None:
    say(console, "\nConfusion: rows are the true class, columns the prediction", style="bold")
    first = min(_LONGEST_LABEL, max(map(len, evaluation.labels)))
    room = (console.width - first) // len(evaluation.labels) - _GAP
    if room < max(_LEAST_HEADER, len(f"{evaluation.images:,}")):
        say(console, f"The terminal is too narrow for {len(evaluation.labels)} classes; confusion_matrix.png shows it.")
        return
    console.print(_matrix(evaluation, "images", room, lambda images, row: f"{images:,}"))
    console.print()
    console.print(_matrix(evaluation, "percent", room, lambda images, row: f"{100 * images / max(row, 1):.1f}"))


def _matrix(evaluation: Evaluation, what: str, room: int, cell: Callable[[int, int], str]) -> Table:
    table = plain_table(what, *(_cut(label, room) for label in evaluation.labels))
    for number, (label, row) in enumerate(zip(evaluation.labels, evaluation.confusion, strict=True)):
        cells = [cell(images, sum(row)) for images in row]
        cells[number] = f"[bold]{cells[number]}[/bold]"
        add_row(table, _cut(label, _LONGEST_LABEL), *cells)
    return table


def _print_calibration(console: Console, analysis: Analysis) -> None:
    say(console, "\nCalibration: how far the confidence can be believed", style="bold")
    table = plain_table("", "as the model says", f"temperature {analysis.temperature:.2f}")
    both = (analysis.before, analysis.after)
    table.add_row("expected calibration error", *(f"{part.error:.1%}" for part in both))
    table.add_row("loss", *(f"{part.loss:.3f}" for part in both))
    console.print(table)
    say(console, f"{analysis.temperature_from} The error is over {len(analysis.before.bins)} equally wide bins.")


def _print_wrong(console: Console, analysis: Analysis) -> None:
    if not analysis.confidently_wrong:
        return
    say(console, "\nConfidently wrong", style="bold")
    table = plain_table("")
    for _ in range(2):
        table.add_column(overflow="fold")
    for face in analysis.confidently_wrong[:FIRST_WRONG]:
        table.add_row(Text(f"{face.predicted} {face.confidence:.1%}"), Text(f"labelled {face.truth}"), Text(face.name))
    console.print(table)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
