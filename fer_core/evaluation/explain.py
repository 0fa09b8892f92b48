"""What a model looks at: the feature maps of a layer, and Grad-CAM for an emotion. Imports Keras.

For a process of its own. Finds no faces and draws nothing.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import keras
import numpy as np

from fer_core.errors import ConfigError, did_you_mean
from fer_core.evaluation.calibration import as_probabilities, meaning_of, with_temperature
from fer_core.evaluation.layer_maps import (
    MapLayer,
    default_layer,
    default_maps_layer,
    keras_layer,
    last_layer,
    map_layer,
    outputs_of,
    passing_through,
    replaced,
)
from fer_core.store.architecture import PixelRange, in_range

MOST_MAPS = 64

_SMALLEST = 1e-30
"""No logarithm of 0."""


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
    maps_layer = map_layer(model, layer or default_maps_layer(model))
    heat_layer = map_layer(model, layer or default_layer(model))
    maps = feature_maps(model, maps_layer.name, picture)
    numbers = _most_active(maps)
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


def feature_maps(model: keras.Model, layer: str, picture: np.ndarray) -> np.ndarray:
    """Returns what a layer gives for one picture, float32 (height, width, maps).

    Args:
        layer: the name of one of `map_layers`; ConfigError otherwise.
        picture: float32 (side, side, channels), in the grey values that the model takes.
    """
    outputs = []
    name = map_layer(model, layer).name
    with passing_through(keras_layer(model, name), lambda output: outputs.append(output) or output):
        outputs_of(model, picture)
    return np.asarray(keras.ops.convert_to_numpy(outputs[-1])[0], np.float32)


def grad_cam(model: keras.Model, layer: str, picture: np.ndarray, class_number: int) -> np.ndarray:
    """Returns how much each place of the picture speaks for a class, float32 (side, side), 0..1; zeros if none does.

    The layer's maps, each weighted by the mean gradient of the class's score before the softmax, summed, and what is
    negative left out: Selvaraju et al. 2017, "Grad-CAM" (arXiv 1610.02391).

    Args:
        layer, picture: as of `feature_maps`.
    """
    maps = feature_maps(model, layer, picture)
    target, last = keras_layer(model, layer), last_layer(model)

    def score(shift):
        with passing_through(target, lambda output: output + shift), _before_softmax(last) as as_score:
            return as_score(model(picture[np.newaxis], training=False))[0, class_number]

    gradient = _gradient(score, np.zeros((1, *maps.shape), np.float32))[0]
    heat = np.maximum((maps * gradient.mean(axis=(0, 1))).sum(axis=2), 0)
    if heat.max() > 0:
        heat = heat / heat.max()
    height, width = picture.shape[:2]
    return np.clip(cv2.resize(heat, (width, height), interpolation=cv2.INTER_CUBIC), 0, 1)


def _gradient(score: Callable, at: np.ndarray) -> np.ndarray:
    """Returns the gradient of a score, by what Keras runs on."""
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


def _most_active(maps: np.ndarray) -> np.ndarray:
    """Returns the places of at most 64 maps, int64: those first whose values differ most over the picture."""
    return np.argsort(-maps.std(axis=(0, 1)), kind="stable")[:MOST_MAPS]


def _class_number(emotion: str, labels: tuple[str, ...]) -> int:
    lowered = [label.lower() for label in labels]
    if emotion.strip().lower() not in lowered:
        raise ConfigError(f"The model knows no emotion {emotion!r}.", hint=did_you_mean(emotion.lower(), labels))
    return lowered.index(emotion.strip().lower())


@contextlib.contextmanager
def _before_softmax(last: keras.layers.Layer) -> Iterator[Callable]:
    """While open, the model gives scores before the softmax; yields what turns other outputs into scores."""
    if isinstance(last, keras.layers.Softmax) or (
        isinstance(last, keras.layers.Activation) and last.activation is keras.activations.softmax
    ):
        with replaced(last, lambda scores, *args, **kwargs: scores):
            yield lambda scores: scores
    elif isinstance(last, keras.layers.Dense) and last.activation is keras.activations.softmax:
        with replaced(last, lambda features, *args, **kwargs: _linear(last, features)):
            yield lambda scores: scores
    elif getattr(last, "activation", None) is keras.activations.linear:
        yield lambda scores: scores
    else:
        yield lambda outputs: keras.ops.log(keras.ops.maximum(outputs, _SMALLEST))


def _linear(layer: keras.layers.Dense, features: Any) -> Any:
    scores = keras.ops.matmul(features, layer.kernel)
    return scores + layer.bias if layer.use_bias else scores
