"""Which parts of a face a prediction rests on, found by covering them: LiteRT has no gradients.

Zeiler and Fergus 2013, "Visualizing and Understanding Convolutional Networks" (arXiv 1311.2901), section 4.2.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from fer_core.data.face_picture import BACKGROUND
from fer_core.errors import FerError
from fer_core.live.classifier import Classifier
from fer_core.live.overlay import Heat
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import LivePredictor

STEPS = 9
"""The patch goes to so many places across and down: 82 faces in the batch, with the one that is not covered."""
_PATCH = 0.25
"""Side of the patch, in sides of the face: an eye or a corner of the mouth."""
_NEGLIGIBLE = 0.01
"""If no patch costs more probability than this, no part matters; scaling would show noise."""


def occlusion_map(classifier: Classifier, face: np.ndarray, label_number: int) -> np.ndarray:
    """Returns how much each part of the face speaks for a label, relative to the part that does most.

    Args:
        face: uint8 (side, side, channels), as the network sees it.
        label_number: of the label, 0..labels-1.

    Returns:
        float32 (side, side), 0..1; 0: covering it costs the label nothing, 1: it costs most. All 0 where no patch
        costs more than 0.01 of probability.
    """
    probabilities = classifier.classify(np.stack([face, *_covered(face)]))[:, label_number]
    lost = np.maximum(probabilities[0] - probabilities[1:], 0).reshape(STEPS, STEPS)
    if lost.max() <= _NEGLIGIBLE:
        return np.zeros(face.shape[:2], np.float32)
    smooth = cv2.resize((lost / lost.max()).astype(np.float32), face.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 0, 1)


def _covered(face: np.ndarray) -> list[np.ndarray]:
    """Returns the face with a grey patch at each place, row by row; at the edges part of the patch is outside."""
    half = len(face) * _PATCH / 2
    centres = [(step + 0.5) * len(face) / STEPS for step in range(STEPS)]
    ranges = [slice(max(0, round(centre - half)), round(centre + half)) for centre in centres]
    pictures = []
    for rows in ranges:
        for columns in ranges:
            picture = face.copy()
            picture[rows, columns] = BACKGROUND
            pictures.append(picture)
    return pictures


class HeatMaps:
    """Makes occlusion maps in a thread of its own, one at a time, so that the live loop never waits for one.

    `problem` says why there are no maps, '' if nothing is wrong. It lasts until the predictor uses another model: one
    that fails would fail again with every frame.
    """

    def __init__(self, make_classifier: Callable[[], Classifier]):
        """`make_classifier` returns one more of the predictor's model: LiteRT is not safe for two threads."""
        self._make_classifier = make_classifier
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="heat maps")
        self._work: Future[tuple[int, np.ndarray] | None] | None = None
        self._newest: tuple[int, np.ndarray] | None = None
        self._last_face: np.ndarray | None = None
        self._model: str | None = None
        self._classifier: Classifier | None = None
        self.problem = ""

    def latest(self, predictor: LivePredictor, predictions: Sequence[Prediction]) -> dict[int, Heat]:
        """Returns the newest map, by person, for `Overlay.draw`; empty where there is none of a face in this frame.

        Has the next one made, of the largest face that was classified in the predictor's last frame, unless one is
        being made. Returns at once.
        """
        if self._work is not None and self._work.done():
            self._newest, self._work = self._work.result(), None
        seen = [prediction for prediction in predictions if prediction.person in predictor.faces]
        if seen and self._work is None:
            one = max(seen, key=lambda prediction: prediction.box.width * prediction.box.height)
            face, classifier = predictor.faces[one.person].picture, predictor.classifier
            if face is not self._last_face:  # else the same frame is drawn again, while the view is paused
                self._last_face, number = face, classifier.labels.index(one.label)
                self._work = self._worker.submit(self._map, one.person, face, number, classifier.name)
        if self._newest is None or self._newest[0] not in predictor.faces:
            return {}
        person, values = self._newest
        return {person: Heat(values, predictor.faces[person].square)}

    def close(self) -> None:
        """Ends the thread once the map in work is done."""
        self._worker.shutdown()

    def _map(self, person: int, face: np.ndarray, label_number: int, model: str) -> tuple[int, np.ndarray] | None:
        try:
            if model != self._model:
                self._model, self._classifier, self.problem = model, None, ""
                self._classifier = self._make_classifier()
            return (person, occlusion_map(self._classifier, face, label_number)) if self._classifier else None
        except (FerError, OSError) as error:
            self._classifier, self.problem = None, f"No heat maps: {error}"
            return None
