"""Keeps what was read in every frame, in a temporary file, for the summary and the timeline at the end.

Takes bounded memory however long the session is; a day of one face is some 150 MB on the disk. pandas is imported when
the tables are asked for, not before.
"""

import tempfile
from collections.abc import Sequence
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO

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
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        self._face = np.dtype(
            [("frame", "<i8"), ("person", "<i4"), ("label", "<i2"), ("unsure", "?")]
            + [(label, "<f4") for label in map(str, range(len(labels)))]
        )
        self._pack_frame = Struct(f"<qddi?{len(STAGES)}f").pack
        self._pack_face = Struct(f"<qih?{len(labels)}f").pack
        self._frames, self._faces = (tempfile.TemporaryFile() for _ in range(2))  # noqa: SIM115 - until `close`

    def write(self, shown: Shown) -> None:
        """Keeps one frame; frames come in their order. Where there is no room any more, what is there is kept."""
        if self.problem:
            return
        frame, stages = shown.frame, [shown.stage_seconds.get(stage, np.nan) for stage in STAGES]
        counts = (frame.number, frame.seconds, frame.read_at, len(shown.predictions), bool(frame.name))
        try:
            for one in shown.predictions:
                label = self._numbers[one.label]
                shares = [one.probabilities[name] for name in self.labels]
                self._faces.write(self._pack_face(self.count, one.person or NOBODY, label, one.unsure, *shares))
            self._frames.write(self._pack_frame(*counts, *stages))
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


def _rows(file: BinaryIO, dtype: np.dtype) -> np.ndarray:
    file.seek(0)
    data = file.read()
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)
