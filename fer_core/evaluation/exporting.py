"""A model in the forms that others read: written, described, and each compared with Keras on the test images."""

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from fer_core import faces
from fer_core.errors import ArtifactError
from fer_core.evaluation.predict import class_numbers, predict, predict_side_by_side
from fer_core.paths import Paths
from fer_core.resources import available_cores
from fer_core.store.architecture import in_range
from fer_core.store.artifacts import load_model, save_labels
from fer_core.store.export import FORMATS, Format, export_checked, export_int8, export_onnx, export_saved_model
from fer_core.store.files import replacing, sync, temporary_beside, write_json
from fer_core.store.model_files import ModelFiles, export_folder
from fer_core.store.runtimes import LiteRTModel, ONNXModel

if TYPE_CHECKING:
    import keras

    from fer_core.data.dataset import Dataset

FILES = {"onnx": "model.onnx", "tflite": "model.tflite", "int8": "model_int8.tflite", "savedmodel": "saved_model"}
DESCRIPTION = "fer.json"
"""What must be known to use the model: a member of a .tflite, which is a zip too, and a file in a SavedModel."""
_PROBES = 256


class Exported(NamedTuple):
    """One file, and how it compares with Keras."""

    format: str
    path: str
    bytes: int
    largest_difference: float
    """Of an output, on all images."""
    accuracy: float | None
    """On the test images; None where there are none."""


class ExportComparison(NamedTuple):
    """All files of a model."""

    images: int
    split: str
    """What they were compared on; '' for pictures of random numbers, which have no accuracy."""
    keras_accuracy: float | None
    files: list[Exported]


def describe(model: ModelFiles) -> dict[str, Any]:
    """Returns what whoever uses a model must know, as plain values; every export carries it."""
    channels = {"gray": "gray" if model.channels == 1 else "gray, three times"}.get(model.colours, model.colours)
    return {
        "name": model.name,
        "labels": list(model.labels),
        "input": {"shape": [model.side, model.side, model.channels], "pixels": model.pixels, "channels": channels},
        "framing": model.framing or faces.framings(),
        "aligned": model.is_aligned,
        "divided_by": model.divided_by,
        "temperature": model.temperature,
        "unsure_below": model.manifest and model.manifest.unsure_below,
        "sha256": model.sha256,
        "manifest": model.manifest and model.manifest.model_dump(mode="json", by_alias=True),
    }


def export_model(
    model: ModelFiles,
    formats: tuple[Format, ...],
    paths: Paths,
    *,
    dataset: "Dataset | None" = None,
    report: Callable[[str], None],
) -> ExportComparison:
    """Writes the forms into the model's folder of exports, with labels and what was compared (export.json).

    Needs Keras to run on TensorFlow. `dataset`: its test images are compared on. Raises ArtifactError, DiskFullError.
    """
    if not formats:
        raise ArtifactError("No format is named.", hint=f"Give --format with some of {', '.join(FORMATS)}.")
    folder = export_folder(model, paths)
    folder.mkdir(parents=True, exist_ok=True)
    network, images = load_model(model.model), _Images(model, dataset)
    truth = None if dataset is None else class_numbers(model.labels, dataset.labels)[dataset.test.labels]
    expected = predict(network, images)
    files = []
    for name in formats:
        report(f"Writing {name} …")
        path = folder / FILES[name]
        answers = _write(name, network, path, describe(model), images)
        size = sum(part.stat().st_size for part in (path.rglob("*") if path.is_dir() else [path]) if part.is_file())
        difference = float(np.abs(answers - expected).max())
        files.append(Exported(name, str(path), size, difference, _accuracy(answers, truth)))
    found = ExportComparison(len(images), dataset.test.name if dataset else "", _accuracy(expected, truth), files)
    save_labels(folder / "labels.json", model.labels)
    named = [file._asdict() | {"path": Path(file.path).name} for file in files]
    write_json(folder / "export.json", describe(model) | found._asdict() | {"files": named})
    return found


class _Images:
    """Test images, or pictures of random numbers, in the range of values that the model takes."""

    def __init__(self, model: ModelFiles, dataset: "Dataset | None"):
        shape = (_PROBES, model.side, model.side, model.channels)
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        self._images = dataset.test.images if dataset else noise.__getitem__
        self._count, self._pixels = len(dataset.test) if dataset else _PROBES, model.pixels

    def __len__(self) -> int:
        return self._count

    def images(self, which: Any) -> np.ndarray:
        """Returns float32 (n, side, side, channels)."""
        return in_range(self._images(which), self._pixels).astype(np.float32)


def _accuracy(answers: np.ndarray, truth: np.ndarray | None) -> float | None:
    return None if truth is None else float((answers.argmax(axis=1) == truth).mean())


def _write(
    name: Format, network: "keras.Model", path: Path, description: dict[str, Any], images: _Images
) -> np.ndarray:
    """Returns what the written form answers, float32 (n, labels)."""
    if name == "savedmodel":
        import keras

        _save(network, path, description)
        serve = keras.layers.TFSMLayer(path, call_endpoint="serve")
        return predict_side_by_side([lambda batch: np.asarray(serve(batch))], images)
    if name == "onnx":
        export_onnx(network, path, description)
        return predict_side_by_side([ONNXModel(path).probabilities for _ in range(available_cores())], images)
    with replacing(path) as temporary:
        if name == "int8":
            export_int8(network, temporary)
        else:
            export_checked(network, temporary, images.images(slice(0, 32)))
        with zipfile.ZipFile(temporary, "a") as archive:
            archive.writestr(DESCRIPTION, json.dumps(description))
            archive.writestr("labels.txt", "\n".join(description["labels"]))
    return predict_side_by_side([LiteRTModel(path).probabilities for _ in range(available_cores())], images)


def _save(network: "keras.Model", path: Path, description: dict[str, Any]) -> None:
    temporary = temporary_beside(path)
    try:
        export_saved_model(network, temporary)
        write_json(temporary / DESCRIPTION, description)
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
        sync(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
