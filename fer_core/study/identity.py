"""Who comes back: people of a video who leave and return keep their number, if that is asked for.

SFace (Zhong and others, IEEE Transactions on Image Processing 2021; OpenCV's `FaceRecognizerSF`, Apache 2.0) turns a
face into 128 numbers that are alike for one person. They are biometric data: they are kept while a video is read, and
thrown away with its parts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from fer_core.errors import ArtifactError
from fer_core.faces import Detector, Face
from fer_core.faces.framing import overlap
from fer_core.live.prediction import Prediction
from fer_core.paths import Paths, Published, expanded, fetched

if TYPE_CHECKING:
    import pandas

SFACE = Published(
    name="face_recognition_sface_2021dec.onnx",
    url="https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98/models/"
    "face_recognition_sface/face_recognition_sface_2021dec.onnx",
    sha256="0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
)
"""39 MB."""
SAME_PERSON = 0.363
"""The cosine from which on OpenCV calls two faces those of one person; not measured here."""
SAMPLE_SECONDS = 0.5
"""So often a person's face is looked at; what is said of a person is the mean of all looks."""
_LEAST_OVERLAP = 0.4


class Recognizer:
    """Turns faces into unit vectors that are alike for one person. For one thread."""

    def __init__(self, path: Path):
        """Raises ArtifactError if OpenCV cannot load the file."""
        try:
            self._network = cv2.FaceRecognizerSF.create(str(path), "")
        except cv2.error:
            hint = f"Take {SFACE.name}, which is downloaded where no file is named."
            raise ArtifactError(f"{path} is no face recogniser that OpenCV can load.", hint=hint) from None

    def embedding(self, frame_bgr: np.ndarray, face: Face) -> np.ndarray:
        """Returns float64 (128,), of length 1. `face` has landmarks, in pixels of the frame."""
        row = np.array([*face.box, *face.landmarks, face.score], np.float32)
        vector = self._network.feature(self._network.alignCrop(frame_bgr, row)).ravel().astype(np.float64)
        return vector / max(np.linalg.norm(vector), 1e-9)


class Embeddings:
    """What the people of a video look like, gathered while it is read."""

    def __init__(self, recognizer: Recognizer, detector: Detector):
        self._recognizer, self._detector = recognizer, detector
        self._next, self._sums = 0.0, {}

    def observe(self, frame_bgr: np.ndarray, seconds: float, predictions: Sequence[Prediction]) -> None:
        """Takes in the people of a frame, if it is time."""
        if seconds < self._next or not predictions:
            return
        self._next = seconds + SAMPLE_SECONDS
        for face in self._detector.find(frame_bgr):
            shared = {one.person: overlap(face.box, one.box) for one in predictions}
            person = max(shared, key=shared.get)
            if face.landmarks is not None and shared[person] >= _LEAST_OVERLAP:
                self._sums[person] = self._sums.get(person, 0.0) + self._recognizer.embedding(frame_bgr, face)

    def sums(self) -> dict[int, list[float]]:
        """Returns the sum of the looks at each person."""
        return {person: vector.tolist() for person, vector in self._sums.items()}


def find_recognizer(paths: Paths, model_file: Path | None) -> Path:
    """Returns the file of the recogniser, which is downloaded once. Raises ArtifactError, SourceError."""
    if model_file is not None:
        path = expanded(str(model_file))
        if not path.is_file():
            raise ArtifactError(f"{path} is not there.", hint=f"--recognizer-model names {SFACE.name}.")
        return path
    cached = paths.cache / "detectors" / SFACE.name
    if cached.is_file() and SFACE.is_at(cached):
        return cached
    return fetched(SFACE, cached.parent, hint="Fetch it by hand and name it with --recognizer-model.")


def with_people_known_again(table: "pandas.DataFrame", embeddings: Mapping[int, np.ndarray]) -> "pandas.DataFrame":
    """Returns the readings of a video in which one person has one number, also after an absence.

    Two who are seen at one time are two people.
    """
    spans = table.dropna(subset=["person"]).groupby("person")["frame"].agg(["min", "max"]).astype(int)
    groups: list[list[int]] = []
    for person in spans.index:
        alike = [(_cosine(person, group, embeddings), group) for group in groups if _is_apart(person, group, spans)]
        best, group = max(alike, key=lambda pair: pair[0], default=(0.0, None))
        if best >= SAME_PERSON:
            group.append(person)
        else:
            groups.append([person])
    numbers = {person: place for place, group in enumerate(groups, 1) for person in group}
    return table.assign(person=table["person"].map(numbers).astype("Int64"))


def _cosine(person: int, group: Sequence[int], embeddings: Mapping[int, np.ndarray]) -> float:
    known = [embeddings[one] for one in group if one in embeddings]
    if person not in embeddings or not known:
        return 0.0
    first, second = embeddings[person], np.sum(known, axis=0)
    return float(first @ second / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-9))


def _is_apart(person: int, group: Sequence[int], spans: "pandas.DataFrame") -> bool:
    begins, ends = spans.loc[person]
    return all(spans.loc[one, "max"] < begins or spans.loc[one, "min"] > ends for one in group)
