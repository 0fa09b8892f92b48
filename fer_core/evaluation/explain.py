"""What a model looks at: the feature maps of a layer, and Grad-CAM for an emotion. Imports Keras, draws nothing.

A layer's output is taken where it is computed, also in nested models; meanwhile the model must not be used elsewhere.
"""

import contextlib
import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import cv2
import keras
import numpy as np

from fer_core.errors import ConfigError, did_you_mean
from fer_core.evaluation.calibration import as_probabilities, meaning_of, with_temperature
from fer_core.store.architecture import PixelRange, in_range

MOST_MAPS = 64

_SMALLEST = 1e-30  # no logarithm of 0
_BELONG_TO_CONVOLUTION = (
    *("Activation", "Add", "BatchNormalization", "Concatenate", "ELU", "GroupNormalization", "LayerNormalization"),
    *("LeakyReLU", "Multiply", "PReLU", "ReLU"),
)


class MapLayer(NamedTuple):
    """A layer whose output is a stack of pictures; inside a nested model its name is 'model/layer'."""

    name: str
    kind: str
    height: int
    width: int
    maps: int


@dataclass(frozen=True)
class Explanation:
    """One face, and what the model sees in it.

    `face` uint8 (side, side, channels); `probabilities` float32 (classes,), calibrated; `maps` float32
    (height, width, n), `map_numbers` int64 (n,) their places in the layer, the most active first; `heat` float32
    (side, side), 0..1: how much each place speaks for `emotion`.
    """

    face: np.ndarray
    labels: tuple[str, ...]
    probabilities: np.ndarray
    emotion: str
    maps_layer: MapLayer
    maps: np.ndarray
    map_numbers: np.ndarray
    heat_layer: MapLayer
    heat: np.ndarray


def explain(
    model: keras.Model,
    face: np.ndarray,
    *,
    labels: tuple[str, ...],
    temperature: float = 1.0,
    pixels: PixelRange = "0..255",
    layer: str | None = None,
    emotion: str | None = None,
) -> Explanation:
    """Returns the feature maps of a layer and the Grad-CAM for an emotion.

    Args:
        face: uint8 (side, side, channels), cropped as the model was trained.
        pixels: the grey values that a model from elsewhere was trained on.
        layer: of both; None: one of a readable size for the maps, the last convolution for Grad-CAM.
        emotion: what Grad-CAM explains; None: what the model says.

    Raises:
        ConfigError: there is no such layer or emotion, or the model has no feature maps.
    """
    picture = in_range(face, pixels)
    outputs = outputs_of(model, picture)[np.newaxis]
    probabilities = with_temperature(as_probabilities(outputs, meaning_of(outputs)), temperature)[0]
    number = int(probabilities.argmax()) if emotion is None else _class_number(emotion, labels)
    feature_maps = _feature_maps(model, picture)
    layers = {one.name: one for one in _described(model, feature_maps)}
    if layer and layer not in layers:
        hint = did_you_mean(layer, layers) if difflib.get_close_matches(layer, layers) else "--list-layers lists them."
        raise ConfigError(f"The model has no layer {layer!r} with feature maps.", hint=hint)
    maps_layer, heat_layer = (layers[layer or default(model)] for default in (default_maps_layer, default_layer))
    maps = feature_maps[maps_layer.name]
    # Those first whose values differ most over the picture.
    numbers = np.argsort(-maps.std(axis=(0, 1)), kind="stable")[:MOST_MAPS]
    return Explanation(
        face=face,
        labels=labels,
        probabilities=probabilities,
        emotion=labels[number],
        maps_layer=maps_layer,
        maps=maps[..., numbers],
        map_numbers=numbers,
        heat_layer=heat_layer,
        heat=grad_cam(model, heat_layer.name, picture, number),
    )


def map_layers(model: keras.Model) -> tuple[MapLayer, ...]:
    """Returns the layers that have feature maps, in the order in which they are computed."""
    return _described(model, _feature_maps(model, np.zeros(model.input_shape[1:], np.float32)))


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


def outputs_of(model: keras.Model, picture: np.ndarray) -> np.ndarray:
    """Returns what the model gives for one picture (side, side, channels): float32 (classes,)."""
    return np.asarray(keras.ops.convert_to_numpy(model(picture[np.newaxis], training=False))[0], np.float32)


