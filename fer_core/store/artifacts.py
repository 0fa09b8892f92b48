"""Finished models as files: stock Keras in one .h5 that carries its manifest, labels and architecture as JSON.

What is saved is never compiled, has no class of ours in it and is float32, whatever it was trained in.
"""

import contextlib
import json
import math
import re
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import ArtifactError
from fer_core.networks import check_saveable, load_keras
from fer_core.resources import memory_bytes
from fer_core.store.architecture import is_onnx
from fer_core.store.files import replacing, write_atomically, write_json
from fer_core.store.foreign import network_beside
from fer_core.store.inspection import check_is_file, inspect_apart, inspected_description, is_archive
from fer_core.store.manifest import Manifest
from fer_core.store.run import Run

if TYPE_CHECKING:
    import keras

MANIFEST_ATTRIBUTE = "fer_manifest"

_NEWER_THAN_KERAS_3_5 = {
    **dict.fromkeys(("input_axes", "output_axes", "quantization_config", "renorm_clipping"), None),
    "renorm": False,
    "renorm_momentum": 0.99,
    "ragged": False,
}
"""Arguments that Keras 3.5 does not know, with the values that change nothing: an older Keras would refuse the file."""

_MOST_MULTIPLY_ADDS = 2 * 10**11  # for one picture: a whole VGG-16 of 224 pixels takes a twelfth of it
_MOST_VALUES = 2**29  # between all layers, for one picture: the same VGG-16 has 15 million
_BATCH_BYTES = 32 * 4 * 4
"""For a value between two layers: 32 pictures at once, as float32, a layer's input and output and as much again."""


def save_model(model: "keras.Model", path: Path, *, manifest: Manifest) -> None:
    """Writes an .h5 that plain `keras.models.load_model(path)` opens, with the manifest as an attribute.

    Raises ArtifactError if the model has parts that Keras cannot read back, DiskFullError.
    """
    import h5py

    check_saveable(model)
    with replacing(path) as temporary:
        with _without_format_warning():
            model.save(temporary, include_optimizer=False)
        with h5py.File(temporary, "r+") as file:
            file.attrs.pop("training_config", None)  # a compiled model's losses, which would have to be loadable too
            file.attrs["model_config"] = json.dumps(for_older_keras(json.loads(file.attrs["model_config"])))
            file.attrs[MANIFEST_ATTRIBUTE] = manifest.to_json()


def load_model(path: Path) -> "keras.Model":
    """Returns a saved model, not compiled. Raises ArtifactError.

    What could run code is refused before Keras sees the file; Keras' own safe mode is the second lock. One that would
    take all memory is refused before its weights are made.
    """
    if is_onnx(path):
        raise ArtifactError(f"{path} is read with ONNX Runtime alone.", hint="Take the .h5 that it was made from.")
    inspect_apart(path)
    load_keras()
    path = path.absolute()  # Keras takes some beginnings of a path for an address
    network = json.dumps(inspected_description(path))
    try:
        with _named_for_keras(path) as weights:
            _check_size(path, network, weights)
            return _loaded(network, weights)
    except ArtifactError:
        raise
    except Exception as error:  # Keras and what is under it raise whatever they come upon
        raise ArtifactError(
            f"{path} cannot be read as a Keras model: {_first_line(_first_cause(error))}",
            hint="It must be a whole model of stock Keras layers, as `model.save(path)` of Keras 3 writes it.",
        ) from error


@contextlib.contextmanager
def _named_for_keras(path: Path) -> Iterator[Path]:
    """Yields the file under a name that tells Keras what it is: it goes by the name alone."""
    import h5py

    suffix = ".keras"
    if not is_archive(path):
        with h5py.File(path, "r") as file:
            suffix = ".h5" if "layer_names" in file.attrs or "model_weights" in file else ".weights.h5"
    if path.name.endswith(suffix) and path.name.endswith(".weights.h5") == (suffix == ".weights.h5"):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / f"model{suffix}"
        link.symlink_to(path)
        yield link


def read_h5_manifest(path: Path) -> Manifest | None:
    """Returns the manifest inside an .h5, without Keras; None if the file is from elsewhere. Raises ArtifactError."""
    import h5py

    check_is_file(path)
    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get(MANIFEST_ATTRIBUTE)
    except OSError as error:
        raise ArtifactError(
            f"{path} is no HDF5 file: {_first_line(error)}", hint="A model file ends in .h5."
        ) from error
    return None if text is None else Manifest.from_json(text, where=f"The manifest in {path}")


def network_apart(path: Path) -> Path | None:
    """Returns the JSON beside an .h5 that describes its network, where the .h5 holds weights alone. Raises OSError."""
    import h5py

    with h5py.File(path, "r") as file:
        return None if "model_config" in file.attrs else network_beside(path)


