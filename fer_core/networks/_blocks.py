"""What several networks share. Imports Keras: only to be imported inside `build`."""

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


def convolved(features: keras.KerasTensor, filters: int, *, strides: int = 1) -> keras.KerasTensor:
    """Returns Conv 3x3, BatchNorm, ReLU."""
    settings = {"strides": strides, "padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    x = layers.Conv2D(filters, 3, **settings)(features)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def residual(features: keras.KerasTensor, filters: int, *, strides: int = 1) -> keras.KerasTensor:
    """Returns two 3x3 convolutions added to their input, which passes a 1x1 convolution where the shape changes."""
    x = convolved(features, filters, strides=strides)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal")(x)
    # A branch that starts at zero makes the block an identity: deeper networks then start as easily as shallow ones.
    x = layers.BatchNormalization(momentum=0.9, gamma_initializer="zeros")(x)
    short = features
    if strides > 1 or features.shape[-1] != filters:
        short = layers.AveragePooling2D(strides)(features) if strides > 1 else features
        short = layers.Conv2D(filters, 1, use_bias=False, kernel_initializer="he_normal")(short)
        short = layers.BatchNormalization(momentum=0.9)(short)
    return layers.ReLU()(layers.Add()([x, short]))
