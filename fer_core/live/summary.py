"""What came of a live session: share of time per emotion, changes, people, frames, milliseconds per stage.

Takes bounded memory however long the session is. Where nothing is followed (pictures), each picture counts one.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fer_core.evaluation.report import say
from fer_core.live.tally import Durations, Tally
from fer_core.live.timeline import Timeline

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fer_core.live.frame import Frame
    from fer_core.live.prediction import Prediction

LONGEST_HOLD_SECONDS = 1.0
"""A reading stands for the time since the frame before, at most so long: a pause or a lost stream is no emotion."""
FIRST_FRAME_SECONDS = 1 / 30
"""What the first frame counts, which has none before it."""
MOST_PEOPLE = 200
"""Listed one by one; of more, those seen least are summed up once they are gone."""
GONE_SECONDS = 10.0
MOST_COLUMNS = 5
LEAST_SECONDS = 0.05
"""A shorter time is printed as 0.0 s, and has no shares that are worth telling."""


class Summary:
    """Is told of every frame, and says at the end what came of them."""

    def __init__(self, labels: Sequence[str], *, is_live: bool = True):
        """`labels`: the model's, in its order. `is_live`: missing frames were dropped; those of a file are damaged."""
        self.labels, self.is_live = tuple(labels), is_live
        self.is_of_pictures = False
        """Whether the frames are single pictures, so that shares count faces and not seconds."""
        self.timeline = Timeline(labels)
        self._people: dict[int, Tally] = {}
        self._others, self._others_count = Tally(), 0
        self._in_pictures, self._faces_in_pictures = Tally(), 0
        self._stages: dict[str, Durations] = {}
        self.frames = self._with_face = 0
        self._next_number = 0
        self._face_seconds = self._seconds = 0.0
        self._last_frame_seconds: float | None = None
        self._read_at: tuple[float, float] | None = None

    def add(self, frame: "Frame", predictions: Sequence["Prediction"], stage_seconds: Mapping[str, float]) -> None:
        """Counts one frame; frames come in their order.

        Args:
            predictions: of this frame.
            stage_seconds: what each stage of reading it took.
        """
        held = self._held(frame)
        self.is_of_pictures = bool(frame.name)
        self.frames += 1
        self._next_number = max(self._next_number, frame.number + 1)
        self._read_at = (self._read_at[0] if self._read_at else frame.read_at, frame.read_at)
        self._seconds += held
        if predictions:
            self._with_face += 1
            self._face_seconds += held
        for prediction in predictions:
            self._count(prediction, held, frame.seconds)
        for stage, seconds in stage_seconds.items():
            self._stages.setdefault(stage, Durations()).add(seconds)
        self.timeline.add(frame, predictions)

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain values; shares 0..1, people by number."""
        everybody = Tally()
        for tally in (*self._people.values(), self._others, self._in_pictures):
            everybody.merge(tally)
        return {
            "frames": self._frames_json(),
            "seconds": round(self._seconds, 3),
            "seconds_with_face": round(self._face_seconds, 3),
            "shares_are_of": "faces" if self.is_of_pictures else "seconds",
            "faces": len(self._people) + self._others_count + self._faces_in_pictures,
            "all": everybody.to_json(self.labels),
            "people": [
                {"person": number} | self._people[number].to_json(self.labels) for number in sorted(self._people)
            ],
            "people_not_listed": self._others_count,
            "stages_ms": {name: stage.to_json() for name, stage in self._stages.items()},
        }

    def _frames_json(self) -> dict[str, Any]:
        first, last = self._read_at or (0.0, 0.0)
        return {
            "read": self.frames,
            "dropped": self._next_number - self.frames,
            "with_face": self._with_face,
            "per_second": round((self.frames - 1) / (last - first), 2) if last > first else 0.0,
        }

    def _held(self, frame: "Frame") -> float:
        before, self._last_frame_seconds = self._last_frame_seconds, frame.seconds
        if frame.name:
            return 1.0
        if before is None:
            return FIRST_FRAME_SECONDS
        return min(max(frame.seconds - before, 0.0), LONGEST_HOLD_SECONDS)

    def _count(self, prediction: "Prediction", seconds: float, now: float) -> None:
        if prediction.person is None:
            self._faces_in_pictures += 1
            self._in_pictures.add(prediction, seconds)
            self._in_pictures.changes = 0  # these are different faces
            return
        if prediction.person not in self._people and len(self._people) >= MOST_PEOPLE:
            self._sum_up_somebody(now)
        tally = self._people.setdefault(prediction.person, Tally())
        tally.add(prediction, seconds)
        tally.last_seconds = now

    def _sum_up_somebody(self, now: float) -> None:
        """Moves the person who was seen least, of those who are gone, to the others."""

        def importance(person: int) -> tuple[bool, float]:
            tally = self._people[person]
            return now - tally.last_seconds < GONE_SECONDS, tally.total

        self._others.merge(self._people.pop(min(self._people, key=importance)))
        self._others_count += 1


def print_summary(console: "Console", summary: Summary) -> None:
    """Prints the summary: readable at 80 columns and in a log file."""
    metadata = summary.to_json()
    console.print()
    say(console, "Summary", style="bold")
    say(console, _frames_sentence(metadata, missing="dropped" if summary.is_live else "skipped"))
    say(console, _faces_sentence(metadata))
    if metadata["faces"]:
        console.print()
        console.print(_share_table(metadata))
        hidden = len(metadata["people"]) + metadata["people_not_listed"] - len(_listed(metadata))
        say(console, f"{hidden:,} more people, seen for a shorter time, are in the column of all." if hidden else "")
    if metadata["stages_ms"]:
        console.print()
        console.print(_stage_table(metadata["stages_ms"]))


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
