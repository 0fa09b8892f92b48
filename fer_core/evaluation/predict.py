"""Asks a model about many images: Keras in batches of one size (one compiled step), small runtimes side by side.

About fixed views of them too (itself, mirrored, moved by a few pixels): what a teacher is asked about once, and what
several answers to one picture are averaged over. And which class of the data is which output: by name, also where the
names differ or one side lacks some.

A model's answer to each test image is kept beside its scores: which images lie in a cell of the confusion matrix.
Images are named by their contents' hashes, so that the answers are never shown beside other images.
"""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.data.unpacking import UNPACKING_ERRORS
from fer_core.errors import ArtifactError, DatasetError
from fer_core.evaluation.calibration import with_temperature
from fer_core.labels import known_label, normalized
from fer_core.store.files import write_atomically

if TYPE_CHECKING:
    import keras

    from fer_core.data.dataset import Dataset, Split
    from fer_core.store.model_files import ModelFiles

BATCH = 256
_SHIFTS = ((0, 0), (-2, -2), (2, 2), (2, -2), (-2, 2), (0, -3), (0, 3), (3, 0), (-3, 0))
"""Down and across, in pixels of a picture of side 48."""
_SIDE = 48

VIEWS_FORMAT = 1
"""Raised whenever a number means another view: what was said of the old ones is asked anew."""

MOST_VIEWS = 2 * len(_SHIFTS)
_FEWEST_CLASSES = 2
NEEDED = "The analysis needs the test images: give them with --data PATH."

_KINDS = {"probabilities": np.float16, "truth": np.uint16, "predicted": np.uint16, "hashes": np.uint64}
"""Of the arrays of answers."""
_HINT = "Analyse the model again: `python realtime_emotion_detector.py --analyze --model RUN`."


