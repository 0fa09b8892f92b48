"""What classifies faces: a model behind one interface, whatever runs it, with calibrated probabilities coming out.

LiteRT runs it without TensorFlow. Keras is there for comparison, and where there is no LiteRT.
"""

from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import numpy as np

from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import as_probabilities, meaning_of, with_temperature
from fer_core.faces import Detector
from fer_core.faces.framing import Framing
from fer_core.paths import Paths
from fer_core.resources import limit_memory, memory_bytes
from fer_core.store.architecture import in_range
from fer_core.store.artifacts import load_model
from fer_core.store.litert import LiteRTModel
from fer_core.store.model_files import ModelFiles, check_labels, ignore, int8_file, litert_file

Runtime = Literal["litert", "int8", "keras"]
Answers = Callable[[np.ndarray], np.ndarray]

_MEANINGS = {
    "logits": "The outputs of {} are no probabilities but logits: softmax is applied to them.",
    "scores": "The outputs of {} do not sum to 1: each is divided by their sum.",
}


class Classifier(Protocol):
    """Tells the emotions of faces. Not to be used by two threads at once."""

    name: str
    labels: tuple[str, ...]
    side: int
    channels: int
    framing: Mapping[str, Mapping[str, float]] | None
    """By detector, where the model was trained with a framing of its own."""

    def classify(self, faces: np.ndarray) -> np.ndarray:
        """Returns calibrated probabilities, float32 (n, labels), for faces uint8 (n, side, side, channels)."""


class ModelClassifier:
    """A saved model as a `Classifier`: scales the grey values if it wants that, and calibrates what it answers."""

    def __init__(self, model: ModelFiles, answers: Answers, *, report: Callable[[str], None] = ignore):
        """`answers` gives the model's own outputs, float32 (n, labels), for float32 or uint8 images."""
        self.model = model
        self.name, self.labels, self.framing = model.name, model.labels, model.framing
        self.side, self.channels = model.side, model.channels
        self._temperature, self._pixels, self._answers = model.temperature, model.pixels, answers
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
        return with_temperature(as_probabilities(self._answer(faces), self.outputs), self._temperature)

    def _answer(self, faces: np.ndarray) -> np.ndarray:
        return self._answers(faces if self._pixels == "0..255" else in_range(faces, self._pixels))


def make_classifier(
    model: ModelFiles, paths: Paths, *, runtime: Runtime = "litert", report: Callable[[str], None] = ignore
) -> ModelClassifier:
    """Returns the model, loaded and warm. `report` gets sentences worth printing. Raises ArtifactError.

    `runtime`: "int8" reads with the smaller, faster export that a run may have.
    """
    if runtime == "keras":
        return ModelClassifier(model, _keras(model), report=report)
    runner = LiteRTModel(int8_file(model, paths) if runtime == "int8" else litert_file(model, paths, report=report))
    return ModelClassifier(model, runner.probabilities, report=report)


def framing_for(detector: Detector, classifier: Classifier) -> Framing:
    """Returns how faces of this detector are cut out for this model: as the model says, else as the detector does."""
    own = (classifier.framing or {}).get(detector.name)
    return Framing(**own) if own else detector.framing


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
