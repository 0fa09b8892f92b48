"""Says in the terminal what a model scores and what a data set holds; readable at 80 columns and in a log file."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from fer_core.errors import printable
from fer_core.evaluation.metrics import Evaluation, Interval, difference_interval

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
    console: "Console",
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
    console: "Console",
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
    console.print(_score_table(evaluation))
    say(console, " ".join(filter(None, (_copies_sentence(evaluation), compared_with))))
    console.print()
    console.print(_class_table(evaluation, average_precision))
    say(console, _not_measured_sentence(evaluation))


def overfitting_sentence(training: float | None, validation: float | None, *, images: tuple[int, int]) -> str:
    """Returns the last epoch's training and validation accuracy, and what their gap means as far as its interval says.

    Args:
        training, validation: 0..1. images: how many train and validate.
    """
    if training is None or validation is None:
        return "There were no validation images, so overfitting cannot be judged."
    right = (round(training * images[0]), images[0]), (round(validation * images[1]), images[1])
    low, high = (100 * end for end in difference_interval(*right))
    gap = 100 * (training - validation)
    figures = f"Last epoch: {training:.1%} of the training images right, {validation:.1%} of the validation images"
    return f"{figures}: {_gap_in_words(gap, low, high)}"


def _gap_in_words(gap: float, low: float, high: float) -> str:
    """Returns what a gap with its 95 % interval means, in percentage points."""
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
        return "no overfitting (dropout and augmentation make training images harder)."
    return f"{measured}, no overfitting to speak of."


def print_audit(console: "Console", audit: "Audit") -> None:
    """Prints the images per class and part, copies and contradictions within and across parts, blank and unreadable."""
    say(console, f"\nImages of {audit.name}", style="bold")
    console.print(_audit_table(audit))
    console.print()
    for shared in audit.shared:
        say(console, _shared_sentence(shared))
    say(console, _named_images("blank (hardly any difference between their pixels)", audit.blank))
    say(console, _named_images("unreadable", [image.name for image in audit.unreadable]))


def _audit_table(audit: "Audit") -> "Table":
    from rich.text import Text

    table = new_table(header_style="bold")
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
    table = new_table()
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


def _class_table(evaluation: Evaluation, average_precision: Mapping[str, float | None] | None) -> "Table":
    from rich.text import Text

    headers = ["precision", "recall", "F1"]
    rows = {
        label: [score.precision, score.recall, score.f1] if score.images else [None, None, None]
        for label, score in evaluation.per_class.items()
    }
    averages = [evaluation.precision, evaluation.recall, evaluation.macro_f1]
    if average_precision:
        headers.append("avg. precision")
        rows = {label: [*shares, average_precision[label]] for label, shares in rows.items()}
        averages.append(_mean(average_precision.values()))
    table = new_table(header_style="bold")
    table.add_column("class", overflow="fold")
    for header in (*headers, "images"):
        table.add_column(header, justify="right", no_wrap=True)
    for label, shares in rows.items():
        table.add_row(Text(label), *map(_share, shares), f"{evaluation.per_class[label].images:,}")
    table.add_row("macro average", *map(_share, averages), f"{evaluation.images:,}", style="bold")
    return table


def _not_measured_sentence(evaluation: Evaluation) -> str:
    missing = [label for label, score in evaluation.per_class.items() if not score.images]
    return f"Not measured, as there is no image of it: {', '.join(missing)}." if missing else ""


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _interval_text(interval: Interval) -> str:
    return f"95% interval {interval[0]:.1%} to {interval[1]:.1%}"


def new_table(**options) -> "Table":
    """Returns an empty table without lines; with a `header_style` it has a header."""
    from rich.table import Table

    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header="header_style" in options, **options)


def say(console: "Console", text: str, *, style: str | None = None) -> None:
    """Prints a sentence, control characters written out, wrapped at the terminal's width; nothing where it is empty."""
    if text:
        console.print(printable(text), style=style, markup=False, highlight=False, emoji=False)
