"""The forms of a model for others than Keras. LiteRT, which classifies without TensorFlow, is compared with Keras here.

Where this process has no TensorFlow as its backend, one of its own makes it: `python -m fer_core.store.export`.
"""

import importlib.util
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from fer_core.errors import ArtifactError, FerError, native_messages_hidden
from fer_core.store.architecture import PixelRange, in_range
from fer_core.store.artifacts import load_model
from fer_core.store.files import file_sha256, full_disk_named, replacing
from fer_core.store.inspection import answer, run_child
from fer_core.store.manifest import LiteRTMetadata
from fer_core.store.run import Run
from fer_core.store.runtimes import LiteRTModel

if TYPE_CHECKING:
    import keras
    import onnx

Format = Literal["onnx", "tflite", "int8", "savedmodel"]
FORMATS: tuple[Format, ...] = get_args(Format)
ALLOWED_DIFFERENCE = 1e-3
"""Of probabilities. Measured: under 1e-6 for float32; more than this means another model, not rounding."""

_OPSET = 17
"""Of ONNX, from 2022: what runtimes on phones and in browsers know."""
_EXPORT_SECONDS = 600
_PROBES = 32


def can_export() -> bool:
    """Returns whether TensorFlow is installed (without importing it)."""
    return importlib.util.find_spec("tensorflow") is not None


def export_checked(model: "keras.Model", path: Path, images: np.ndarray) -> LiteRTMetadata:
    """Writes a .tflite that takes float32 (1, side, side, channels), and returns its hash and how far it is from Keras.

    Needs Keras to run on TensorFlow. What the small runtime lacks fails here, not later. `images`, uint8 or float32
    (n, side, side, channels), is what both are compared on. Raises DiskFullError, and ArtifactError if it is another
    model than Keras has; `path` is as it was then.
    """
    import keras

    expected = keras.ops.convert_to_numpy(model(images.astype(np.float32), training=False))
    with replacing(path) as temporary:
        _convert(model, temporary)
        difference = float(np.abs(LiteRTModel(temporary).probabilities(images) - expected).max())
        largest = max(1.0, float(np.abs(expected).max()))  # more than 1 where a model gives no probabilities
        if not difference <= ALLOWED_DIFFERENCE * largest:  # not >, which NaN would pass
            raise ArtifactError(f"The LiteRT export differs from Keras by {difference:.2g} on {len(images)} images.")
    return LiteRTMetadata(sha256=file_sha256(path), largest_difference=difference)


def export_int8(model: "keras.Model", path: Path) -> None:
    """Writes a .tflite with 8-bit weights (dynamic range: activations are quantised as they come).

    It takes and gives float32 as the other does, and is a third of its size. Needs Keras to run on TensorFlow. Whoever
    asks for it checks what it costs. Raises ArtifactError, DiskFullError.
    """
    import tensorflow as tf

    with replacing(path) as temporary:
        _convert(model, temporary, optimizations=[tf.lite.Optimize.DEFAULT])


def export_onnx(model: "keras.Model", path: Path, description: Mapping[str, object]) -> None:
    """Writes an .onnx that takes `pixels`, float32 (batch, side, side, channels), and gives `probabilities`.

    `description` becomes its metadata, each value as JSON. Needs Keras to run on TensorFlow, and tf2onnx. Raises
    ArtifactError, DiskFullError.
    """
    import keras

    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        missing = f"{error.name}, which writes ONNX, is not installed."
        raise ArtifactError(missing, hint="`pip install onnx tf2onnx` brings it.") from error
    logging.getLogger(tf2onnx.__name__).setLevel(logging.ERROR)
    signature = [keras.InputSpec(shape=(None, *model.input_shape[1:]), dtype="float32", name="pixels")]
    with replacing(path) as temporary:
        _refused_by_converter(
            lambda: model.export(
                str(temporary), format="onnx", input_signature=signature, opset_version=_OPSET, verbose=False
            )
        )
        written = onnx.load(temporary)
        _name_answer(written.graph)
        onnx.helper.set_model_props(written, {name: json.dumps(value) for name, value in description.items()})
        onnx.checker.check_model(written)
        onnx.save(written, temporary)


