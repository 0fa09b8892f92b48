"""The built-in sample as a source: drawn faces, the same ones for everybody and every seed."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from fer_core.data import sample
from fer_core.data.listing import ALL_IMAGES, Listing, Picture, Source

DRAWING_SEED = 0


def sample_source(per_class: int) -> Source:
    """Returns `per_class` drawn faces of each emotion as a source without splits; its identity is how they look."""
    faces = [_drawn(label, (DRAWING_SEED, number, 0)).tobytes() for number, label in enumerate(sample.SAMPLE_LABELS)]
    return Source(
        name="sample",
        location="sample",
        place=f"sample {per_class}",
        identity=hashlib.sha256(b"".join(faces)).hexdigest(),
        open=partial(_opened, per_class),
    )


@contextmanager
def _opened(per_class: int) -> Iterator[Listing]:
    count = per_class * len(sample.SAMPLE_LABELS)
    yield Listing(_pictures(per_class), count)


def _pictures(per_class: int) -> Iterator[Picture]:
    for number, label in enumerate(sample.SAMPLE_LABELS):
        for index in range(per_class):
            draw = partial(_drawn, label, (DRAWING_SEED, number, index))
            yield Picture(f"{label}/{index:06}", ALL_IMAGES, label, draw)


def _drawn(label: str, seed: tuple[int, ...]) -> np.ndarray:
    return sample.draw_face(label, np.random.default_rng(seed))
