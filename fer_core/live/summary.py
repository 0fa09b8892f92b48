"""What came of a live session: every frame's data in a temporary file, and at the end the shares of time per emotion.

Takes bounded memory however long the session is; a day of one face is some 150 MB on the disk. pandas is imported at
the end, not before. Where nobody is followed (pictures), each picture counts one.
"""

import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from fer_core.live.frame import Shown, Sink

if TYPE_CHECKING:
    import pandas

STAGES = ("detect", "track", "classify", "smooth", "draw")
NOBODY = 0
"""The person's number where nobody is followed."""
_FRAME = np.dtype(
    [("number", "<i8"), ("seconds", "<f8"), ("read_at", "<f8"), ("faces", "<i4"), ("is_picture", "?")]
    + [(stage, "<f4") for stage in STAGES]
)
_LONGEST_HOLD_SECONDS = 1.0
"""A prediction stands for the time since the frame before, at most so long: a lost stream is no emotion."""
_FIRST_FRAME_SECONDS = 1 / 30
"""What the first frame counts, which has none before it."""


class Record(Sink):
    """Frames and the faces in them, one row each. `problem` says why nothing more could be kept, else it is empty."""

    def __init__(self, labels: Sequence[str], *, is_live: bool = True):
        """`labels`: the model's, in its order. `is_live`: missing frames were dropped; those of a file are damaged."""
        self.labels, self.is_live, self.problem = tuple(labels), is_live, ""
        self.count = 0
        self._face = np.dtype(
            [("frame", "<i8"), ("person", "<i4"), ("label", "<i2"), ("unsure", "?")]
            + [(str(number), "<f4") for number in range(len(labels))]
        )
        self._frames, self._faces = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115 - until `close`

    def write(self, shown: Shown) -> None:
        """Keeps one frame; frames come in their order. Where there is no room any more, what is there is kept."""
        if self.problem:
            return
        frame, stages = shown.frame, [shown.stage_seconds.get(stage, np.nan) for stage in STAGES]
        row = (frame.number, frame.seconds, frame.read_at, len(shown.predictions), bool(frame.name), *stages)
        try:
            for one in shown.predictions:
                shares = (one.probabilities[name] for name in self.labels)
                face = (self.count, one.person or NOBODY, self.labels.index(one.label), one.unsure, *shares)
                self._faces.write(np.array([face], self._face).tobytes())
            self._frames.write(np.array([row], _FRAME).tobytes())
        except OSError as error:
            self.problem = f"The summary is of the first {self.count:,} frames: {error.strerror}."
            return
        self.count += 1

    def frames(self) -> "pandas.DataFrame":
        """Returns a row for each frame, with the seconds that it stands for as `held` (1 for a picture)."""
        import pandas

        frames = pandas.DataFrame(_rows(self._frames, _FRAME)[: self.count])
        frames["held"] = frames["seconds"].diff().clip(0, _LONGEST_HOLD_SECONDS).fillna(_FIRST_FRAME_SECONDS)
        frames.loc[frames["is_picture"], "held"] = 1.0
        return frames

    def faces(self) -> "pandas.DataFrame":
        """Returns a row for each face: `frame` (its row), `seconds`, `held`, `person`, `label`, `unsure`, `0`, `1` … .

        `label` is its number, and so are the names of the columns with the probabilities.
        """
        import pandas

        faces = pandas.DataFrame(_rows(self._faces, self._face))
        faces = faces[faces["frame"] < self.count]
        return faces.join(self.frames()[["seconds", "held"]], on="frame")

    def close(self) -> None:
        """Gives the room on the disk back; may be called again."""
        self._frames.close()
        self._faces.close()


def summarize(record: Record) -> dict[str, Any]:
    """Returns the summary as plain values; shares 0..1, people by number."""
    frames, faces = record.frames(), record.faces()
    with_face = frames["faces"] > 0
    people = faces[faces["person"] != NOBODY].groupby("person")
    span = frames["read_at"].iloc[-1] - frames["read_at"].iloc[0]
    changes = people["label"].apply(lambda labels: int((labels != labels.shift()).iloc[1:].sum()))
    milliseconds = (1000 * frames[list(STAGES)].astype("float64")).dropna(axis="columns", how="all")
    return {
        "frames": {
            "read": len(frames),
            "dropped": int(frames["number"].max()) + 1 - len(frames),
            "with_face": int(with_face.sum()),
            "per_second": round((len(frames) - 1) / span, 2) if span > 0 else 0.0,
        },
        "seconds": round(frames["held"].sum(), 3),
        "seconds_with_face": round(frames.loc[with_face, "held"].sum(), 3),
        "shares_are_of": "faces" if frames["is_picture"].any() else "seconds",
        "faces": people.ngroups + int((faces["person"] == NOBODY).sum()),
        "all": _shares(record, faces, changes=int(changes.sum())),
        "people": [
            {"person": int(person)} | _shares(record, rows, changes=int(changes[person])) for person, rows in people
        ],
        "stages_ms": {
            stage: {"mean": round(times.mean(), 3), "p95": round(times.quantile(0.95), 3)}
            for stage, times in milliseconds.items()
        },
    }


def _shares(record: Record, faces: "pandas.DataFrame", *, changes: int) -> dict[str, Any]:
    """Returns shares that sum to 1 (by label while sure, and unsure), seconds and changes of the label."""
    total = float(faces["held"].sum())
    share = 1 / total if total else 0.0
    sure = (faces[~faces["unsure"]].groupby("label")["held"].sum() * share).round(4)
    return {
        "seconds": round(total, 3),
        "shares": {label: float(sure.get(number, 0.0)) for number, label in enumerate(record.labels)},
        "unsure": round(float(faces.loc[faces["unsure"], "held"].sum()) * share, 4),
        "changes": changes,
        "changes_per_minute": round(60 * changes * share, 2),
    }


def _rows(file: BinaryIO, dtype: np.dtype) -> np.ndarray:
    file.seek(0)
    data = file.read()
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
