"""Keeps how each person's probabilities went over time, in bounded memory, and writes it as `timeline.png`.

Drawing is in `timeline_figure.py`. Readings without a person number (single pictures) have no course and are ignored.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_core.live.timeline_figure import DOTS_PER_INCH, timeline_figure
from fer_core.store.files import replacing

if TYPE_CHECKING:
    from fer_core.live.frame import Frame
    from fer_core.live.prediction import Prediction

MOST_POINTS = 2000
"""Of one person: more than a plot has pixels across."""
FIRST_POINT_SECONDS = 1 / 64
MOST_COURSES = 16
MOST_DRAWN = 8
LEAST_SECONDS = 1.0
LONGEST_BLINK_SECONDS = 0.5
"""A detector may miss a face for so long without a gap in the plot."""
LONGEST_STEP_SECONDS = 5.0
"""Between two frames: above it the source was gone, and that is a gap for everybody."""


class Points(NamedTuple):
    """One person's course, n points of k labels."""

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


class Course:
    """One person's probabilities over time. When there are too many points, neighbours are merged in pairs."""

    def __init__(self, person: int, labels: int):
        """`labels`: how many."""
        self.person = person
        self.seen_seconds = 0.0
        self.last_seconds = 0.0
        self.last_frame = -1
        self._labels = labels
        self._width = FIRST_POINT_SECONDS
        self._count = 0
        self._bins = np.zeros(64, np.int64)
        self._begins = np.zeros(64, bool)
        # Columns: readings, seconds, unsure readings, shares of each label, readings shown as each label.
        self._sums = np.zeros((64, 3 + 2 * labels))

    def add(self, seconds: float, shares: Sequence[float], *, label: int, unsure: bool, begins: bool) -> None:
        """Adds a reading; `begins` says that the face was not seen just before."""
        row = self._row(seconds, begins=begins)
        sums = self._sums[row]
        sums[:3] += (1, seconds, unsure)
        sums[3 : 3 + self._labels] += shares
        sums[3 + self._labels + label] += 1

    @property
    def points(self) -> Points:
        """The course so far."""
        count, labels = self._count, self._labels
        sums = self._sums[:count]
        predictions = np.maximum(sums[:, 0], 1)
        return Points(
            seconds=sums[:, 1] / predictions,
            shares=sums[:, 3 : 3 + labels] / predictions[:, None],
            label=sums[:, 3 + labels :].argmax(axis=1),
            unsure=sums[:, 2] > predictions / 2,
            begins=self._begins[:count].copy(),
            width=self._width,
        )

    def _row(self, seconds: float, *, begins: bool) -> int:
        place = int(seconds // self._width)
        if self._count and place <= self._bins[self._count - 1]:
            return self._count - 1
        if self._count == MOST_POINTS:
            self._merge_pairs()
            return self._row(seconds, begins=begins)
        if self._count == len(self._bins):
            self._bins, self._begins, self._sums = (_doubled(a) for a in (self._bins, self._begins, self._sums))
        self._bins[self._count], self._begins[self._count] = place, begins or not self._count
        self._count += 1
        return self._count - 1

    def _merge_pairs(self) -> None:
        """Twice the time per point; where a pair is one that a gap divides, the gap was too short to be seen."""
        self._width *= 2
        bins, first = np.unique(self._bins[: self._count] // 2, return_index=True)
        sums = np.add.reduceat(self._sums[: self._count], first, axis=0)
        begins = self._begins[first]
        self._count = len(bins)
        self._bins[: self._count], self._begins[: self._count], self._sums[: self._count] = bins, begins, sums
        self._sums[self._count :] = 0


class Timeline:
    """The courses of the people who were seen longest, and how many others there were."""

    def __init__(self, labels: Sequence[str]):
        self.labels = tuple(labels)
        self._numbers = {label: number for number, label in enumerate(self.labels)}
        self._courses: dict[int, Course] = {}
        self._dropped: list[int] = [0, 0]
        self._last_seconds: float | None = None
        self._frames = 0

    def add(self, frame: "Frame", predictions: Sequence["Prediction"]) -> None:
        """Adds the readings of one frame; frames come in the order of time."""
        now = frame.seconds
        step = now - self._last_seconds if self._last_seconds is not None else 0.0
        for prediction in predictions:
            if prediction.person is not None and prediction.label in self._numbers:
                self._add(prediction, now, step)
        self._last_seconds = now
        self._frames += 1

    @property
    def drawn(self) -> list[Course]:
        """At most eight people who were seen for a second or longer, those seen longest, by number."""
        longest = sorted(self._long_enough(), key=lambda course: -course.seen_seconds)[:MOST_DRAWN]
        return sorted(longest, key=lambda course: course.person)

    @property
    def left_out(self) -> tuple[int, int]:
        """How many people are not drawn: seen for less than a second, and for longer but less than those drawn."""
        long = len(self._long_enough())
        return self._dropped[0] + len(self._courses) - long, self._dropped[1] + long - len(self.drawn)

    def _long_enough(self) -> list[Course]:
        return [course for course in self._courses.values() if course.seen_seconds >= LEAST_SECONDS]

    def _add(self, prediction: "Prediction", now: float, step: float) -> None:
        course = self._courses.get(prediction.person) or self._new_course(prediction.person)
        absent = now - course.last_seconds
        missed = course.last_frame != self._frames - 1
        begins = step > LONGEST_STEP_SECONDS or (missed and absent > LONGEST_BLINK_SECONDS)
        if not begins and course.last_frame >= 0:
            course.seen_seconds += absent
        shares = [prediction.probabilities.get(label, 0.0) for label in self.labels]
        course.add(now, shares, label=self._numbers[prediction.label], unsure=prediction.unsure, begins=begins)
        course.last_seconds, course.last_frame = now, self._frames

    def _new_course(self, person: int) -> Course:
        """Of too many people, one who is not there now and was seen least gives way."""
        if len(self._courses) >= MOST_COURSES:
            is_here = self._frames - 1
            least = min(self._courses.values(), key=lambda one: (one.last_frame >= is_here, one.seen_seconds))
            self._dropped[least.seen_seconds >= LEAST_SECONDS] += 1
            del self._courses[least.person]
        self._courses[person] = Course(person, len(self.labels))
        return self._courses[person]


def _doubled(array: np.ndarray) -> np.ndarray:
    return np.concatenate([array, np.zeros_like(array)])


def save_timeline(timeline: Timeline, path: Path, *, title: str) -> bool:
    """Writes the plot, whole or not at all, and returns True; False if nobody was seen for a second.

    `title`: of what and by which model. Raises DiskFullError.
    """
    if not timeline.drawn:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        timeline_figure(timeline, title=title).savefig(temporary, dpi=DOTS_PER_INCH)
    return True