def save_architecture(model: "keras.Model", path: Path) -> None:
    """Writes the network without weights, for `keras.models.model_from_json`. Raises DiskFullError."""
    write_atomically(path, json.dumps(for_older_keras(json.loads(model.to_json())), indent=2) + "\n")


def for_older_keras(config: Any) -> Any:
    """Returns the JSON that describes a network without what only newer versions of Keras write, and do not need."""
    if isinstance(config, list):
        return [for_older_keras(value) for value in config]
    if not isinstance(config, dict):
        return config
    needless = {name for name, value in _NEWER_THAN_KERAS_3_5.items() if config.get(name, ...) == value}
    return {name: for_older_keras(value) for name, value in config.items() if name not in needless}


def _check_size(path: Path, network: str, weights: Path) -> None:
    """Raises ArtifactError for a model that takes too much memory or work, before its weights are made.

    A file of some kilobytes can describe layers that fill all memory, or that are not done in a day.
    """
    with ThreadPoolExecutor(1) as thread:  # whose state of Keras ends with it
        sizes = thread.submit(_sizes_of, network, weights).result()
    largest, values, multiply_adds = zip(*sizes, strict=True) if sizes else ((0,), (0,), (0,))
    for number, most, finding in (
        (max(largest), memory_bytes() // 4 // _BATCH_BYTES, "one layer gives {:,} values for one picture"),
        (sum(values), _MOST_VALUES, "its layers give {:,} values for one picture"),
        (sum(multiply_adds), _MOST_MULTIPLY_ADDS, "one picture takes about {:,} multiplications"),
    ):
        if number > most:
            hint = "Take a smaller model: no runtime here would carry it."
            raise ArtifactError(f"{path} is refused: {finding.format(number)}.", hint=hint)


def _sizes_of(network: str, weights: Path) -> list[tuple[int, int, int]]:
    import keras

    with keras.StatelessScope(initialize_variables=False):  # which makes no weights, but compares them with the file's
        return list(_sizes(_loaded(network, weights), calls=1))


def _loaded(network: str, weights: Path) -> "keras.Model":
    import keras

    model = keras.models.model_from_json(network)
    model.load_weights(weights)
    return model


def _sizes(model: "keras.Model", *, calls: int) -> Iterator[tuple[int, int, int]]:
    """Yields of each call of a layer how many values it gives, how many all its calls give, and their multiply-adds.

    `calls` is how often the model is called itself.
    """
    import keras

    for layer, outputs in _calls(model):
        for tensor in keras.tree.flatten(outputs):
            shape = [size or 1 for size in tensor.shape[1:]]
            values = math.prod(shape)
            yield values, calls * values, calls * math.prod(shape[:-1]) * layer.count_params()
        if isinstance(layer, keras.Model):
            yield from _sizes(layer, calls=calls)


def _calls(model: "keras.Model") -> list[tuple["keras.layers.Layer", Any]]:
    import keras

    found = []

    def call(layer: "keras.layers.Layer", *args: Any, **kwargs: Any) -> Any:
        found.append((layer, layer(*args, **kwargs)))
        return found[-1][1]

    graph = keras.Model(model.inputs, model.outputs)  # a Sequential model has none that could be gone through
    keras.models.clone_model(graph, clone_function=lambda layer: layer, call_function=call)
    return found


def _first_cause(error: BaseException) -> BaseException:
    """Keras wraps an error in others that quote all settings of each model and layer around it."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _first_line(error: BaseException) -> str:
    """Returns what an error says, without settings that Keras quotes at length."""
    line = (str(error).strip() or type(error).__name__).splitlines()[0]
    if len(line) <= 200:
        return line
    line = re.split(r"(?:: |[ ,]*(?:using )?\w+=)?[{]", line)[0]
    return line if len(line) <= 300 else line[:297].rpartition(" ")[0] + " …"


@contextlib.contextmanager
def _without_format_warning() -> Iterator[None]:
    """Keras advises against .h5 at every save; it is our format on purpose, since every other program opens it."""
    from absl import logging

    before = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(before)


def save_labels(path: Path, labels: Sequence[str]) -> None:
    """Writes {"0": "angry", …}. Raises DiskFullError."""
    write_json(path, {str(place): label for place, label in enumerate(labels)})


def parameters(run: Run) -> int:
    """Returns how many weights the run's model.h5 holds. Raises ArtifactError if it cannot be read."""
    import h5py

    sizes = []
    try:
        with h5py.File(run.model_h5) as file:
            file["model_weights"].visititems(lambda _, item: sizes.append(getattr(item, "size", 0)))
    except (OSError, KeyError) as error:
        raise ArtifactError(f"{run.model_h5} cannot be read ({error}).") from error
    return int(sum(sizes))
