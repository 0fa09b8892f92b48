"""Says in the terminal what a model scores and what a data set holds; readable at 80 columns and in a log file."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from fer_core.evaluation.metrics import Evaluation, Interval

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fer_core.data.audit import Audit, SharedImages

SMALL_GAP_POINTS = 3.0
LARGE_GAP_POINTS = 10.0
"""Training minus validation accuracy, in percentage points: under the small gap none, over the large one a lot."""

FIRST_NAMES = 3
"""So many images are named; audit.json has them all."""


def print_evaluation(
    console: "Console", evaluation: Evaluation, *, last_epoch: Mapping[str, float | None], kept_epoch: int | None
) -> None:
    """Prints the scores with their intervals, the table per class, the gap to training and which split chose what.

    Args:
        last_epoch: the history's last row (accuracy and val_accuracy, 0..1; missing without validation).
        kept_epoch: the epoch whose weights were scored; None if it is not known.
    """
    _say(console, f"\nScore on {evaluation.split} ({evaluation.images:,} images)", style="bold")
    console.print(_score_table(evaluation))
    _say(console, _copies_sentence(evaluation))
    console.print()
    console.print(_class_table(evaluation))
    console.print()
    _say(console, overfitting_sentence(last_epoch.get("accuracy"), last_epoch.get("val_accuracy")))
    kept = f"Kept: epoch {kept_epoch}." if kept_epoch is not None else ""
    _say(console, " ".join(filter(None, (kept, evaluation.chosen_on))))


def overfitting_sentence(training: float | None, validation: float | None) -> str:
    """Returns the last epoch's training and validation accuracy (0..1) and, in words, what their gap means."""
    if training is None or validation is None:
        return "There were no validation images, so overfitting cannot be judged."
    gap = 100 * (training - validation)
    figures = f"Last epoch: {training:.1%} of the training images right, {validation:.1%} of the validation images"
    if gap <= 0:
        return f"{figures}: no overfitting (dropout and augmentation make training images harder)."
    if gap < SMALL_GAP_POINTS:
        return f"{figures}: a gap of {gap:.1f} points, no overfitting to speak of."
    if gap <= LARGE_GAP_POINTS:
        return f"{figures}: a gap of {gap:.1f} points, some overfitting."
    return (
        f"{figures}: a gap of {gap:.1f} points, strong overfitting: it learns the training images by heart. "
        "Augmentation (--flip --rotation 15 --shift 0.1), more dropout or more images help."
    )


def print_audit(console: "Console", audit: "Audit") -> None:
    """Prints the images per class and part, copies and contradictions within and across parts, blank and unreadable."""
    _say(console, f"\nImages of {audit.name}", style="bold")
    console.print(_audit_table(audit))
    console.print()
    for shared in audit.shared:
        _say(console, _shared_sentence(shared))
    _say(console, _named_images("blank (hardly any difference between their pixels)", audit.blank))
    _say(console, _named_images("unreadable", [image.name for image in audit.unreadable]))


def _audit_table(audit: "Audit") -> "Table":
    from rich.text import Text

    table = _table(header_style="bold")
    table.add_column("class", overflow="fold")
    for part in audit.parts:
        table.add_column(Text(part.name), justify="right", no_wrap=True)
        table.add_column("", justify="right", no_wrap=True)
    totals = [sum(part.images.values()) for part in audit.parts]
    for label in audit.labels:
        counts = [part.images.get(label, 0) for part in audit.parts]
        table.add_row(Text(label), *_counts_and_shares(counts, totals))
    table.add_row("all", *_counts_and_shares(totals, []), style="bold")
    table.add_row("extra copies", *_counts_and_shares([part.extra_copies for part in audit.parts], totals))
    table.add_row("contradictions*", *_counts_and_shares([len(part.conflicting) for part in audit.parts], []))
    table.caption = "* pictures that occur with more than one label"
    table.caption_justify = "left"
    return table


def _counts_and_shares(counts: Sequence[int], totals: Sequence[int]) -> Iterator[str]:
    for count, total in zip_longest(counts, totals):
        yield f"{count:,}"
        yield f"{count / total:.1%}" if total else ""


def _shared_sentence(shared: "SharedImages") -> str:
    if shared.images == 0:
        return f"No image of {shared.part} occurs in {shared.other} too."
    other_label = f", {shared.other_label:,} of them only with another label" if shared.other_label else ""
    return f"{shared.images:,} images of {shared.part} also occur in {shared.other}{other_label}."


def _named_images(what: str, names: Sequence[str]) -> str:
    if not names:
        return f"No image is {what}."
    first = ", ".join(names[:FIRST_NAMES]) + (" …" if len(names) > FIRST_NAMES else "")
    return f"{len(names):,} {'image is' if len(names) == 1 else 'images are'} {what}: {first}"


def _score_table(evaluation: Evaluation) -> "Table":
    table = _table()
    table.add_column()
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    table.add_row("loss", f"{evaluation.loss:.3f}", "")
    table.add_row("accuracy", f"{evaluation.accuracy:.1%}", _interval_text(evaluation.accuracy_interval))
    table.add_row("macro F1", f"{evaluation.macro_f1:.1%}", _interval_text(evaluation.macro_f1_interval))
    return table


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


def _class_table(evaluation: Evaluation) -> "Table":
    from rich.text import Text

    table = _table(header_style="bold")
    table.add_column("class", overflow="fold")
    for column in ("precision", "recall", "F1", "images"):
        table.add_column(column, justify="right", no_wrap=True)
    for label, score in evaluation.per_class.items():
        shares = (score.precision, score.recall, score.f1)
        table.add_row(Text(label), *(f"{value:.1%}" for value in shares), f"{score.images:,}")
    averages = (evaluation.precision, evaluation.recall, evaluation.macro_f1)
    table.add_row("macro average", *(f"{value:.1%}" for value in averages), f"{evaluation.images:,}", style="bold")
    return table


def _interval_text(interval: Interval) -> str:
    return f"95% interval {interval[0]:.1%} to {interval[1]:.1%}"


def _table(**options) -> "Table":
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header="header_style" in options, **options)


def _say(console: "Console", text: str, *, style: str | None = None) -> None:
    if text:
        console.print(text, style=style, markup=False, highlight=False, emoji=False)
