"""How each person's probabilities went over time, from the record of a session. Drawing is in `timeline_figure.py`.

Single pictures, in which nobody is followed, have no course.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_core.live.record import NOBODY, Record

if TYPE_CHECKING:
    import pandas

MOST_POINTS = 2000
"""Of one person: more than a plot has pixels across."""
MOST_DRAWN = 8
LEAST_SECONDS = 1.0
LONGEST_BLINK_SECONDS = 0.5
"""A detector may miss a face for so long without a gap in the plot."""
LONGEST_STEP_SECONDS = 5.0
"""Between two frames: above it the source was gone, and that is a gap for everybody."""
SHORTEST_POINT_SECONDS = 1 / 64


class Course(NamedTuple):
    """One person over time, n points of k labels."""

    person: int
    seen_seconds: float
    seconds: np.ndarray
    """float64 (n,), rising."""
    shares: np.ndarray
    """float64 (n, k): the mean probabilities around that time."""
    label: np.ndarray
    """int64 (n,): the label shown most of that time."""
    unsure: np.ndarray
    """bool (n,): whether it was unsure most of that time."""
    begins: np.ndarray
    """bool (n,): the face was not seen just before."""
    width: float
    """Seconds that one point stands for."""


class Timeline(NamedTuple):
    """The courses of at most eight people, those seen longest, by number; and who is left out.

    `short` were seen for less than a second, `others` for longer but less than those drawn.
    """

    labels: tuple[str, ...]
    courses: list[Course]
    short: int
    others: int


def make_timeline(record: Record) -> Timeline:
    """Returns the courses of the people in a record."""
    faces, frames = record.faces(), record.frames()
    faces = faces[faces["person"] != NOBODY].sort_values(["person", "frame"])
    absent = faces.groupby("person")["seconds"].diff()
    missed = faces.groupby("person")["frame"].diff() > 1
    gone = faces["frame"].map(frames["seconds"].diff()) > LONGEST_STEP_SECONDS
    faces["begins"] = absent.isna() | gone | (missed & (absent > LONGEST_BLINK_SECONDS))
    seen = absent.where(~faces["begins"], 0.0).groupby(faces["person"]).sum()
    longest = seen[seen >= LEAST_SECONDS].sort_values(ascending=False, kind="stable")
    drawn = sorted(longest.index[:MOST_DRAWN])
    courses = [_course(person, seen[person], faces[faces["person"] == person], len(record.labels)) for person in drawn]
    return Timeline(record.labels, courses, short=len(seen) - len(longest), others=len(longest) - len(drawn))


def _course(person: int, seen_seconds: float, faces: "pandas.DataFrame", labels: int) -> Course:
    """Returns the mean of what was read in each of at most `MOST_POINTS` equal spans of time."""
    times = faces["seconds"]
    width = max(SHORTEST_POINT_SECONDS, (times.iloc[-1] - times.iloc[0]) / (MOST_POINTS - 1))
    spans = faces.groupby(((times - times.iloc[0]) // width).astype("int64"))
    shown = faces.groupby([spans.ngroup(), "label"]).size().unstack(fill_value=0)
    means = spans[["seconds", "unsure", *map(str, range(labels))]].mean()
    return Course(
        person=int(person),
        seen_seconds=float(seen_seconds),
        seconds=means["seconds"].to_numpy(),
        shares=means[list(map(str, range(labels)))].to_numpy(np.float64),
        label=shown.idxmax(axis="columns").to_numpy(),
        unsure=(means["unsure"] > 0.5).to_numpy(),
        begins=spans["begins"].any().to_numpy(),
        width=width,
    )
