"""Which class of the data is which output of a model: by name, also where the names differ or one side lacks some."""

from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import DatasetError
from fer_core.labels import known_label, normalized
from fer_core.store.model_files import ModelFiles

if TYPE_CHECKING:
    from fer_core.data.dataset import Dataset

_FEWEST_CLASSES = 2
_NEEDED = "The analysis needs the test images: give them with --data PATH."


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


def of_known_classes(dataset: "Dataset", model: ModelFiles) -> "Dataset":
    """Returns the images of the classes that the model knows. Raises DatasetError where these are fewer than two."""
    outputs = _outputs(model.labels)
    known = [label for label in dataset.labels if known_label(label, outputs) is not None]
    if len(known) < _FEWEST_CLASSES:
        class_numbers(model.labels, dataset.labels)  # says which differ
    scored = dataset.of_classes(known)
    if not len(scored.test):
        raise DatasetError(f"{dataset.name} has no test image of a class that {model.name} knows.", hint=_NEEDED)
    return scored


def classes_not_scored(dataset: "Dataset") -> str:
    """Returns a sentence on the classes of the data that the model does not know; '' if it knows all."""
    lacking = [label for label in dataset.contents.labels if label not in dataset.labels]
    if not lacking:
        return ""
    images = sum(sum(part[label] for label in lacking) for part in dataset.contents.counts().values())
    return f"Left out of the score, as the model does not know them: {', '.join(lacking)} ({images:,} images in all)."


def _outputs(model_labels: tuple[str, ...]) -> dict[str, int]:
    outputs = {normalized(label): number for number, label in enumerate(model_labels)}
    if len(outputs) < len(model_labels):
        raise DatasetError(
            f"The model has a label twice: {', '.join(model_labels)}.", hint="Give its own --labels FILE."
        )
    return outputs
