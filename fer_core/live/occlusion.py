"""Which parts of a face a reading rests on, found by covering them: LiteRT has no gradients.

Zeiler and Fergus 2013, "Visualizing and Understanding Convolutional Networks" (arXiv 1311.2901), section 4.2.
"""

import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import cv2
import numpy as np

from fer_core.data.face_picture import BACKGROUND
from fer_core.errors import FerError
from fer_core.live.canvas import Heat
from fer_core.live.classifier import Classifier
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import LivePredictor

STEPS = 9
"""The patch goes to so many places across and down: 82 faces in the batch, with the one that is not covered."""

_PATCH = 0.25
"""Side of the patch, in sides of the face: an eye or a corner of the mouth."""
_NEGLIGIBLE = 0.01
"""If no patch costs more probability than this, no part matters; scaling would show noise."""

Result = TypeVar("Result")


def occlusion_map(classifier: Classifier, face: np.ndarray, label_number: int) -> np.ndarray:
    """Returns how much each part of the face speaks for a label, relative to the part that does most.

    Args:
        face: uint8 (side, side, channels), as the network sees it.
        label_number: of the label, 0..labels-1.

    Returns:
        float32 (side, side), 0..1; 0: covering it costs the label nothing, 1: it costs most. All 0 where no patch
        costs more than 0.01 of probability.
    """
    shares = classifier.classify(np.stack([face, *_covered(face)]))[:, label_number]
    lost = np.maximum(shares[0] - shares[1:], 0).reshape(STEPS, STEPS)
    if lost.max() <= _NEGLIGIBLE:
        return np.zeros(face.shape[:2], np.float32)
    smooth = cv2.resize((lost / lost.max()).astype(np.float32), face.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 1)


def _covered(face: np.ndarray) -> list[np.ndarray]:
    """Returns the face with a grey patch at each place, row by row; at the edges part of the patch is outside."""
    side = len(face)
    half = side * _PATCH / 2
    ranges = [_range((step + 0.5) * side / STEPS, half) for step in range(STEPS)]
    pictures = []
    for rows in ranges:
        for columns in ranges:
            picture = face.copy()
            picture[rows, columns] = BACKGROUND
            pictures.append(picture)
    return pictures


def _range(centre: float, half: float) -> slice:
    return slice(max(0, round(centre - half)), round(centre + half))


class _Request(NamedTuple):
    person: int
    face: np.ndarray
    label_number: int
    model: str


class HeatMaps:
    """Makes occlusion maps in a thread of its own, so that the live loop never waits for one.

    Only the latest request is kept: a map that takes longer than a frame leaves requests out, and never falls behind.

    `problem` says why there are no maps, '' if nothing is wrong. It lasts until the reader uses another model: one that
    fails would fail again with every frame.
    """

    def __init__(self, make_classifier: Callable[[], Classifier]):
        """`make_classifier` returns one more of the reader's model: LiteRT is not safe for two threads."""
        self._make_classifier = make_classifier
        self.problem = ""
        self._changed = threading.Condition()
        self._request: _Request | None = None
        self._asked: np.ndarray | None = None
        self._made: tuple[int, np.ndarray] | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, name="heat maps", daemon=True)
        self._thread.start()

    def latest(self, predictor: LivePredictor, predictions: Sequence[Prediction]) -> dict[int, Heat]:
        """Returns the newest map, by person, for `Overlay.draw`; empty where there is none of a face in this frame.

        Asks for the next one, of the largest face that was classified in the reader's last frame. Returns at once.
        """
        seen = [prediction for prediction in predictions if prediction.person in predictor.faces]
        if seen:
            self._ask(max(seen, key=lambda prediction: prediction.box.width * prediction.box.height), predictor)
        with self._changed:
            made = self._made
        if made is None or made[0] not in predictor.faces:
            return {}
        person, values = made
        return {person: Heat(values, predictor.faces[person].square)}

    def close(self) -> None:
        """Ends the thread once the map in work is done; a request that waits is dropped."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _ask(self, prediction: Prediction, predictor: LivePredictor) -> None:
        face = predictor.faces[prediction.person].picture
        if face is self._asked:  # the same frame is drawn again, while the view is paused
            return
        self._asked = face
        number = predictor.classifier.labels.index(prediction.label)
        with self._changed:
            self._request = _Request(prediction.person, face, number, predictor.classifier.name)
            self._changed.notify()

    def _work(self) -> None:
        model, classifier = None, None
        while (request := self._next()) is not None:
            if request.model != model:
                self.problem = ""
                model, classifier = request.model, self._unless_it_fails(self._make_classifier)
            made = None
            if classifier is not None:
                made = self._unless_it_fails(partial(_map_for, request, classifier))
            if made is None:
                classifier = None
            with self._changed:
                self._made = made

    def _unless_it_fails(self, call: Callable[[], Result]) -> Result | None:
        try:
            return call()
        except (FerError, OSError) as error:
            self.problem = f"No heat maps: {error}"
            return None

    def _next(self) -> _Request | None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._request is not None)
            request, self._request = self._request, None
            return None if self._is_closed else request


def _map_for(request: _Request, classifier: Classifier) -> tuple[int, np.ndarray]:
    return request.person, occlusion_map(classifier, request.face, request.label_number)
