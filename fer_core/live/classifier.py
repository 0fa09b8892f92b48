"""What classifies faces: a saved model, whatever runs it, with calibrated probabilities coming out.

LiteRT or ONNX Runtime runs it without TensorFlow. Keras is there for comparison, and where there is no LiteRT.
`ModelWatch` notices that another model was promoted.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeVar

import numpy as np

from fer_core.data.face_picture import network_input
from fer_core.errors import ArtifactError, FerError
from fer_core.evaluation.calibration import as_probabilities, divided, meaning_of, with_prior, with_temperature
from fer_core.faces import Detector, Face
from fer_core.faces.framing import Framing, aligned, crop_face, find_faces
from fer_core.paths import SHIPPED_NAME, Paths
from fer_core.resources import limit_memory, memory_bytes
from fer_core.store.architecture import in_range, is_onnx
from fer_core.store.artifacts import load_model
from fer_core.store.model_files import ModelFiles, check_labels, ignore, int8_file, litert_file, onnx_file
from fer_core.store.promotion import current
from fer_core.store.runtimes import LiteRTModel, ONNXModel

Runtime = Literal["litert", "int8", "onnx", "keras"]
Answers = Callable[[np.ndarray], np.ndarray]

UNSURE_BELOW = 0.4
"""Of models that were not measured, and the least of all. With the shipped model, 7 % of the 3,589 images of
PublicTest are below it; 35 % of those are right, and 74 % of the others."""
CHECK_SECONDS = 1.0
RETRY_SECONDS = 30.0
"""After a promoted model could not be read: it may still be on its way, on a shared disk."""
_MEANINGS = {
    "logits": "The outputs of {} are no probabilities but logits: softmax is applied to them.",
    "scores": "The outputs of {} do not sum to 1: each is divided by their sum.",
}


class Classifier:
    """Tells the emotions of faces with a saved model. Not to be used by two threads at once.

    `framing` is by detector, where the model was trained with a framing of its own, else None. `is_aligned`: it was
    trained on faces turned upright.
    """

    def __init__(self, model: ModelFiles, answers: Answers, *, report: Callable[[str], None] = ignore):
        """`answers` gives the model's own outputs, float32 (n, labels), for float32 or uint8 images."""
        self.model = model
        self.name, self.labels, self.framing = model.name, model.labels, model.framing
        self.side, self.channels, self.colours = model.side, model.channels, model.colours
        self.is_aligned = model.is_aligned
        self._answers = answers
        probed = self._answer(_probes(model.side, model.channels))
        check_labels(model.model, model.labels, outputs=probed.shape[1])
        if not np.isfinite(probed).all():
            raise ArtifactError(
                f"{model.name} answers with values that are no numbers (NaN or infinite).",
                hint="Train it again with a smaller learning rate, or take another --model.",
            )
        self.outputs = meaning_of(probed)
        if self.outputs in _MEANINGS:
            report(_MEANINGS[self.outputs].format(model.name))

    def classify(self, faces: np.ndarray) -> np.ndarray:
        """Returns calibrated probabilities, float32 (n, labels), for faces uint8 (n, side, side, channels)."""
        probabilities = as_probabilities(self._answer(faces), self.outputs)
        if self.model.divided_by:
            probabilities = divided(probabilities, self.model.divided_by)
        return with_temperature(probabilities, self.model.temperature)

    @property
    def unsure_below(self) -> float:
        """The confidence below which a prediction is unsure, where nothing else is asked for."""
        own = self.model.manifest and self.model.manifest.unsure_below
        return UNSURE_BELOW if own is None else max(own, UNSURE_BELOW)

    def _answer(self, faces: np.ndarray) -> np.ndarray:
        return self._answers(faces if self.model.pixels == "0..255" else in_range(faces, self.model.pixels))


def make_classifier(
    model: ModelFiles,
    paths: Paths,
    *,
    runtime: Runtime = "litert",
    prior: float | None = None,
    report: Callable[[str], None] = ignore,
) -> Classifier:
    """Returns the model, loaded and warm. `report` gets sentences worth printing. Raises ArtifactError.

    Args:
        runtime: "int8" reads with the smaller, faster export that a run may have, "onnx" with that of `--export`. What
            is a .onnx itself is read with ONNX Runtime in any case.
        prior: the power of its prior that is taken out of its answers, 0..1; None: as it was saved.
    """
    model = model if prior is None else with_prior(model, prior)
    if runtime == "onnx" or is_onnx(model.model):
        return Classifier(model, ONNXModel(onnx_file(model, paths)).probabilities, report=report)
    if runtime == "keras":
        return Classifier(model, _keras(model), report=report)
    file = int8_file(model, paths) if runtime == "int8" else litert_file(model, paths, report=report)
    return Classifier(model, LiteRTModel(file).probabilities, report=report)


def framing_for(detector: Detector, classifier: "Classifier | ModelFiles") -> Framing:
    """Returns how faces of this detector are cut out for this model: as the model says, else as the detector does."""
    own = (classifier.framing or {}).get(detector.name)
    return Framing(**own) if own else detector.framing


