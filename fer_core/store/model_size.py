"""How much memory and work a model takes, counted by Keras before it makes a weight. Imports Keras.

A file of some kilobytes can describe layers that fill all memory, or that are not done in a day. Keras is let put them
together with shapes alone: it finds there whether the file holds the weights of each, and how large all is between.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fer_core.errors import ArtifactError
from fer_core.resources import memory_bytes

if TYPE_CHECKING:
    import keras

_MOST_MULTIPLY_ADDS = 2 * 10**11
"""For one picture: a whole VGG-16 of 224 pixels takes a twelfth of it."""
_MOST_VALUES = 2**29
"""Between all layers, for one picture: the same VGG-16 has 15 million."""
_BATCH_BYTES = 32 * 4 * 4
"""For a value between two layers: 32 pictures at once, as float32, a layer's input and output and as much again."""


class ModelSize(NamedTuple):
    """What one picture takes."""

    largest: int
    """The values that one layer gives."""
    values: int
    """Those that all layers give."""
    multiply_adds: int


def check_size(path: Path) -> None:
    """Raises ArtifactError for a model that takes too much; whatever Keras raises for one that it cannot read.

    Its weights are read from the file, and not made. In a thread, whose state of Keras ends with it.
    """
    with ThreadPoolExecutor(1) as thread:
        size = thread.submit(_size_of_file, path).result()
    most = memory_bytes() // 4
    if size.largest * _BATCH_BYTES > most:
        raise _too_large(path, f"one layer gives {size.largest:,} values for one picture")
    if size.values > _MOST_VALUES:
        raise _too_large(path, f"its layers give {size.values:,} values for one picture")
    if size.multiply_adds > _MOST_MULTIPLY_ADDS:
        raise _too_large(path, f"one picture takes about {size.multiply_adds:,} multiplications")


def _too_large(path: Path, finding: str) -> ArtifactError:
    return ArtifactError(f"{path} is refused: {finding}.", hint="Take a smaller model: no runtime here would carry it.")


def _size_of_file(path: Path) -> ModelSize:
    import keras

    with keras.StatelessScope(initialize_variables=False):
        model = keras.models.load_model(path, compile=False, safe_mode=True)
        layers = list(_sizes(model, calls=1))
    largest, values, multiply_adds = zip(*layers, strict=True) if layers else ((0,), (0,), (0,))
    return ModelSize(max(largest), sum(values), sum(multiply_adds))


def _sizes(model: "keras.Model", *, calls: int) -> Iterator[ModelSize]:
    """Yields the size of each call of a layer; in a model that is called several times, for all its calls."""
    import keras

    for layer, outputs in _calls(model):
        shapes = [[size or 1 for size in tensor.shape[1:]] for tensor in keras.tree.flatten(outputs)]
        for shape in shapes:
            places = math.prod(shape[:-1])
            yield ModelSize(math.prod(shape), calls * math.prod(shape), calls * places * layer.count_params())
        if isinstance(layer, keras.Model):
            yield from _sizes(layer, calls=calls)


def _calls(model: "keras.Model") -> list[tuple["keras.layers.Layer", Any]]:
    """Returns each call of a layer in the model's graph, and what comes out of it, as shapes without values."""
    import keras

    found = []

    def call(layer: "keras.layers.Layer", *args: Any, **kwargs: Any) -> Any:
        found.append((layer, layer(*args, **kwargs)))
        return found[-1][1]

    graph = keras.Model(model.inputs, model.outputs)  # a Sequential model has none that could be gone through
    keras.models.clone_model(graph, clone_function=lambda layer: layer, call_function=call)
    return found
