"""What --data is, found by looking at it: drawn faces, a download, a folder or a file."""

import hashlib
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from fer_core.config import TrainConfig
from fer_core.data.archive import file_source
from fer_core.data.contents import ALL_IMAGES, Listing, Picture, Source
from fer_core.data.default_source import SAMPLE_HINT
from fer_core.data.folder import folder_source
from fer_core.data.regular_file import checked_status
from fer_core.data.sample import SAMPLE_LABELS, draw_face
from fer_core.errors import DatasetError
from fer_core.paths import Paths

KAGGLE_HANDLE = "msambare/fer2013/versions/1"
"""With its version: the same images for everybody, and a downloaded copy is used without asking the network."""
_DRAWING_SEED = 0


def open_source(data: str, config: TrainConfig, paths: Paths) -> Source:
    """Returns the source that `data` names: a folder, a zip, tar or csv, 'kaggle' or 'sample'. Decodes nothing yet.

    Raises:
        DatasetError: there is no such path, or it is none of these.
    """
    if data == "sample":
        return _sample_source(config.sample_per_class)
    if data == "kaggle":
        return _kaggle_source()
    path = Path(data).expanduser()
    try:
        if stat.S_ISDIR(checked_status(path).st_mode):
            return folder_source(path, left_out=paths.inbox)
        return file_source(path)
    except FileNotFoundError:
        raise DatasetError(f"There is no {data}.", hint=SAMPLE_HINT) from None
    except OSError as error:
        raise DatasetError(
            f"{data} cannot be read: {error.strerror}.", hint="Give a file or folder that you may read."
        ) from None


def _sample_source(per_class: int) -> Source:
    """Returns drawn faces, the same ones for everybody and every seed; their identity is how they look."""
    faces = [_drawn(label, (_DRAWING_SEED, number, 0)).tobytes() for number, label in enumerate(SAMPLE_LABELS)]
    identity = hashlib.sha256(b"".join(faces)).hexdigest()
    return Source("sample", "sample", f"sample {per_class}", identity, partial(_opened_sample, per_class))


@contextmanager
def _opened_sample(per_class: int) -> Iterator[Listing]:
    pictures = (
        Picture(f"{label}/{index:06}", ALL_IMAGES, label, partial(_drawn, label, (_DRAWING_SEED, number, index)))
        for number, label in enumerate(SAMPLE_LABELS)
        for index in range(per_class)
    )
    yield Listing(pictures, per_class * len(SAMPLE_LABELS))


def _drawn(label: str, seed: tuple[int, ...]) -> np.ndarray:
    return draw_face(label, np.random.default_rng(seed))


def _kaggle_source() -> Source:
    """Returns FER-2013 from the cache of kagglehub (an optional extra), downloading it where it is not there yet."""
    try:
        import kagglehub
    except ImportError:
        raise DatasetError(
            "--data kaggle needs kagglehub, which is not installed.", hint="pip install kagglehub"
        ) from None
    # Its own errors have no common parent.
    own = (kind for kind in vars(kagglehub.exceptions).values() if isinstance(kind, type))
    failures = tuple(kind for kind in own if issubclass(kind, Exception))
    try:
        folder = Path(kagglehub.dataset_download(KAGGLE_HANDLE))
    except (OSError, ValueError, *failures) as error:
        raise DatasetError(
            f"FER-2013 could not be downloaded from Kaggle: {error}",
            hint="Download the zip from https://www.kaggle.com/datasets/msambare/fer2013 and give it as --data.",
        ) from None
    return replace(folder_source(folder), name="fer2013", location="kaggle")