def found_faces(frame: np.ndarray, frame_gray: np.ndarray, detector: Detector, classifier: Classifier) -> list[Face]:
    """Returns the faces in a frame, the largest first; with their roll if the model was trained on aligned faces.

    Args:
        frame: uint8, gray (height, width), BGR or BGRA; frame_gray: the same, gray.
    """
    found = find_faces(frame, frame_gray, detector)
    if not classifier.is_aligned:
        return [face._replace(roll=None) for face in found]
    return [aligned(face, frame_gray, detector) for face in found]


def face_pictures(
    frame: np.ndarray, faces: Sequence[Face], detector: Detector, classifier: "Classifier | ModelFiles"
) -> np.ndarray:
    """Returns the faces as the network wants them, uint8 (n, side, side, channels).

    `frame`: uint8, gray (height, width), BGR or BGRA. For a network that sees gray, gray is quicker.
    """
    framing = framing_for(detector, classifier)
    crops = (crop_face(frame, face.box, framing=framing, roll=face.roll or 0.0) for face in faces)
    return np.stack([face_input(crop, classifier) for crop in crops])


def face_input(face: np.ndarray, classifier: "Classifier | ModelFiles") -> np.ndarray:
    """Returns a cut-out face, uint8, gray, BGR or BGRA, as the network wants it: (side, side, channels)."""
    return network_input(face, side=classifier.side, channels=classifier.channels, colours=classifier.colours)


Loaded = TypeVar("Loaded")
"""Has its ModelFiles as `model`."""


class ModelWatch(Generic[Loaded]):
    """Looks once a second which run is in use, in a thread of its own, and loads another one beside the old.

    `loaded` is what was loaded last. `problem` says why a promoted model is not used, '' if nothing is wrong.
    """

    def __init__(
        self,
        paths: Paths,
        loaded: Loaded,
        load: Callable[[], Loaded],
        *,
        is_fixed: bool = False,
        report: Callable[[str], None] = ignore,
        every_second: Callable[[], None] = lambda: None,
    ):
        """`load` loads the model in use. `report` gets each new problem. `every_second` is done by the thread too.

        `is_fixed`: another model was asked for than the one in use, and is kept.
        """
        self.loaded, self.problem = loaded, ""
        self._paths, self._load, self._is_fixed = paths, load, is_fixed
        self._report, self._every_second = report, every_second
        self._changing, self._is_closed = threading.Lock(), threading.Event()
        self._refused: tuple[str, str] | None = None
        self._retry_at = 0.0
        self._pointer: tuple[str, str] | None = None if is_fixed else self._promoted()
        if self._pointer and self._pointer[0] != loaded.model.name:  # it was promoted while this one was loaded
            self._pointer = None
        self._thread = threading.Thread(target=self._watch, name="promoted model", daemon=True)
        self._thread.start()

    def look(self) -> None:
        """Goes over to a model that was promoted since the last look; returns when it is loaded.

        Raises ArtifactError, OSError if it cannot be seen what is in use.
        """
        if self._is_fixed:
            return
        with self._changing:
            promoted = self._promoted()
            if promoted == self._refused and time.monotonic() < self._retry_at:
                return
            try:
                if promoted != self._pointer:
                    self.loaded = self._load()
            except Exception as error:  # what LiteRT and OpenCV say of a file that is broken has no common parent
                self._refused, self._retry_at = promoted, time.monotonic() + RETRY_SECONDS
                self._note(f"The model promoted last cannot be read with ({error}); the one before it goes on.")
                return
            self._pointer, self._refused, self.problem = promoted, None, ""

    def close(self) -> None:
        """Looks no more; may be called again. Waits for a model that is being loaded."""
        self._is_closed.set()
        self._thread.join()

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self._report(problem)
        self.problem = problem

    def _watch(self) -> None:
        while not self._is_closed.wait(CHECK_SECONDS):
            self._every_second()
            try:
                self.look()
            except (FerError, OSError) as error:
                self._note(f"What is in use cannot be seen ({error}); the model goes on that was.")

    def _promoted(self) -> tuple[str, str]:
        """Returns the run in use, and a checksum that tells it from what was promoted under the same name before."""
        pointer = current(self._paths)
        return (pointer.run, pointer.sha256) if pointer else (SHIPPED_NAME, "")


def _probes(side: int, channels: int) -> np.ndarray:
    """Returns four pictures unlike each other, on which logits show themselves; they also warm the model up."""
    noise = np.random.default_rng(0).integers(0, 256, (1, side, side, channels), dtype=np.uint8)
    slope = np.broadcast_to(np.linspace(0, 255, side, dtype=np.uint8)[:, np.newaxis, np.newaxis], noise.shape[1:])
    return np.concatenate([noise, 255 - noise // 4, slope[np.newaxis], slope[np.newaxis, ::-1]])


def _keras(model: ModelFiles) -> Answers:
    limit_memory(memory_bytes() // 4 * 3)
    network = load_model(model.model)
    import keras

    # XLA makes these convolutions several times slower on a CPU with TensorFlow; on JAX there is nothing else.
    network.jit_compile = keras.backend.backend() != "tensorflow"
    return lambda faces: np.asarray(network.predict_on_batch(faces.astype(np.float32)), np.float32)
