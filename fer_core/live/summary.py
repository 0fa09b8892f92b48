"""What came of a live session: share of time per emotion, changes, people, frames, milliseconds per stage.

Where nothing is followed (pictures), each picture counts one.
"""

from typing import TYPE_CHECKING, Any

from fer_core.evaluation.report import say
from fer_core.live.record import NOBODY, STAGES, Record

if TYPE_CHECKING:
    import pandas
    from rich.console import Console
    from rich.table import Table

MOST_COLUMNS = 5
LEAST_SECONDS = 0.05
"""A shorter time is printed as 0.0 s, and has no shares that are worth telling."""


def summarize(record: Record) -> dict[str, Any]:
    """Returns the summary as plain values; shares 0..1, people by number."""
    frames, faces = record.frames(), record.faces()
    of_pictures = bool(frames["is_picture"].any())
    people = faces[faces["person"] != NOBODY].groupby("person")
    span = frames["read_at"].iloc[-1] - frames["read_at"].iloc[0]
    changes = people["label"].apply(lambda labels: int((labels != labels.shift()).iloc[1:].sum()))
    return {
        "frames": {
            "read": len(frames),
            "dropped": int(frames["number"].max()) + 1 - len(frames),
            "with_face": int((frames["faces"] > 0).sum()),
            "per_second": round((len(frames) - 1) / span, 2) if span > 0 else 0.0,
        },
        "seconds": round(frames["held"].sum(), 3),
        "seconds_with_face": round(frames.loc[frames["faces"] > 0, "held"].sum(), 3),
        "shares_are_of": "faces" if of_pictures else "seconds",
        "faces": people.ngroups + int((faces["person"] == NOBODY).sum()),
        "all": _shares(record, faces, changes=int(changes.sum())),
        "people": [
            {"person": int(person)} | _shares(record, rows, changes=int(changes[person])) for person, rows in people
        ],
        "stages_ms": _stages_ms(frames),
    }


def print_summary(console: "Console", record: Record) -> None:
    """Prints the summary: readable at 80 columns and in a log file."""
    metadata = summarize(record)
    console.print()
    say(console, "Summary", style="bold")
    say(console, _frames_sentence(metadata, missing="dropped" if record.is_live else "skipped"))
    say(console, _faces_sentence(metadata))
    if metadata["faces"]:
        console.print()
        console.print(_share_table(metadata))
        hidden = len(metadata["people"]) - len(_listed(metadata))
        say(console, f"{hidden:,} more people, seen for a shorter time, are in the column of all." if hidden else "")
    if metadata["stages_ms"]:
        console.print()
        console.print(_stage_table(metadata["stages_ms"]))
    if record.problem:
        say(console, record.problem)


def _shares(record: Record, faces: "pandas.DataFrame", *, changes: int) -> dict[str, Any]:
    """Returns shares that sum to 1 (by label while sure, and unsure), seconds and changes of the label."""
    total = float(faces["held"].sum())
    seconds = faces[~faces["unsure"]].groupby("label")["held"].sum()
    share = 1 / total if total else 0.0
    return {
        "seconds": round(total, 3),
        "shares": {
            label: round(float(seconds.get(number, 0.0)) * share, 4) for number, label in enumerate(record.labels)
        },
        "unsure": round(float(faces.loc[faces["unsure"], "held"].sum()) * share, 4),
        "changes": changes,
        "changes_per_minute": round(60 * changes / total, 2) if total else 0.0,
    }


def _stages_ms(frames: "pandas.DataFrame") -> dict[str, dict[str, float]]:
    milliseconds = (1000 * frames[list(STAGES)].astype("float64")).dropna(axis="columns", how="all")
    return {
        stage: {"mean": round(times.mean(), 3), "p95": round(times.quantile(0.95), 3)}
        for stage, times in milliseconds.items()
    }


def _frames_sentence(metadata: dict[str, Any], *, missing: str) -> str:
    frames = metadata["frames"]
    if metadata["shares_are_of"] == "faces":
        return f"{_counted(frames['read'], 'picture')} read, {frames['with_face']:,} of them with a face."
    rate = f", {frames['per_second']:.1f} frames/s" if frames["per_second"] else ""
    read = f"{_counted(frames['read'], 'frame')} read, {frames['dropped']:,} {missing}"
    return f"{read}{rate}; {_time(metadata['seconds'])} long."


def _faces_sentence(metadata: dict[str, Any]) -> str:
    faces, seconds = metadata["faces"], metadata["seconds"]
    if not faces:
        return "No face was seen."
    if metadata["shares_are_of"] == "faces":
        return f"{_counted(faces, 'face')}."
    people = "1 person" if faces == 1 else f"{faces:,} people"
    share = f" ({metadata['seconds_with_face'] / seconds:.0%} of the time)" if seconds >= LEAST_SECONDS else ""
    return f"{people}; somebody was seen for {_time(metadata['seconds_with_face'])}{share}."


def _share_table(metadata: dict[str, Any]) -> "Table":
    from rich.text import Text

    columns = (
        metadata["people"]
        if metadata["faces"] == len(metadata["people"]) == 1
        else [metadata["all"], *_listed(metadata)]
    )
    is_of_pictures = metadata["shares_are_of"] == "faces"
    table = _table("share of the faces" if is_of_pictures else "share of the time")
    for column in columns:
        table.add_column(f"#{column['person']}" if "person" in column else "all", justify="right", no_wrap=True)
    for label in metadata["all"]["shares"]:
        table.add_row(Text(label), *(_percent(column["shares"].get(label, 0.0)) for column in columns))
    table.add_row("unsure", *(_percent(column["unsure"]) for column in columns), style="dim")
    if not is_of_pictures:
        table.add_row("seen for", *(_time(column["seconds"]) for column in columns))
        table.add_row("label changes", *(f"{column['changes']:,}" for column in columns))
        table.add_row("  per minute", *(f"{column['changes_per_minute']:.1f}" for column in columns))
    return table


def _stage_table(stages: dict[str, dict[str, float]]) -> "Table":
    from rich.text import Text

    table = _table("time per frame")
    for name in ("mean", "95 % under"):  # most frames need no detection, and its median says nothing
        table.add_column(name, justify="right", no_wrap=True)
    for name, milliseconds in stages.items():
        table.add_row(Text(name), *(f"{milliseconds[key]:.2f} ms" for key in ("mean", "p95")))
    return table


def _listed(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """The people seen longest, by number."""
    longest = sorted(metadata["people"], key=lambda person: -person["seconds"])[:MOST_COLUMNS]
    return sorted(longest, key=lambda person: person["person"])


def _table(first: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column(first, overflow="fold", max_width=24)
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