def predict(model: "keras.Model", split: "Split", *, devices: int = 1) -> np.ndarray:
    """Returns the model's probabilities, float32 (images, labels), in the order of the split."""
    size = -(-BATCH // devices) * devices
    answers = []
    for start in range(0, len(split), size):
        images = split.images(slice(start, start + size))
        padded = np.pad(images, [(0, size - len(images)), (0, 0), (0, 0), (0, 0)])
        answers.append(np.asarray(model.predict_on_batch(padded), np.float32)[: len(images)])
    return np.concatenate(answers)


def predict_side_by_side(
    classifiers: Sequence[Callable[[np.ndarray], np.ndarray]], split: "Split | np.ndarray"
) -> np.ndarray:
    """Returns probabilities, float32 (images, labels), in the order of the split; each classifier has its own thread.

    Args:
        classifiers: of one model, e.g. `[LiteRTModel(path).probabilities for _ in range(cores)]`; each takes uint8
            (n, side, side, channels). split: or its images.
    """
    shares = [share for share in np.array_split(np.arange(len(split)), len(classifiers)) if len(share)]
    with ThreadPoolExecutor(len(classifiers)) as pool:
        return np.concatenate(list(pool.map(partial(_share, split), classifiers, shares)))


def over_views(classify: Callable[[np.ndarray], np.ndarray], count: int) -> Callable[[np.ndarray], np.ndarray]:
    """Returns a classifier that answers with the mean of the probabilities of the first `count` fixed views."""
    if count == 1:
        return classify
    return lambda images: np.mean([classify(view(images, number)) for number in range(count)], axis=0)


def view(images: np.ndarray, number: int) -> np.ndarray:
    """Returns one view of each picture: 0 is itself, 1 its mirror image, then both for each of the shifts.

    Args:
        images: (n, side, side, channels); the edge is repeated where a shift leaves it.
        number: 0 to MOST_VIEWS - 1.
    """
    down, across = (round(pixels * images.shape[1] / _SIDE) for pixels in _SHIFTS[number // 2])
    moved = _moved(images, down, across) if down or across else images
    return moved[:, :, ::-1] if number % 2 else moved


def views_in_turn(images: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """Returns for each picture the view with its own number, int (n,)."""
    turned = images.copy()
    for number in np.unique(numbers):
        turned[numbers == number] = view(images[numbers == number], int(number))
    return turned


def class_numbers(model_labels: tuple[str, ...], data_labels: tuple[str, ...], *, may_lack: bool = False) -> np.ndarray:
    """Returns, for each class of the data, which output of the model it is: int64 (classes,).

    By name, never by position: a model from elsewhere may have the order of FER-2013's csv, data here is alphabetical.
    Anger is angry here too. Raises DatasetError where they are not the same classes.

    Args:
        may_lack: the data may lack classes of the model, which are not measured then.
    """
    outputs = _outputs(model_labels)
    names = {label: known_label(label, outputs) for label in data_labels}
    unknown = ", ".join(label for label, name in names.items() if name is None)
    unused = "" if may_lack else ", ".join(label for label in outputs if label not in names.values())
    found = [f"the model does not know {unknown}"] if unknown else []
    found += [f"the data does not have {unused}"] if unused else []
    if found:
        raise DatasetError(
            f"Data and model do not have the same classes: {' and '.join(found)}.",
            hint="Give --data with the classes that the model was trained on, or its own --labels FILE.",
        )
    return np.array([outputs[names[label]] for label in data_labels], np.int64)


def of_known_classes(dataset: "Dataset", model: "ModelFiles") -> "Dataset":
    """Returns the images of the classes that the model knows. Raises DatasetError where these are fewer than two."""
    outputs = _outputs(model.labels)
    known = [label for label in dataset.labels if known_label(label, outputs) is not None]
    if len(known) < _FEWEST_CLASSES:
        class_numbers(model.labels, dataset.labels)  # says which differ
    scored = dataset.of_classes(known)
    if not len(scored.test):
        raise DatasetError(f"{dataset.name} has no test image of a class that {model.name} knows.", hint=NEEDED)
    return scored


def classes_not_scored(dataset: "Dataset") -> str:
    """Returns a sentence on the classes of the data that the model does not know; '' if it knows all."""
    lacking = [label for label in dataset.contents.labels if label not in dataset.labels]
    if not lacking:
        return ""
    images = sum(sum(part[label] for label in lacking) for part in dataset.contents.counts().values())
    return f"Left out of the score, as the model does not know them: {', '.join(lacking)} ({images:,} images in all)."


def _share(split: "Split | np.ndarray", ask: Callable, positions: np.ndarray) -> np.ndarray:
    images = split.__getitem__ if isinstance(split, np.ndarray) else split.images
    parts = np.array_split(positions, -(-len(positions) // BATCH))
    return np.concatenate([ask(images(part)) for part in parts])


def _moved(images: np.ndarray, down: int, across: int) -> np.ndarray:
    room = max(abs(down), abs(across))
    wider = np.pad(images, [(0, 0), (room, room), (room, room), (0, 0)], mode="edge")
    side = images.shape[1]
    return wider[:, room - down : room - down + side, room - across : room - across + side]


def _outputs(model_labels: tuple[str, ...]) -> dict[str, int]:
    outputs = {normalized(label): number for number, label in enumerate(model_labels)}
    if len(outputs) < len(model_labels):
        raise DatasetError(
            f"The model has a label twice: {', '.join(model_labels)}.", hint="Give its own --labels FILE."
        )
    return outputs


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

    def rows_of(self, test: "Split", labels: tuple[str, ...]) -> np.ndarray | None:
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


def save_answers(path: Path, outputs: np.ndarray, truth: np.ndarray, *, labels: tuple[str, ...], test: "Split") -> None:
    """Writes the answers whole.

    Args:
        outputs: float (n, labels), probabilities in the order of the split. truth: int (n,), positions in `labels`.
    """
    content = io.BytesIO()
    np.savez_compressed(
        content,
        labels=np.array(labels, np.str_),
        probabilities=outputs.astype(_KINDS["probabilities"]),
        truth=truth.astype(_KINDS["truth"]),
        # Rounded probabilities may be equal, and the confusion matrix knows which was larger.
        predicted=outputs.argmax(axis=1).astype(_KINDS["predicted"]),
        hashes=test.hashes,
    )
    write_atomically(path, content.getvalue())


def load_answers(path: Path) -> Answers | None:
    """Returns what `save_answers` wrote, None where there is no such file. Raises ArtifactError if it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as content:
            labels = tuple(map(str, content["labels"]))
            arrays = {name: content[name].astype(kind) for name, kind in _KINDS.items()}
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RuntimeError, *UNPACKING_ERRORS) as error:
        raise ArtifactError(f"{path} cannot be read: {error}.", hint=_HINT) from None
    found = Answers(labels, **arrays)
    lengths = {array.shape[:1] for array in arrays.values()}
    is_beyond = any(part.size and part.max() >= len(labels) for part in (found.truth, found.predicted))
    if len(lengths) > 1 or found.probabilities.shape[1:] != (len(labels),) or is_beyond:
        raise ArtifactError(f"{path} holds no answers of ours.", hint=_HINT)
    return found
