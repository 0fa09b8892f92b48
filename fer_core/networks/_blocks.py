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
