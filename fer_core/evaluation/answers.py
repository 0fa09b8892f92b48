"""A model's answer to each test image, kept beside its scores: which images lie in a cell of the confusion matrix.

Images are named by their contents' hashes, so that the answers are never shown beside other images.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fer_core.data.dataset import Split
from fer_core.errors import ArtifactError
from fer_core.evaluation.calibration import with_temperature
from fer_core.store.files import write_atomically

_HINT = "Analyse the model again: `python realtime_emotion_detector.py --analyze --model RUN`."


@dataclass(frozen=True)
class Answers:
    """What a model said of a test split. All arrays have an entry, or row, per image.

    `probabilities` float16 (n, labels), of the model itself, before calibration; `truth` and `predicted` uint16 (n,),
    positions in `labels`; `hashes` uint64 (n,), of the images' contents.
    """

    labels: tuple[str, ...]
    probabilities: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    hashes: np.ndarray

    def confidences(self, temperature: float) -> np.ndarray:
        """Returns the calibrated probabilities, float (n, labels)."""
        return with_temperature(self.probabilities.astype(np.float32), temperature)

    def rows_of(self, test: Split, labels: tuple[str, ...]) -> np.ndarray | None:
        """Returns the row of each image of a test split, int64 (n,); None if it is not the one that was asked about.

        Args:
            labels: those of the data set, in whose order the split's labels are numbered.
        """
        if len(test) != len(self.hashes) or set(labels) - set(self.labels):
            return None
        truth = np.array([self.labels.index(label) for label in labels])[test.labels]
        ours, theirs = np.lexsort((self.truth, self.hashes)), np.lexsort((truth, test.hashes))
        if (self.hashes[ours] != test.hashes[theirs]).any() or (self.truth[ours] != truth[theirs]).any():
            return None
        rows = np.empty(len(test), np.int64)
        rows[theirs] = ours
        return rows


def save_answers(path: Path, outputs: np.ndarray, truth: np.ndarray, *, labels: tuple[str, ...], test: Split) -> None:
    """Writes the answers whole.

    Args:
        outputs: float (n, labels), probabilities in the order of the split. truth: int (n,), positions in `labels`.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        labels=np.array(labels, np.str_),
        probabilities=outputs.astype(np.float16),
        truth=truth.astype(np.uint16),
        # Rounded probabilities may be equal, and the confusion matrix knows which was larger.
        predicted=outputs.argmax(axis=1).astype(np.uint16),
        hashes=test.hashes,
    )
    write_atomically(path, content.getvalue())


def load_answers(path: Path) -> Answers | None:
    """Returns what `save_answers` wrote, None where there is no such file. Raises ArtifactError if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as content:
            labels = tuple(map(str, content["labels"]))
            arrays = {name: content[name] for name in ("probabilities", "truth", "predicted", "hashes")}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ArtifactError(f"{path} cannot be read: {error}.", hint=_HINT) from None
    found = Answers(labels, **arrays)
    shapes = {len(found.truth), len(found.predicted), len(found.hashes), len(found.probabilities)}
    is_beyond = any(len(part) and part.max() >= len(labels) for part in (found.truth, found.predicted))
    if len(shapes) > 1 or found.probabilities.shape[1:] != (len(labels),) or is_beyond:
        raise ArtifactError(f"{path} holds no answers of ours.", hint=_HINT)
    return found
