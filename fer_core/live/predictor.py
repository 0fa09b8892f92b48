"""From pictures to predictions: `FacePredictor` for one picture, `LivePredictor` for the frames of a video or a camera.

Opens no source, draws nothing, and keeps no more than what the people in view need.
"""

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fer_core.data.face_picture import gray, network_input
from fer_core.errors import ConfigError
from fer_core.faces import DETECT_EVERY, Detector
from fer_core.faces.face import Box, Face
from fer_core.faces.framing import crop_face, square_of
from fer_core.live.classifier import Classifier, framing_for
from fer_core.live.frame import Frame
from fer_core.live.prediction import (
    UNSURE_BELOW,
    Prediction,
    ShownLabel,
    SteadyBox,
    SteadyLabel,
    SteadyProbabilities,
    make_prediction,
    shown_of,
)
from fer_core.live.tracker import Flow, Track, Tracker

SMOOTHING_SECONDS = 0.5


class FacePredictor:
    """Reads the faces of single pictures: uint8, gray (height, width), BGR or BGRA, any size.

    `detector` may be None where all pictures are faces already (`read_given`).
    """

    def __init__(self, detector: Detector | None, classifier: Classifier, *, threshold: float = UNSURE_BELOW):
        check_threshold(threshold)
        self.detector, self.classifier, self._threshold = detector, classifier, threshold

    def read(self, picture: np.ndarray) -> list[Prediction]:
        """Returns the prediction for each face found, largest face first. Raises ConfigError without a detector."""
        if self.detector is None:
            raise ConfigError(
                "This predictor has no detector, and cannot find faces.",
                hint="Open it with a detector, or say that the picture is a face already.",
            )
        picture_gray = gray(picture)
        has_colour = picture.ndim == 3 and picture.shape[2] == 3  # transparent parts are the same gray in both
        boxes = [face.box for face in self.detector.find(picture if has_colour else picture_gray)]
        if not boxes:
            return []
        faces = face_pictures(picture_gray, boxes, self.detector, self.classifier)
        return list(map(self._prediction, boxes, self.classifier.classify(faces)))

    def read_given(self, picture: np.ndarray) -> list[Prediction]:
        """Returns the one prediction for a picture that is a face already, cut out as in training; its box is all."""
        face = network_input(picture, side=self.classifier.side, channels=self.classifier.channels)
        height, width = picture.shape[:2]
        return [self._prediction(Box(0, 0, width, height), self.classifier.classify(face[np.newaxis])[0])]

    def _prediction(self, box: Box, probabilities: np.ndarray) -> Prediction:
        shown = shown_of(probabilities, self._threshold)
        return make_prediction(box, probabilities, shown, labels=self.classifier.labels)


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
        threshold: float = UNSURE_BELOW,
        smoothing_seconds: float = SMOOTHING_SECONDS,
        detect_every: int = DETECT_EVERY,
    ):
        """`smoothing_seconds`: a step has passed half its height by then; 0 = off, the label too.

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
        found = self._find(frame)
        times.append(time.perf_counter())
        frame_gray = gray(frame.picture_bgr)
        self._track(frame_gray, found, frame.seconds)
        times.append(time.perf_counter())
        probabilities = self._classify(frame_gray, [track for track in self._tracker.people if track.is_found])
        times.append(time.perf_counter())
        predictions = self._predictions(probabilities, frame.seconds)
        times.append(time.perf_counter())
        durations = np.diff(times).tolist()
        self.stage_seconds = dict(zip(("detect", "track", "classify", "smooth"), durations, strict=True))
        return predictions

    def _find(self, frame: Frame) -> list[Face] | None:
        """Returns what the detector finds, None where it is not its turn."""
        if self._until_detection > 0 and not self._tracker.is_check_due:
            self._until_detection -= 1
            return None
        self._until_detection = self._detect_every - 1
        return self.detector.find(frame.picture_bgr)

    def _track(self, frame_gray: np.ndarray, found: list[Face] | None, seconds: float) -> None:
        if found is not None:
            self._tracker.find(found, seconds)
            if self._detect_every > 1:
                self._flow.remember(frame_gray)
            return
        seen = [track for track in self._tracker.tracks if track.is_found]
        moves = self._flow.moves(frame_gray, [track.box for track in seen])
        self._tracker.follow(dict(zip(seen, moves, strict=True)), seconds)

    def _classify(self, frame_gray: np.ndarray, seen: Sequence[Track]) -> dict[int, np.ndarray]:
        self.faces = {}
        if not seen:
            return {}
        boxes, people = [track.box for track in seen], [track.person for track in seen]
        pictures = face_pictures(frame_gray, boxes, self.detector, self.classifier)
        framing = framing_for(self.detector, self.classifier)
        squares = (square_of(box, framing) for box in boxes)
        self.faces = dict(zip(people, map(SeenFace, pictures, squares), strict=True))
        return dict(zip(people, self.classifier.classify(pictures), strict=True))

    def _predictions(self, probabilities: Mapping[int, np.ndarray], seconds: float) -> list[Prediction]:
        boxes = {track.person: track.box for track in self._tracker.people}
        self._people = {
            number: self._people.get(number) or _Person(self._threshold, self._smoothing_seconds) for number in boxes
        }
        predictions = []
        for number, person in self._people.items():
            if number in probabilities:
                person.classified(probabilities[number], seconds)
            if person.shown is not None:
                box, labels = person.box.update(boxes[number], seconds), self.classifier.labels
                predictions.append(
                    make_prediction(box, person.probabilities, person.shown, labels=labels, person=number)
                )
        return predictions


class _Person:
    """What is kept of one person in view: steadied probabilities, what is shown of them, and the box."""

    def __init__(self, threshold: float, smoothing_seconds: float):
        self._threshold = threshold
        self._steady = SteadyProbabilities(smoothing_seconds)
        self._label = SteadyLabel() if smoothing_seconds > 0 else None
        self.box = SteadyBox()
        self.probabilities: np.ndarray | None = None
        self.shown: ShownLabel | None = None

    def classified(self, probabilities: np.ndarray, seconds: float) -> None:
        self.probabilities = self._steady.update(probabilities, seconds)
        right = shown_of(self.probabilities, self._threshold)
        self.shown = right if self._label is None else self._label.update(right, seconds)


def face_pictures(
    frame_gray: np.ndarray, boxes: Sequence[Box], detector: Detector, classifier: Classifier
) -> np.ndarray:
    """Returns the faces as the network wants them, uint8 (n, side, side, channels), from a frame (height, width)."""
    framing = framing_for(detector, classifier)
    crops = (crop_face(frame_gray, box, framing=framing) for box in boxes)
    return np.stack([network_input(crop, side=classifier.side, channels=classifier.channels) for crop in crops])


def check_threshold(threshold: float) -> None:
    """Raises ConfigError unless it is a probability."""
    if not 0 <= threshold <= 1:
        raise ConfigError(f"The threshold is {threshold:g}.", hint="It is a probability: between 0 and 1.")
