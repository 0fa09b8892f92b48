"""What is printed of the live view: predictions as JSON lines or in words, and the summary at the end."""

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_core.cli.command_line import say
from fer_core.live.frame import Shown, Sink
from fer_core.live.output import Record
from fer_core.live.prediction import Prediction
from fer_core.live.summary import summarize

MOST_COLUMNS = 5
LEAST_SECONDS = 0.05
"""A shorter time is printed as 0.0 s, and has no shares that are worth printing."""


class JsonLines(Sink):
    """Prints one JSON object per frame."""

    def write(self, shown: Shown) -> None:
        """Prints the frame's predictions."""
        print_line(json.dumps(shown.to_json(), allow_nan=False))


def in_words(predictions: tuple[Prediction, ...]) -> str:
    """Returns the predictions for one picture as a phrase: 'no face', 'happy 97%', '2 faces: sad 61%, …'."""
    phrases = [f"{one.label} {one.confidence:.0%}" for one in predictions]
    phrases = [f"unsure ({phrase})" if one.unsure else phrase for one, phrase in zip(predictions, phrases, strict=True)]
    if len(phrases) > 1:
        return f"{len(phrases)} faces: {', '.join(phrases)}"
    return phrases[0] if phrases else "no face"


def print_line(text: str) -> None:
    """Prints one JSON line at once, so that the next program in a pipe need not wait. Raises OSError on a full disk."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_summary(console: Console, record: Record) -> None:
    """Prints the summary: readable at 80 columns and in a log file."""
    summary = summarize(record)
    people = sorted(summary["people"], key=lambda person: -person["seconds"])
    listed = sorted(people[:MOST_COLUMNS], key=lambda person: person["person"])
    console.print()
    console.print("Summary", style="bold")
    say(console, _frames_sentence(summary, missing="dropped" if record.is_live else "skipped"))
    say(console, _faces_sentence(summary))
    if summary["faces"]:
        console.print()
        console.print(
            _share_table(summary, listed if summary["faces"] == len(people) == 1 else [summary["all"], *listed])
        )
        if hidden := len(people) - len(listed):
            say(console, f"{hidden:,} more people, seen for a shorter time, are in the column of all.")
    if summary["stages_ms"]:
        console.print()
        table = _table("time per frame", "mean", "95 % under")  # most frames need no detection: its median says nothing
        for stage, milliseconds in summary["stages_ms"].items():
            table.add_row(stage, *(f"{milliseconds[key]:.2f} ms" for key in ("mean", "p95")))
        console.print(table)
    if record.problem:
        say(console, record.problem)


def _frames_sentence(summary: dict[str, Any], *, missing: str) -> str:
    frames = summary["frames"]
    if summary["shares_are_of"] == "faces":
        return f"{_counted(frames['read'], 'picture')} read, {frames['with_face']:,} of them with a face."
    rate = f", {frames['per_second']:.1f} frames/s" if frames["per_second"] else ""
    read = f"{_counted(frames['read'], 'frame')} read, {frames['dropped']:,} {missing}"
    return f"{read}{rate}; {_time(summary['seconds'])} long."


def _faces_sentence(summary: dict[str, Any]) -> str:
    faces, seconds, seen = summary["faces"], summary["seconds"], summary["seconds_with_face"]
    if not faces:
        return "No face was seen."
    if summary["shares_are_of"] == "faces":
        return f"{_counted(faces, 'face')}."
    people = "1 person" if faces == 1 else f"{faces:,} people"
    share = f" ({seen / seconds:.0%} of the time)" if seconds >= LEAST_SECONDS else ""
    return f"{people}; somebody was seen for {_time(seen)}{share}."


def _share_table(summary: dict[str, Any], columns: list[dict[str, Any]]) -> Table:
    of = summary["shares_are_of"].replace("seconds", "time")
    table = _table(f"share of the {of}", *(f"#{one['person']}" if "person" in one else "all" for one in columns))
    for label in summary["all"]["shares"]:
        table.add_row(Text(label), *(_percent(column["shares"].get(label, 0.0)) for column in columns))
    table.add_row("unsure", *(_percent(column["unsure"]) for column in columns), style="dim")
    if of == "time":
        table.add_row("seen for", *(_time(column["seconds"]) for column in columns))
        table.add_row("label changes", *(f"{column['changes']:,}" for column in columns))
        table.add_row("  per minute", *(f"{column['changes_per_minute']:.1f}" for column in columns))
    return table


def _table(first: str, *names: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, overflow="fold", max_width=24)
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _percent(share: float) -> str:
    return f"{share:.0%}" if share == 0 or share >= 0.005 else "<1%"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d} min" if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02d} h"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
