"""What a finished training leaves for the small runtime: the LiteRT export, and where asked for one in 8 bits.

A model without them is still a model: what hinders an export is told, and nothing is lost. Imports Keras.
"""

import keras
import numpy as np

from fer_core.data.dataset import Dataset, Split
from fer_core.errors import ArtifactError
from fer_core.evaluation.predict import predict, predict_side_by_side
from fer_core.store.export import can_export, ensure_litert, export_checked, export_int8, export_int8_in_child
from fer_core.store.files import file_sha256
from fer_core.store.litert import LiteRTModel
from fer_core.store.manifest import Int8Metadata
from fer_core.store.run import Run
from fer_core.training.report import RunReport

_EXPORT_PROBES = 256
_INT8_MAY_LOSE = 0.005
"""Of the accuracy on the validation images."""
_SIDE_BY_SIDE = 2
_NO_TENSORFLOW = "TensorFlow is not installed here. The first machine that has it makes it."


def export(run: Run, network: keras.Model, dataset: Dataset, report: RunReport) -> None:
    """Writes the exports of a finished network and notes them in the manifest; tells what came of each."""
    run.update_manifest(litert=None, int8=None)
    for path in (run.model_tflite, run.model_int8):
        path.unlink(missing_ok=True)
    makers = {"LiteRT": _float32, "int8": _int8} if run.manifest.config.eight_bit else {"LiteRT": _float32}
    for name, make in makers.items():
        try:
            report.event(make(run, network, dataset))
        except ModuleNotFoundError as error:
            report.event(f"No {name} export: {error.name} is not installed here.")
        except ArtifactError as error:
            report.event(f"No {name} export: {error}")


def _float32(run: Run, network: keras.Model, dataset: Dataset) -> str:
    if keras.backend.backend() == "tensorflow":
        probes = dataset.test.images(slice(0, _EXPORT_PROBES))
        run.update_manifest(litert=export_checked(network, run.model_tflite, probes))
    elif not ensure_litert(run):
        return f"No LiteRT export: {_NO_TENSORFLOW}"
    difference = run.manifest.litert.largest_difference
    return f"LiteRT export agrees with Keras: largest difference of a probability {difference:.1e}."


def _int8(run: Run, network: keras.Model, dataset: Dataset) -> str:
    """Keeps the export if it is nearly as good on the validation images; where there are none, whatever it loses."""
    if keras.backend.backend() == "tensorflow":
        export_int8(network, run.model_int8)
    elif can_export():
        export_int8_in_child(run.model_h5, run.model_int8)
    else:
        return "No int8 export: TensorFlow is not installed here."
    part = dataset.validation
    lost = 0.0 if part is None else _accuracy(predict(network, part), part) - _int8_accuracy(run, part)
    if lost > _INT8_MAY_LOSE:
        run.model_int8.unlink()
        return f"No int8 export: it loses {100 * lost:.1f} points on {part.name} ({len(part):,} images)."
    accuracy = _int8_accuracy(run, dataset.test)
    run.update_manifest(int8=Int8Metadata(sha256=file_sha256(run.model_int8), accuracy=accuracy))
    of_test = f"{accuracy:.2%} of {dataset.test.name} right, {100 * (accuracy - run.manifest.scores['accuracy']):+.2f}"
    why = "kept unseen, without validation images" if part is None else f"{-100 * lost:+.2f} points on {part.name}"
    return f"Int8 export: {why}; {of_test} points."


def _int8_accuracy(run: Run, part: Split) -> float:
    readers = [LiteRTModel(run.model_int8).probabilities for _ in range(_SIDE_BY_SIDE)]
    return _accuracy(predict_side_by_side(readers, part), part)


def _accuracy(outputs: np.ndarray, part: Split) -> float:
    return float((outputs.argmax(axis=1) == part.labels).mean())
