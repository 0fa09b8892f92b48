"""What several networks share. Imports Keras: only to be imported inside `build`."""

from collections.abc import Sequence

import keras
from keras import layers


def gray_input(side: int, channels: int) -> keras.KerasTensor:
    """Returns the input: raw pixels 0..255, (side, side, channels)."""
    return keras.Input((side, side, channels), name="pixels")


def unit_range(pixels: keras.KerasTensor) -> keras.KerasTensor:
    """Returns pixels scaled to 0..1: the preprocessing is part of every model."""
    return layers.Rescaling(1 / 255, name="unit_range")(pixels)


def probabilities(features: keras.KerasTensor, labels: tuple[str, ...]) -> keras.KerasTensor:
    """Returns a probability for each label."""
    return layers.Dense(len(labels), activation="softmax", name="probabilities")(features)


def spatial_attention(features: keras.KerasTensor, *, kernel: int = 7) -> keras.KerasTensor:
    """Returns the features weighted by place: one sigmoid map from a wide convolution, multiplied in.

    Source: the spatial half of CBAM (arXiv 1807.06521), in stock layers.
    """
    weights = layers.Conv2D(1, kernel, padding="same", activation="sigmoid", name="spatial_attention")(features)
    return layers.Multiply(name="attended")([features, weights])


def convolved(
    features: keras.KerasTensor, filters: int, *, strides: int = 1, activation: str = "relu"
) -> keras.KerasTensor:
    """Returns Conv 3x3, BatchNorm, activation."""
    settings = {"strides": strides, "padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    x = layers.Conv2D(filters, 3, **settings)(features)
    return activated(layers.BatchNormalization(momentum=0.9)(x), activation)


def activated(features: keras.KerasTensor, activation: str) -> keras.KerasTensor:
    """Returns the features after 'relu' or another activation that Keras knows by name."""
    return layers.ReLU()(features) if activation == "relu" else layers.Activation(activation)(features)


def residual(
    features: keras.KerasTensor,
    filters: int,
    *,
    strides: int = 1,
    activation: str = "relu",
    squeeze: int = 0,
    drop: float = 0.0,
) -> keras.KerasTensor:
    """Returns two 3x3 convolutions added to their input, which passes a 1x1 convolution where the shape changes.

    Args:
        squeeze: channels are weighed by squeeze and excitation, through so many times fewer; 0: they are not.
        drop: how often training leaves the convolutions out for an image: stochastic depth (arXiv 1603.09382).
    """
    x = convolved(features, filters, strides=strides, activation=activation)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    # A branch that starts at zero makes the block an identity: deeper networks then start as easily as shallow ones.
    x = layers.BatchNormalization(momentum=0.9, gamma_initializer="zeros")(x)
    x = squeezed(x, squeeze) if squeeze else x
    x = layers.Dropout(drop, noise_shape=(None, 1, 1, 1))(x) if drop else x
    short = features
    if strides > 1 or features.shape[-1] != filters:
        short = layers.AveragePooling2D(strides, padding="same")(features) if strides > 1 else features
        short = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal")(short)
        short = layers.BatchNormalization(momentum=0.9)(short)
    return activated(layers.Add()([x, short]), activation)


def residual_network(
    name: str,
    stages: Sequence[tuple[int, int, int]],
    *,
    labels: tuple[str, ...],
    side: int,
    channels: int,
    stem: int,
    dropout: float,
    stem_strides: int = 2,
    head: int = 0,
    stochastic_depth: float = 0.0,
    **settings,
) -> keras.Model:
    """Returns a stem, stages of residual blocks (arXiv 1512.03385), a 1x1 convolution, global pooling, softmax.

    Args:
        stages: filters, blocks, and strides of the first block of each. settings: those of `residual`.
        head: filters of the 1x1 convolution; 0: there is none.
        stochastic_depth: how often training leaves the last block out; earlier ones less, the first never.
    """
    activation, pixels = settings.get("activation", "relu"), gray_input(side, channels)
    x = convolved(unit_range(pixels), stem, strides=stem_strides, activation=activation)
    last = max(sum(blocks for _, blocks, _ in stages) - 1, 1)
    strides = [(filters, 1 if block else first) for filters, blocks, first in stages for block in range(blocks)]
    for place, (filters, stride) in enumerate(strides):
        x = residual(x, filters, strides=stride, drop=stochastic_depth * place / last, **settings)
    if head:
        x = layers.Conv2D(head, 1, use_bias=False, kernel_initializer="he_normal")(x)
        x = activated(layers.BatchNormalization(momentum=0.9)(x), activation)
    x = layers.Dropout(dropout)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, probabilities(x, labels), name=name)


def squeezed(features: keras.KerasTensor, ratio: int) -> keras.KerasTensor:
    """Returns the features weighted by channel: squeeze and excitation (arXiv 1709.01507), in stock layers."""
    channels = features.shape[-1]
    means = layers.GlobalAveragePooling2D(keepdims=True)(features)
    few = layers.Conv2D(max(channels // ratio, 4), 1, activation="relu")(means)
    weights = layers.Conv2D(channels, 1, activation="sigmoid")(few)
    return layers.Multiply()([features, weights])
