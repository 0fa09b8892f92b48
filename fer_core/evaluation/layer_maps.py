"""The layers of a Keras model that have feature maps, and a way to read or change what a layer gives. Imports Keras.

A layer's output is taken where it is computed, so layers inside nested models and beside residual branches are no
different, and nothing is built or copied. While that lasts, the model must not be used elsewhere.
"""

import contextlib
import difflib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np

from fer_core.errors import ConfigError, did_you_mean

_BELONG_TO_CONVOLUTION = {
    "Activation",
    "Add",
    "BatchNormalization",
    "Concatenate",
    "ELU",
    "GroupNormalization",
    "LayerNormalization",
    "LeakyReLU",
    "Multiply",
    "PReLU",
    "ReLU",
}


class MapLayer(NamedTuple):
    """A layer whose output is a stack of pictures; inside a nested model its name is 'model/layer'."""

    name: str
    kind: str
    height: int
    width: int
    maps: int


def map_layers(model: keras.Model) -> tuple[MapLayer, ...]:
    """Returns the layers that have feature maps, in the order in which they are computed."""
    found: dict[str, MapLayer] = {}
    with contextlib.ExitStack() as open_layers:
        for name, layer in _all_layers(model).items():
            open_layers.enter_context(passing_through(layer, partial(_noted, found, name, type(layer).__name__)))
        outputs_of(model, np.zeros(model.input_shape[1:], np.float32))
    return tuple(found.values())


def default_layer(model: keras.Model) -> str:
    """Returns the layer that Grad-CAM is best done on: the last convolution's, after its normalisation and ReLU.

    Raises ConfigError for a model without convolutions.
    """
    return _ends_of_convolutions(model)[-1].name


def default_maps_layer(model: keras.Model) -> str:
    """Returns the deepest layer whose maps still have half of the input's side, so that a face is seen in them.

    Raises ConfigError for a model without convolutions.
    """
    ends = _ends_of_convolutions(model)
    return next((layer.name for layer in reversed(ends) if 2 * layer.height >= model.input_shape[1]), ends[0].name)


def map_layer(model: keras.Model, name: str) -> MapLayer:
    """Returns the layer of that name. Raises ConfigError (with "did you mean") if there is none with feature maps."""
    by_name = {layer.name: layer for layer in map_layers(model)}
    if name not in by_name:
        is_near = difflib.get_close_matches(name, by_name, n=1)
        hint = did_you_mean(name, by_name) if is_near else "--list-layers lists them."
        raise ConfigError(f"The model has no layer {name!r} with feature maps.", hint=hint)
    return by_name[name]


def keras_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    """Returns the Keras layer of a `MapLayer`'s name."""
    return _all_layers(model)[name]


def last_layer(model: keras.Model) -> keras.layers.Layer:
    """Returns the layer that gives the model's output, also where it lies in a nested model."""
    last = model.layers[-1]
    return last_layer(last) if hasattr(last, "layers") else last


def outputs_of(model: keras.Model, picture: np.ndarray) -> np.ndarray:
    """Returns what the model gives for one picture (side, side, channels): float32 (classes,)."""
    return np.asarray(keras.ops.convert_to_numpy(model(picture[np.newaxis], training=False))[0], np.float32)


@contextlib.contextmanager
def replaced(layer: keras.layers.Layer, call: Callable) -> Iterator[None]:
    """While open, the layer does `call` instead of its own."""
    layer.call = call
    try:
        yield
    finally:
        del layer.call


def passing_through(layer: keras.layers.Layer, change: Callable[[Any], Any]) -> contextlib.AbstractContextManager[None]:
    """While open, what the layer gives passes through `change`."""
    own = layer.call
    return replaced(layer, lambda *args, **kwargs: change(own(*args, **kwargs)))


def _all_layers(model: keras.Model) -> dict[str, keras.layers.Layer]:
    """Returns each layer once, by its name, those inside nested models before the models themselves."""
    found: dict[int, tuple[str, keras.layers.Layer]] = {}
    for name, layer in _walked(model, ""):
        found.setdefault(id(layer), (name, layer))
    return dict(found.values())


def _walked(model: keras.Model, prefix: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from _walked(layer, f"{prefix}{layer.name}/")
        yield f"{prefix}{layer.name}", layer


def _noted(found: dict[str, MapLayer], name: str, kind: str, output: Any) -> Any:
    shape = getattr(output, "shape", ())
    if len(shape) == 4 and min(shape[1:3]) > 1:
        found[name] = MapLayer(name, kind, *map(int, shape[1:]))
    return output


def _ends_of_convolutions(model: keras.Model) -> list[MapLayer]:
    """Returns, for each convolution, the last layer of what belongs to it: normalisation, activation, sums."""
    layers = map_layers(model)
    ends = [_end(layers[place:]) for place, layer in enumerate(layers) if "Conv2D" in layer.kind]
    if not ends:
        raise ConfigError(
            f"The model {model.name} has no convolutions with feature maps, so there is nothing to show.",
            hint="Explain a convolutional model.",
        )
    return ends


def _end(layers: tuple[MapLayer, ...]) -> MapLayer:
    end = layers[0]
    for layer in layers[1:]:
        if layer.kind not in _BELONG_TO_CONVOLUTION or (layer.height, layer.width) != (end.height, end.width):
            break
        end = layer
    return end
