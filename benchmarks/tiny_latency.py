"""How long the network `tiny` takes for one face in LiteRT, on one core: float32 and with 8-bit weights.

    python benchmarks/tiny_latency.py            # prints {"float32": milliseconds, "int8": milliseconds}

Latency does not depend on what the weights are, so the network is not trained.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from fer_core import networks
from fer_core.emotions import FER2013_LABELS
from fer_core.recipes import recipe_config
from fer_core.store.export import export_checked, export_int8
from fer_core.store.litert import LiteRTModel

WARM_UP, ROUNDS, EACH = 100, 9, 200


def milliseconds(path: Path) -> float:
    """Returns the median over rounds of the mean time of a face, in ms."""
    model = LiteRTModel(path)
    faces = np.random.default_rng(0).integers(0, 256, (EACH, *model.input_shape), dtype=np.uint8)
    model.probabilities(faces[:WARM_UP])
    rounds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        model.probabilities(faces)
        rounds.append(1000 * (time.perf_counter() - began) / EACH)
    return statistics.median(rounds)


def main() -> None:
    """Exports both forms and measures them."""
    network = networks.build(recipe_config(sys.argv[1] if len(sys.argv) > 1 else "tiny"), FER2013_LABELS)
    probes = np.random.default_rng(0).integers(0, 256, (8, *network.input_shape[1:]), dtype=np.uint8)
    with tempfile.TemporaryDirectory(prefix="fer-tiny-") as folder:
        float32, int8 = Path(folder) / "float32.tflite", Path(folder) / "int8.tflite"
        export_checked(network, float32, probes)
        export_int8(network, int8)
        print(json.dumps({"float32": milliseconds(float32), "int8": milliseconds(int8)}))


if __name__ == "__main__":
    main()
