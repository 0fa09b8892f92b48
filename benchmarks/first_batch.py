"""Prints the seconds from the call that loads the data to the first batch in hand, imports not counted.

Run by `bench.py` in a process of its own, once per measurement: `first_batch.py ours|plain DATA`.
"""

import os
import sys
import time
from pathlib import Path

BATCH_SIZE = 64


def ours(data: Path) -> float:
    """Through the cache in $FER_CACHE_DIR, which an earlier call has filled."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import numpy as np

    from fer_core.config import TrainConfig
    from fer_core.data.dataset import load_dataset
    from fer_core.paths import Paths

    config = TrainConfig(data=str(data), validation="test")
    paths = Paths.from_environment()
    start = time.perf_counter()
    dataset = load_dataset(config, paths, side=48)
    order = np.random.default_rng(0).permutation(len(dataset.train))
    dataset.train.images(order[:BATCH_SIZE])
    return time.perf_counter() - start


def plain(data: Path) -> float:
    """Without the script's cache and shuffle, which would only add to it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from plain_keras import load_images

    start = time.perf_counter()
    train = load_images(data / "train", batch_size=BATCH_SIZE, shuffle=True)
    load_images(data / "test", batch_size=BATCH_SIZE, shuffle=False)
    next(iter(train))
    return time.perf_counter() - start


def main() -> None:
    """Measures once."""
    which, data = sys.argv[1:]
    print({"ours": ours, "plain": plain}[which](Path(data)))


if __name__ == "__main__":
    main()
