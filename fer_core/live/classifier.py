"""What classifies faces: a saved model, whatever runs it, with calibrated probabilities coming out.

LiteRT runs it without TensorFlow. Keras is there for comparison, and where there is no LiteRT. `ModelWatch` notices
that another model was promoted.
"""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal

import numpy as np

from fer_core.errors import ArtifactError, FerError
from fer_core.evaluation.calibration import as_probabilities, meaning_of, with_temperature
from fer_core.faces import Detector
from fer_core.faces.framing import Framing
from fer_core.paths import Paths
from fer_core.resources import limit_memory, memory_bytes
from fer_core.store.architecture import in_range
from fer_core.store.artifacts import load_model
from fer_core.store.litert import LiteRTModel
from fer_core.store.model_files import ModelFiles, check_labels, find_model, ignore, int8_file, litert_file
from fer_core.store.promotion import current

Runtime = Literal["litert", "int8", "keras"]
Answers = Callable[[np.ndarray], np.ndarray]

CHECK_SECONDS = 1.0
RETRY_SECONDS = 30.0
"""After a promoted model could not be read: it may still be on its way, on a shared disk."""
_MEANINGS = {
    "logits": "The outputs of {} are no probabilities but logits: softmax is applied to them.",
    "scores": "The outputs of {} do not sum to 1: each is divided by their sum.",
}


class Classifier:
    """Tells the emotions of faces with a saved model. Not to be used by two threads at once.

    `framing` is by detector, where the model was trained with a framing of its own, else None.
    """

    def __init__(self, model: ModelFiles, answers: Answers, *, report: Callable[[str], None] = ignore):
        """`answers` gives the model's own outputs, float32 (n, labels), for float32 or uint8 images."""
        self.model = model
        self.name, self.labels, self.framing = model.name, model.labels, model.framing
        self.side, self.channels = model.side, model.channels
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
        return with_temperature(as_probabilities(self._answer(faces), self.outputs), self.model.temperature)

    def _answer(self, faces: np.ndarray) -> np.ndarray:
        return self._answers(faces if self.model.pixels == "0..255" else in_range(faces, self.model.pixels))


def make_classifier(
    model: ModelFiles, paths: Paths, *, runtime: Runtime = "litert", report: Callable[[str], None] = ignore
) -> Classifier:
    """Returns the model, loaded and warm. `report` gets sentences worth printing. Raises ArtifactError.

    `runtime`: "int8" reads with the smaller, faster export that a run may have.
    """
    if runtime == "keras":
        return Classifier(model, _keras(model), report=report)
    file = int8_file(model, paths) if runtime == "int8" else litert_file(model, paths, report=report)
    return Classifier(model, LiteRTModel(file).probabilities, report=report)


def framing_for(detector: Detector, classifier: Classifier) -> Framing:
    """Returns how faces of this detector are cut out for this model: as the model says, else as the detector does."""
    own = (classifier.framing or {}).get(detector.name)
    return Framing(**own) if own else detector.framing


class ModelWatch:
    """Looks once a second which run is in use, and loads another one beside the loop, which goes on with the old."""

    def __init__(
        self,
        paths: Paths,
        *,
        loaded: str,
        runtime: Runtime,
        notice: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ):
        """`loaded`: the name of the model in use now. `notice` gets a sentence about what happens."""
        self._paths, self._runtime, self._notice, self._clock = paths, runtime, notice, clock
        self._loaded = loaded
        self._next_check = clock() + CHECK_SECONDS
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="promoted model")
        self.loading: Future[Classifier] | None = None

    def poll(self) -> Classifier | None:
        """Returns the classifier of a newly promoted model, once it is loaded; else None. Takes microseconds."""
        if self.loading is not None:
            return self._result() if self.loading.done() else None
        if self._clock() >= self._next_check:
            self._next_check = self._clock() + CHECK_SECONDS
            if self._promoted() not in (None, self._loaded):
                self.loading = self._loader.submit(
                    lambda: make_classifier(find_model(None, self._paths), self._paths, runtime=self._runtime)
                )
        return None

    def _promoted(self) -> str | None:
        """Returns the run in use; None where there is none, or where that cannot be read now."""
        try:
            pointer = current(self._paths)
        except (FerError, OSError):
            return None
        return pointer.run if pointer else None

    def _result(self) -> Classifier | None:
        loading, self.loading = self.loading, None
        try:
            classifier = loading.result()
        except (FerError, OSError) as error:
            self._next_check = self._clock() + RETRY_SECONDS
            self._notice(f"The newly promoted model cannot be used: {error}")
            return None
        self._loaded = classifier.name
        self._notice(f"Now reading with {classifier.name}, which was promoted just now.")
        return classifier


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
