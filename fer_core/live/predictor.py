"""`LivePredictor`: predictions for the frames of a video or a camera, for each person, and steadied over time.

Opens no source, draws nothing, and keeps no more than what the people in view need. Time is that of the frames: at any
rate, even or not, the same is shown.
"""

import math
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fer_core.data.face_picture import gray
from fer_core.errors import ConfigError
from fer_core.faces import DETECT_EVERY, Box, Detector, Face
from fer_core.faces.framing import square_of
from fer_core.live.classifier import Classifier, face_pictures, found_faces, framing_for
from fer_core.live.frame import Frame
from fer_core.live.prediction import (
    Prediction,
    ShownLabel,
    check_threshold,
    make_prediction,
    shown_of,
)
from fer_core.live.tracker import Flow, Track, Tracker

SMOOTHING_SECONDS = 0.5
SHORTEST_SECONDS = 0.3
"""Nothing is shown for less. A shorter label cannot be read, and looks like a fault."""
PATIENCE_SECONDS = 0.1
"""What changes and is back within this time is not shown: where two labels are level, noise decides."""
_HALF_LIFE = 0.9
"""Of the smoothing time, so that half the height is passed by then and not just reached."""
_STEADIEST_HERTZ, _HERTZ_PER_SPEED, _SPEED_HERTZ = 0.5, 8.0, 1.0
"""For a face of 200 pixels these leave a quarter of the detectors' trembling, and lag by 15 ms behind a fast one."""


class SeenFace(NamedTuple):
    """What the network saw, uint8 (side, side, channels), and the square of the frame that it was, in pixels."""

    picture: np.ndarray
    square: Box


class LivePredictor:
    """Reads frame after frame of one source: follows people, and steadies what is read in each of them.

    Call it from one thread. `stage_seconds` says how long the last frame took, by stage: detect, track, classify,
    smooth. `faces` has what the network saw of each person who was classified in the last frame.
    """

    def __init__(
        self,
        detector: Detector,
        classifier: Classifier,
        *,
        threshold: float | None = None,
        smoothing_seconds: float = SMOOTHING_SECONDS,
        detect_every: int = DETECT_EVERY,
    ):
        """`threshold`: a prediction with less confidence is unsure; None: that of the model.

        `smoothing_seconds`: a step has passed half its height by then; 0 = off, the label too.

        `detect_every`: faces are looked for once in so many frames, and followed in between.
        """
        check_threshold(threshold)
        for name, value, least in (("smoothing_seconds", smoothing_seconds, 0), ("detect_every", detect_every, 1)):
            if not value >= least:
                raise ConfigError(f"{name} is {value:g}.", hint=f"Give {least} or more.")
        self.detector, self.classifier = detector, classifier
        self._threshold, self._smoothing_seconds = threshold, smoothing_seconds
        self._detect_every = detect_every
        self._tracker, self._flow = Tracker(), Flow()
        self._people: dict[int, _Person] = {}
        self._until_detection = 0
        self.stage_seconds: Mapping[str, float] = {}
        self.faces: Mapping[int, SeenFace] = {}

    @property
    def threshold(self) -> float:
        """A prediction with less confidence is unsure."""
        return self.classifier.unsure_below if self._threshold is None else self._threshold

    @property
    def boxes(self) -> list[Box]:
        """Where faces are, or may be, right now: also those that are not certain yet, or hidden for a moment."""
        return [track.box for track in self._tracker.tracks]

    def use(self, *, detector: Detector | None = None, classifier: Classifier | None = None) -> None:
        """Goes on with another detector or model. People keep their numbers; for other labels all starts anew."""
        if detector is not None:
            self.detector, self._until_detection = detector, 0
        if classifier is not None:
            if classifier.labels != self.classifier.labels:
                self._people.clear()
            self.classifier = classifier

    def read(self, frame: Frame) -> list[Prediction]:
        """Returns a prediction for each person in view, also for those hidden for a moment, in the order of numbers.

        Who is not seen right now keeps the last prediction: what lies under the box may be something else.
        """
        times = [time.perf_counter()]
        frame_gray = gray(frame.picture_bgr)
        found = self._find(frame, frame_gray)
        times.append(time.perf_counter())
        self._track(frame_gray, found, frame.seconds)
        times.append(time.perf_counter())
        seen = frame_gray if self.classifier.colours == "gray" else frame.picture_bgr
        probabilities = self._classify(seen, [track for track in self._tracker.people if track.is_found])
        times.append(time.perf_counter())
        predictions = self._predictions(probabilities, frame.seconds)
        times.append(time.perf_counter())
        durations = np.diff(times).tolist()
        self.stage_seconds = dict(zip(("detect", "track", "classify", "smooth"), durations, strict=True))
        return predictions

    def _find(self, frame: Frame, frame_gray: np.ndarray) -> list[Face] | None:
        """Returns what the detector finds, None where it is not its turn."""
        if self._until_detection > 0 and not self._tracker.is_check_due:
            self._until_detection -= 1
            return None
        self._until_detection = self._detect_every - 1
        return found_faces(frame.picture_bgr, frame_gray, self.detector, self.classifier)

    def _track(self, frame_gray: np.ndarray, found: list[Face] | None, seconds: float) -> None:
        if found is not None:
            self._tracker.find(found, seconds)
            if self._detect_every > 1:
                self._flow.remember(frame_gray)
            return
        seen = [track for track in self._tracker.tracks if track.is_found]
        moves = self._flow.moves(frame_gray, [track.box for track in seen])
        self._tracker.follow(dict(zip(seen, moves, strict=True)), seconds)

    def _classify(self, frame: np.ndarray, seen: Sequence[Track]) -> dict[int, np.ndarray]:
        self.faces = {}
        if not seen:
            return {}
        people = [track.person for track in seen]
        pictures = face_pictures(frame, [track.face for track in seen], self.detector, self.classifier)
        framing = framing_for(self.detector, self.classifier)
        squares = (square_of(track.box, framing) for track in seen)
        self.faces = dict(zip(people, map(SeenFace, pictures, squares), strict=True))
        return dict(zip(people, self.classifier.classify(pictures), strict=True))

    def _predictions(self, probabilities: Mapping[int, np.ndarray], seconds: float) -> list[Prediction]:
        boxes = {track.person: track.box for track in self._tracker.people}
        self._people = {number: self._people.get(number) or _Person(self._smoothing_seconds) for number in boxes}
        predictions = []
        for number, person in self._people.items():
            if number in probabilities:
                person.classified(probabilities[number], seconds, threshold=self.threshold)
            if person.shown is not None:
                box, labels = person.box.update(boxes[number], seconds), self.classifier.labels
                predictions.append(
                    make_prediction(box, person.probabilities, person.shown, labels=labels, person=number)
                )
        return predictions


