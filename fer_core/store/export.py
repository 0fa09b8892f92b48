"""The LiteRT form of a model, which classifies without TensorFlow: made, and compared with Keras.

Making it takes TensorFlow. A model that was trained on JAX gets it from the first machine that has TensorFlow, in a
process of its own (`python -m fer_core.store.export RUN_FOLDER`), since Keras keeps one backend for a process's life.
"""

import contextlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import ArtifactError, FerError
from fer_core.store.artifacts import load_model
from fer_core.store.files import file_sha256, replacing
from fer_core.store.manifest import LiteRTFacts
from fer_core.store.run import Run

if TYPE_CHECKING:
    import keras

ALLOWED_DIFFERENCE = 1e-3
"""Of probabilities. Measured: under 1e-6 for float32; more than this means another model, not rounding."""

_PROJECT = Path(__file__).parents[2]
_EXPORT_SECONDS = 600
_PROBES = 32


def can_export() -> bool:
    """Returns whether TensorFlow is installed (without importing it)."""
    return importlib.util.find_spec("tensorflow") is not None


def export_litert(model: "keras.Model", path: Path) -> None:
    """Writes a .tflite that takes float32 (1, side, side, channels), grey values 0..255, and gives probabilities.

    Needs Keras to run on TensorFlow. What the small runtime lacks fails here, not later. Raises DiskFullError.
    """
    with replacing(path) as temporary:
        try:
            _convert(model, temporary)
        except OSError:
            raise
        except Exception as error:  # the converter raises whatever its C++ came upon
            raise ArtifactError(f"The converter refuses the model: {str(error).strip()[:300]}") from error


def litert_difference(path: Path, images: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the largest difference between a .tflite's probabilities and those that Keras gave.

    Args:
        images: uint8 (n, side, side, channels).
        probabilities: float (n, classes), of the same images.
    """
    from ai_edge_litert.interpreter import Interpreter

    with _native_messages_hidden():
        interpreter = Interpreter(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
    found = np.stack([_classify(interpreter, image) for image in images])
    return float(np.abs(found - probabilities).max())


def export_checked(model: "keras.Model", path: Path, images: np.ndarray) -> LiteRTFacts:
    """Writes the .tflite and returns its hash and its largest difference to Keras on `images` (uint8, as above).

    Raises ArtifactError, and leaves `path` as it was, if it is another model than Keras has.
    """
    import keras

    expected = keras.ops.convert_to_numpy(model(images.astype(np.float32), training=False))
    with replacing(path) as temporary:
        try:
            _convert(model, temporary)
        except OSError:
            raise
        except Exception as error:  # the converter raises whatever its C++ came upon
            raise ArtifactError(f"The converter refuses the model: {str(error).strip()[:300]}") from error
        difference = litert_difference(temporary, images, expected)
        if not difference <= ALLOWED_DIFFERENCE:  # not >, which NaN would pass
            raise ArtifactError(f"The LiteRT export differs from Keras by {difference:.2g} on {len(images)} images.")
    return LiteRTFacts(sha256=file_sha256(path), largest_difference=difference)


def ensure_litert(run: Run) -> bool:
    """Returns whether the run has its .tflite, making it now if this machine can. Raises ArtifactError."""
    if run.model_tflite.is_file() and run.manifest.litert is not None:
        return True
    if not can_export():
        return False
    _export_in_child(run)
    return True


def _convert(model: "keras.Model", path: Path) -> None:
    import keras
    import tensorflow as tf

    signature = [keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32")]
    target = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    with _native_messages_hidden():
        model.export(path, format="litert", input_signature=signature, target_spec=target, verbose=False)


def _classify(interpreter, image: np.ndarray) -> np.ndarray:
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None].astype(np.float32))
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]


@contextlib.contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """Converter and runtime report their progress on the process's stderr, past Python; their errors are exceptions."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _export_in_child(run: Run) -> None:
    command = [sys.executable, "-m", "fer_core.store.export", str(run.folder.resolve())]
    environment = os.environ | {
        "KERAS_BACKEND": "tensorflow",
        "CUDA_VISIBLE_DEVICES": "",  # a conversion needs no GPU, and must not take a training's memory
        "PYTHONPATH": os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH")))),
    }
    try:
        child = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_EXPORT_SECONDS)
    except subprocess.TimeoutExpired:
        raise ArtifactError(f"Run {run.id} could not be exported to LiteRT in {_EXPORT_SECONDS} s.") from None
    if child.returncode:
        last = (child.stderr.strip() or f"exit code {child.returncode}").splitlines()[-1]
        raise ArtifactError(f"Run {run.id} could not be exported to LiteRT: {last}")


def _export_run(run: Run) -> None:
    model = load_model(run.model_h5)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (_PROBES, *model.input_shape[1:]), dtype=np.uint8)
    run.update_manifest(litert=export_checked(model, run.model_tflite, images))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    try:
        _export_run(Run(folder, history=folder))
    except FerError as error:
        sys.exit(f"{error} {error.hint}")
