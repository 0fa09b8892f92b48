"""Finished models as files: stock Keras in one .h5 that carries its manifest, labels and architecture as JSON.

What is saved is never compiled, has no class of ours in it and is float32, whatever it was trained in.
"""

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import ArtifactError
from fer_core.resources import memory_bytes
from fer_core.store.files import read_json, replacing, write_atomically, write_json
from fer_core.store.inspection import check_is_file, inspect_apart
from fer_core.store.manifest import Manifest

if TYPE_CHECKING:
    import keras

MANIFEST_ATTRIBUTE = "fer_manifest"

_MOST_MULTIPLY_ADDS = 2 * 10**11  # for one picture: a whole VGG-16 of 224 pixels takes a twelfth of it
_MOST_VALUES = 2**29  # between all layers, for one picture: the same VGG-16 has 15 million
_BATCH_BYTES = 32 * 4 * 4
"""For a value between two layers: 32 pictures at once, as float32, a layer's input and output and as much again."""


def check_saveable(model: "keras.Model") -> None:
    """Raises ArtifactError if Keras could not read the saved model back; worth asking before the first epoch."""
    import keras

    layers = list(_all_layers(model))
    steps = [step for part in (model, *layers) for step in getattr(part, "operations", ())]
    foreign = [step.name for step in steps if not isinstance(step, keras.layers.Layer)]
    foreign += [layer.name for layer in layers if not type(layer).__module__.startswith("keras.")]
    if foreign:
        raise ArtifactError(
            f"The network has steps that are no stock Keras layers ({', '.join(foreign[:3])}); no .h5 can hold them.",
            hint="Use layers of keras.layers alone, e.g. keras.layers.Multiply()([a, b]) for a * b.",
        )
    mixed = [layer.name for layer in layers if layer.dtype_policy.name != "float32"]
    if mixed:
        raise ArtifactError(
            f"The network is not float32 throughout ({', '.join(mixed[:3])}).",
            hint="Build it again under the float32 policy, and copy the weights.",
        )


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
            file.attrs[MANIFEST_ATTRIBUTE] = manifest.to_json()


def load_model(path: Path) -> "keras.Model":
    """Returns a saved model, not compiled. Raises ArtifactError.

    What could run code is refused before Keras sees the file; Keras' own safe mode is the second lock. One that would
    take all memory is refused before its weights are made.
    """
    inspect_apart(path)
    import keras

    path = path.absolute()  # Keras takes some beginnings of a path for an address; it goes by the name, so not resolved
    try:
        _check_size(path)
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except ArtifactError:
        raise
    except Exception as error:  # Keras and what is under it raise whatever they come upon
        raise ArtifactError(
            f"{path} cannot be read as a Keras model: {_first_line(_first_cause(error))}",
            hint="It must be a whole model of stock Keras layers, as `model.save(path)` of Keras 3 writes it.",
        ) from error


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


def save_labels(path: Path, labels: Sequence[str]) -> None:
    """Writes {"0": "angry", …}. Raises DiskFullError."""
    write_json(path, {str(place): label for place, label in enumerate(labels)})


def read_labels(path: Path) -> tuple[str, ...]:
    """Returns the labels in the order of the outputs, from {"0": "angry", …} or a list. Raises ArtifactError."""
    content = read_json(path, "labels file")
    if isinstance(content, dict):
        content = [content.get(str(place)) for place in range(len(content))]
    if isinstance(content, list) and len(content) > 1 and all(isinstance(label, str) for label in content):
        return tuple(content)
    raise ArtifactError(f"{path} has no labels of a model.", hint='It must be like {"0": "angry", "1": "disgust"}.')


def save_architecture(model: "keras.Model", path: Path) -> None:
    """Writes the network without weights, for `keras.models.model_from_json`. Raises DiskFullError."""
    write_atomically(path, json.dumps(json.loads(model.to_json()), indent=2) + "\n")


def _check_size(path: Path) -> None:
    """Raises ArtifactError for a model that takes too much memory or work, before its weights are made.

    A file of some kilobytes can describe layers that fill all memory, or that are not done in a day.
    """
    with ThreadPoolExecutor(1) as thread:  # whose state of Keras ends with it
        sizes = thread.submit(_sizes_in_file, path).result()
    largest, values, multiply_adds = zip(*sizes, strict=True) if sizes else ((0,), (0,), (0,))
    for number, most, finding in (
        (max(largest), memory_bytes() // 4 // _BATCH_BYTES, "one layer gives {:,} values for one picture"),
        (sum(values), _MOST_VALUES, "its layers give {:,} values for one picture"),
        (sum(multiply_adds), _MOST_MULTIPLY_ADDS, "one picture takes about {:,} multiplications"),
    ):
        if number > most:
            hint = "Take a smaller model: no runtime here would carry it."
            raise ArtifactError(f"{path} is refused: {finding.format(number)}.", hint=hint)


def _sizes_in_file(path: Path) -> list[tuple[int, int, int]]:
    import keras

    with keras.StatelessScope(initialize_variables=False):
        return list(_sizes(keras.models.load_model(path, compile=False, safe_mode=True), calls=1))


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


def _all_layers(model: "keras.Model") -> Iterator["keras.layers.Layer"]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _all_layers(layer)


def _first_cause(error: BaseException) -> BaseException:
    """Keras wraps an error in others that quote all settings of each model and layer around it."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


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