class _Person:
    """What is kept of one person in view: steadied probabilities, what is shown of them, and the box."""

    def __init__(self, smoothing_seconds: float):
        self._steady = SteadyProbabilities(smoothing_seconds)
        self._label = SteadyLabel() if smoothing_seconds > 0 else None
        self.box = SteadyBox()
        self.probabilities: np.ndarray | None = None
        self.shown: ShownLabel | None = None

    def classified(self, probabilities: np.ndarray, seconds: float, *, threshold: float) -> None:
        self.probabilities = self._steady.update(probabilities, seconds)
        right = shown_of(self.probabilities, threshold)
        self.shown = right if self._label is None else self._label.update(right, seconds)


class SteadyProbabilities:
    """An exponential mean over time, at any frame rate, even or not."""

    def __init__(self, smoothing_seconds: float):
        """A step has passed half its height after this time; 0 gives back what comes in."""
        self._half_life = _HALF_LIFE * smoothing_seconds
        self._value: np.ndarray | None = None
        self._at = -math.inf

    def update(self, probabilities: np.ndarray, seconds: float) -> np.ndarray:
        """Returns the mean, float64 (labels,); `probabilities` float (labels,) sum to 1, and so does the mean."""
        new = probabilities.astype(np.float64)
        if self._value is None or self._half_life == 0:
            self._value = new
        else:
            old_share = 0.5 ** (max(0.0, seconds - self._at) / self._half_life)
            self._value = old_share * self._value + (1 - old_share) * new
        self._at = max(self._at, seconds)
        return self._value


class SteadyLabel:
    """What is shown follows what the probabilities say, but nothing is shown for less than 0.3 s.

    It changes once it has differed for 0.1 s without a break, to what is right then; and not before it has been shown
    for 0.3 s. So it lags by 0.3 s and a frame at most. Only what comes last, before the source ends, may be shown for
    less: that nobody can know.
    """

    def __init__(self) -> None:
        self._shown: ShownLabel | None = None
        self._shown_since = self._last = 0.0
        self._differs_since: float | None = None

    def update(self, right: ShownLabel, seconds: float) -> ShownLabel:
        """Returns what to show at this time, when the probabilities of now say `right`."""
        if right == self._shown:
            self._differs_since = None
        elif self._differs_since is None:
            self._differs_since = seconds
        if self._differs_since is not None:
            # Until the frame before, since that is the last one that showed it.
            could_be_read = self._last - self._shown_since >= SHORTEST_SECONDS
            if self._shown is None or (could_be_read and seconds - self._differs_since >= PATIENCE_SECONDS):
                self._shown, self._shown_since, self._differs_since = right, seconds, None
        self._last = seconds
        return self._shown


class SteadyBox:
    """A box that does not tremble while a face is still, and hardly lags when it moves.

    The One Euro filter (Casiez, Roussel and Vogel, CHI 2012): a low-pass whose cutoff grows with the speed. Speeds are
    in widths of the face, so that near and far faces are treated alike.
    """

    def __init__(self) -> None:
        self._at: float | None = None
        self._raw = self._steady = self._speed = np.zeros(4)

    def update(self, box: Box, seconds: float) -> Box:
        """Returns the steadied box, in pixels like `box`."""
        x, y, width, height = box
        raw = np.array([x + width / 2, y + height / 2, width, height])
        elapsed = 0.0 if self._at is None else seconds - self._at
        if self._at is None:
            self._raw = self._steady = raw
        elif elapsed > 0:
            of_speed = _low_pass(_SPEED_HERTZ, elapsed)
            # of_speed / elapsed stays finite however short the time was; a way divided by it does not.
            per_way = of_speed / elapsed / max(width, 1.0)
            self._speed = (1 - of_speed) * self._speed + per_way * (raw - self._raw)
            share = _low_pass(_STEADIEST_HERTZ + _HERTZ_PER_SPEED * np.abs(self._speed), elapsed)
            self._steady, self._raw = self._steady + share * (raw - self._steady), raw
        self._at = seconds
        centre_x, centre_y, width, height = self._steady.tolist()
        return Box(centre_x - width / 2, centre_y - height / 2, width, height)


def _low_pass(cutoff_hertz: float | np.ndarray, elapsed: float) -> float | np.ndarray:
    """Returns how much of a new value a first-order low-pass takes after `elapsed` seconds."""
    turn = 2 * math.pi * cutoff_hertz * elapsed
    return turn / (turn + 1)