def export_saved_model(model: "keras.Model", folder: Path) -> None:
    """Writes a SavedModel, for TensorFlow Serving and the like. Raises ArtifactError, DiskFullError.

    Whoever calls sees to it that a folder is there whole or not at all.
    """
    with full_disk_named(folder):
        _refused_by_converter(lambda: model.export(folder, format="tf_saved_model", verbose=False))


def export_in_child(model: Path, path: Path, *, pixels: PixelRange = "0..255") -> LiteRTMetadata:
    """Writes the .tflite of a .h5 or .keras in a process of its own, and returns its metadata.

    `pixels` is what the model was trained on; in that range the two are compared. Raises ArtifactError.
    """
    return LiteRTMetadata.model_validate_json(_made_in_child(model, path, pixels))


def export_int8_in_child(model: Path, path: Path) -> None:
    """Does what `export_int8` does for a .h5 in a process of its own. Raises ArtifactError."""
    _made_in_child(model, path, "int8")


def ensure_litert(run: Run) -> bool:
    """Returns whether the run has its .tflite, making it now if this machine can. Raises ArtifactError."""
    if run.model_tflite.is_file() and run.manifest.litert is not None:
        return True
    if not can_export():
        return False
    keras = sys.modules.get("keras")
    if keras is not None and keras.backend.backend() == "tensorflow":  # it need not be loaded once more
        metadata = _checked(load_model(run.model_h5), run.model_tflite)
    else:
        metadata = export_in_child(run.model_h5, run.model_tflite)
    run.update_manifest(litert=metadata)
    return True


def _convert(model: "keras.Model", path: Path, **settings: object) -> None:
    import keras
    import tensorflow as tf

    signature = [keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32")]
    settings["target_spec"] = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    _refused_by_converter(
        lambda: model.export(path, format="litert", input_signature=signature, verbose=False, **settings)
    )


def _name_answer(graph: "onnx.GraphProto") -> None:
    """The converter numbers them."""
    (old,) = (output.name for output in graph.output)
    for node in graph.node:
        node.output[:] = ["probabilities" if name == old else name for name in node.output]
    graph.output[0].name = "probabilities"
    for value in (graph.input[0], graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"


def _refused_by_converter(convert: Callable[[], object]) -> None:
    try:
        with native_messages_hidden():
            convert()
    except OSError:
        raise
    except Exception as error:  # the converter raises whatever its C++ came upon
        raise ArtifactError(f"The converter refuses the model: {str(error).strip()[:300]}") from error


def _made_in_child(model: Path, path: Path, what: PixelRange | Literal["int8"]) -> str:
    # A conversion needs no GPU, and must not take a training's memory.
    settings = {"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    arguments = (model.absolute(), path.absolute(), what)
    try:
        child = run_child("fer_core.store.export", *arguments, timeout_seconds=_EXPORT_SECONDS, **settings)
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"{model} could not be exported to LiteRT in {_EXPORT_SECONDS} s.") from None
    if child.returncode:
        last = (child.stderr.strip() or f"exit code {child.returncode}").splitlines()[-1]
        hint = "`--runtime keras` needs no export."
        raise ArtifactError(f"{model} could not be exported to LiteRT: {last}", hint=hint)
    return child.stdout.splitlines()[-1]


def _checked(network: "keras.Model", path: Path, pixels: PixelRange = "0..255") -> LiteRTMetadata:
    images = np.random.default_rng(0).integers(0, 256, (_PROBES, *network.input_shape[1:]), dtype=np.uint8)
    return export_checked(network, path, in_range(images, pixels))


def _export(model: Path, path: Path, what: PixelRange | Literal["int8"]) -> str:
    """Returns the metadata of a float32 export as JSON, the hash of an int8 one."""
    network = load_model(model)
    try:
        if what == "int8":
            export_int8(network, path)
            return file_sha256(path)
        return _checked(network, path, what).model_dump_json()
    except FerError as error:  # no matter of the model, which could be read
        sys.exit(f"{error} {error.hint}")


if __name__ == "__main__":
    answer(lambda: _export(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]))
