"""What a trained model costs: how many parameters it has, and how long it takes over one face. No Keras."""

import time
from statistics import median

import numpy as np

from fer_core.errors import ArtifactError
from fer_core.store.litert import LiteRTModel
from fer_core.store.run import Run

CALLS = 30
WARM_UP_CALLS = 5


def parameters(run: Run) -> int:
    """Returns how many weights the run's model.h5 holds. Raises ArtifactError if it cannot be read."""
    import h5py

    sizes = []
    try:
        with h5py.File(run.model_h5) as file:
            file["model_weights"].visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    except (OSError, KeyError) as error:
        raise ArtifactError(f"{run.model_h5} cannot be read ({error}).") from error
    return int(sum(sizes))


def latency_ms(run: Run, *, calls: int = CALLS) -> float | None:
    """Returns how long one face takes on one thread in milliseconds, the median of many; None without an export."""
    if not run.model_tflite.is_file():
        return None
    try:
        model = LiteRTModel(run.model_tflite, threads=1)
    except ArtifactError:  # there is no LiteRT for every machine, and a trial counts without this figure too
        return None
    face = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape), dtype=np.uint8)
    for _ in range(WARM_UP_CALLS):
        model.probabilities(face)
    return round(1000 * median(_seconds(model, face) for _ in range(calls)), 3)


def _seconds(model: LiteRTModel, face: np.ndarray) -> float:
    started = time.perf_counter()
    model.probabilities(face)
    return time.perf_counter() - started
