"""What a trained model costs: how many parameters it has, and how long it takes over one face. No Keras."""

import contextlib
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from fer_core.errors import ArtifactError
from fer_core.store.litert import LiteRTModel
from fer_core.store.run import Run

CALLS = 30
WARM_UP_CALLS = 5


class Cost(NamedTuple):
    """What one face costs a model; None where it cannot be told."""

    parameters: int
    flops: int | None
    latency_ms: float | None
    """Of this machine, on one thread of LiteRT."""


def cost(run: Run, *, export: Path | None = None) -> Cost:
    """Returns what the run's model costs, measured now. Raises ArtifactError if its model.h5 cannot be read.

    `export` is its LiteRT form, where that is not to be the one beside it.
    """
    export = export or run.model_tflite
    with contextlib.suppress(ArtifactError):  # no export, or no LiteRT for this machine
        multiply_adds = LiteRTModel(export).multiply_adds()
        return Cost(parameters(run), multiply_adds and 2 * multiply_adds, latency_ms(export))
    return Cost(parameters(run), None, None)


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


def latency_ms(export: Path, *, calls: int = CALLS) -> float | None:
    """Returns how long a .tflite takes over one face on one thread in ms, the median of many; None if there is none."""
    if not export.is_file():
        return None
    try:
        model = LiteRTModel(export, threads=1)
    except ArtifactError:  # there is no LiteRT for every machine, and a trial counts without this figure too
        return None
    face = np.random.default_rng(0).integers(0, 256, (1, *model.input_shape), dtype=np.uint8)
    seconds = []
    for _ in range(WARM_UP_CALLS + calls):
        began = time.perf_counter()
        model.probabilities(face)
        seconds.append(time.perf_counter() - began)
    return round(1000 * median(seconds[WARM_UP_CALLS:]), 3)