def grad_cam(model: keras.Model, layer: str, picture: np.ndarray, class_number: int) -> np.ndarray:
    """Returns how much each place of the picture speaks for a class, float32 (side, side), 0..1; zeros if none does.

    The layer's maps, each weighted by the mean gradient of the class's score before the softmax, summed, and what is
    negative left out: Selvaraju et al. 2017, "Grad-CAM" (arXiv 1610.02391).

    Args:
        layer: the name of one of `map_layers`.
        picture: float32 (side, side, channels), in the grey values that the model takes.
    """
    maps = _feature_maps(model, picture)[layer]
    target, last = _all_layers(model)[layer], _last_layer(model)

    def score(shift):
        with _output_through(target, lambda output: output + shift), _before_softmax(last) as as_score:
            return as_score(model(picture[np.newaxis], training=False))[0, class_number]

    gradient = _gradient(score, np.zeros((1, *maps.shape), np.float32))[0]
    heat = np.maximum((maps * gradient.mean(axis=(0, 1))).sum(axis=2), 0)
    heat = heat / heat.max() if heat.max() > 0 else heat
    height, width = picture.shape[:2]
    return np.clip(cv2.resize(heat, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def _described(model: keras.Model, feature_maps: dict[str, np.ndarray]) -> tuple[MapLayer, ...]:
    layers = _all_layers(model)
    return tuple(MapLayer(name, type(layers[name]).__name__, *maps.shape) for name, maps in feature_maps.items())


def _feature_maps(model: keras.Model, picture: np.ndarray) -> dict[str, np.ndarray]:
    """Returns what each layer gives that gives a stack of pictures, float32 (height, width, maps), as computed."""
    found: dict[str, np.ndarray] = {}

    def note(name: str, output: Any) -> Any:
        shape = getattr(output, "shape", ())
        if len(shape) == 4 and min(shape[1:3]) > 1:
            found[name] = np.asarray(keras.ops.convert_to_numpy(output)[0], np.float32)
        return output

    with contextlib.ExitStack() as changed:
        for name, layer in _all_layers(model).items():
            changed.enter_context(_output_through(layer, partial(note, name)))
        outputs_of(model, picture)
    return found


def _gradient(score: Callable, at: np.ndarray) -> np.ndarray:
    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(score)(jax.numpy.asarray(at)))
    if backend != "tensorflow":
        raise ConfigError(f"Grad-CAM needs TensorFlow or JAX; Keras runs on {backend}.", hint="Set KERAS_BACKEND.")
    import tensorflow as tf

    @tf.function(autograph=False)
    def gradient(place):
        # Only of the maps, and as a graph, which computes nothing that is not asked for: run step by step, TensorFlow
        # also makes the gradients of all kernels, and for some shapes its Conv2DBackpropFilter damages memory.
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(place)
            value = score(place)
        return tape.gradient(value, place, unconnected_gradients="zero")

    return gradient(tf.constant(at)).numpy()


def _class_number(emotion: str, labels: tuple[str, ...]) -> int:
    lowered = [label.lower() for label in labels]
    if emotion.strip().lower() not in lowered:
        raise ConfigError(f"The model knows no emotion {emotion!r}.", hint=did_you_mean(emotion.lower(), labels))
    return lowered.index(emotion.strip().lower())


@contextlib.contextmanager
def _before_softmax(last: keras.layers.Layer) -> Iterator[Callable]:
    """While open, the model gives scores before the softmax; yields what turns other outputs into scores."""
    activation = getattr(last, "activation", None)
    is_softmax = activation is keras.activations.softmax
    is_own_layer = isinstance(last, keras.layers.Softmax) or (isinstance(last, keras.layers.Activation) and is_softmax)
    if is_own_layer or (isinstance(last, keras.layers.Dense) and is_softmax):
        scores_of = (lambda scores: scores) if is_own_layer else partial(_linear, last)
        with _call_replaced(last, lambda inputs, *args, **kwargs: scores_of(inputs)):
            yield lambda scores: scores
    elif activation is keras.activations.linear:
        yield lambda scores: scores
    else:
        yield lambda outputs: keras.ops.log(keras.ops.maximum(outputs, _SMALLEST))


def _linear(layer: keras.layers.Dense, features: Any) -> Any:
    scores = keras.ops.matmul(features, layer.kernel)
    return scores + layer.bias if layer.use_bias else scores


@contextlib.contextmanager
def _call_replaced(layer: keras.layers.Layer, call: Callable) -> Iterator[None]:
    layer.call = call
    try:
        yield
    finally:
        del layer.call


def _output_through(layer: keras.layers.Layer, change: Callable[[Any], Any]) -> contextlib.AbstractContextManager[None]:
    own = layer.call
    return _call_replaced(layer, lambda *args, **kwargs: change(own(*args, **kwargs)))


def _last_layer(model: keras.Model) -> keras.layers.Layer:
    last = model.layers[-1]
    return _last_layer(last) if hasattr(last, "layers") else last


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


def _ends_of_convolutions(model: keras.Model) -> list[MapLayer]:
    """Returns, for each convolution, the last layer of what belongs to it: normalisation, activation, sums."""
    layers = map_layers(model)
    ends = []
    for place, end in enumerate(layers):
        if "Conv2D" not in end.kind:
            continue
        for layer in layers[place + 1 :]:
            if layer.kind not in _BELONG_TO_CONVOLUTION or (layer.height, layer.width) != (end.height, end.width):
                break
            end = layer
        ends.append(end)
    if not ends:
        raise ConfigError(
            f"The model {model.name} has no convolutions with feature maps, so there is nothing to show.",
            hint="Explain a convolutional model.",
        )
    return ends
