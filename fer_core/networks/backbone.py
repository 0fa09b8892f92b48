"""Networks of keras.applications, with weights that were trained on ImageNet: transfer learning.

Each has its own preprocessing inside, as all networks here, and takes gray (repeated) or colours. Weights are loaded
when a training begins, by `pretrained`; what was trained once needs neither them nor a network connection.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from fer_core.config import Fraction, Searchable, Settings
from fer_core.errors import ArtifactError, first_line

SIDE = 96

_SCALED_OUTSIDE = ("MobileNetV2", "ResNet50V2")
"""Want -1..1; the others scale by themselves."""
_OPERATIONS = {"Add": {"scale": 1.0, "offset": 3.0}, "Multiply": {"scale": 1 / 6}}
"""MobileNetV3 has operations between its layers, for a hard sigmoid; a file can only hold layers."""


def _whole_path(weights: str) -> str:
    return weights if weights in ("imagenet", "none") else str(Path(weights).expanduser().absolute())


class Options(Settings):
    """Settings of a pretrained network."""

    model: Literal[
        "MobileNetV3Small", "MobileNetV3Large", "MobileNetV2", "EfficientNetV2B0", "ConvNeXtTiny", "ResNet50V2"
    ] = "MobileNetV3Large"
    """Of keras.applications. The first takes least time; --image-size 96 to 224 suits all."""
    weights: Annotated[str, Field(min_length=1), AfterValidator(_whole_path)] = "imagenet"
    """imagenet (Keras downloads them once), a file as Keras publishes or saves them, without the top, or none."""
    colours: Literal["gray", "rgb"] = "gray"
    """rgb reads the colours of the pictures; gray works with every data set and camera."""
    dropout: Annotated[Fraction, Searchable(low=0, high=0.6)] = 0.3
    """Before the last layer."""


def picture(options: Options) -> dict[str, int | str]:
    """Returns channels and colours of the input."""
    return {"channels": 3, "colours": "rgb"} if options.colours == "rgb" else {"channels": 1, "colours": "gray"}


def build(options: Options, *, labels: tuple[str, ...], side: int, channels: int):
    """Returns the network without its top, in stock layers, then global pooling, dropout, softmax; not trained."""
    import keras
    from keras import layers

    from fer_core.networks import _blocks

    pixels = _blocks.gray_input(side, channels)
    x = layers.Concatenate(name="three_times")([pixels] * 3) if channels == 1 else pixels
    if options.model in _SCALED_OUTSIDE:
        x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scaled")(x)
    x = _in_stock_layers(_application(options.model, side, None), x)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(options.dropout)(x)
    return keras.Model(pixels, _blocks.probabilities(x, labels), name=options.model.lower())


def pretrained(options: Options, network) -> str:
    """Puts the weights into a network that `build` made, and returns a sentence on them; '' for none.

    Raises ArtifactError: they cannot be had, or are of another network.
    """
    if options.weights == "none":
        return ""
    try:
        weights = _application(options.model, network.input_shape[1], options.weights).get_weights()
        for ours, theirs in zip(network.weights, weights, strict=False):
            ours.assign(theirs.reshape(ours.shape))
    except Exception as error:  # a download, HDF5 and Keras raise whatever they come upon
        hint = "Give --network-options.weights a file as keras.applications has it for this model, without the top."
        message = f"No weights {options.weights} for {options.model}: {first_line(error)}"
        raise ArtifactError(message, hint=hint) from error
    return f"Started from the weights {Path(options.weights).name} of {options.model}."


def _application(name: str, side: int, weights: str | None):
    import keras

    return getattr(keras.applications, name)(include_top=False, weights=weights, input_shape=(side, side, 3))


def _in_stock_layers(model, features):
    """Returns what the model makes of the features, in layers that any Keras reads from an .h5, with equal weights."""
    import keras
    from keras import layers

    made = {id(model.inputs[0]): features}

    def copied(layer, given):
        if isinstance(layer, keras.Sequential):
            for part in layer.layers:
                given = copied(part, given)
            return given
        if type(layer).__name__ == "LayerScale":
            scale = keras.initializers.Constant(layer.init_values)
            return layers.DepthwiseConv2D(1, use_bias=False, depthwise_initializer=scale, name=layer.name)(given)
        if not isinstance(layer, layers.Layer):
            if isinstance(given, list | tuple):  # a sum in ConvNeXt
                return getattr(layers, type(layer).__name__)(name=layer.name)(given)
            return layers.Rescaling(**_OPERATIONS[type(layer).__name__], name=layer.name)(given)
        return type(layer).from_config(layer.get_config())(given)

    for operation in model.operations:
        if not isinstance(operation, layers.InputLayer):
            given = keras.tree.map_structure(lambda tensor: made[id(tensor)], operation.input)
            made[id(operation.output)] = copied(operation, given)
    return made[id(model.outputs[0])]
