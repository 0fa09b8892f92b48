"""What a network takes and gives, by its description alone, and whether that tells emotions from faces. No Keras."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fer_core.errors import ArtifactError
from fer_core.store.allowed import MODELS

if TYPE_CHECKING:
    import numpy as np

PixelRange = Literal["0..255", "0..1", "-1..1"]
"""The grey values that a model wants. Ours take them as they are, 0..255; models from elsewhere may not."""

_SCALE_AND_OFFSET = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (2 / 255, -1.0)}
_LABELS_BESIDE = ("{}_labels.json", "emotion_labels.json", "labels.json")
_SCALING = ("Rescaling", "Normalization", "BatchNormalization")
_KEEPS_WIDTH = (
    *("Activation", "BatchNormalization", "Dropout", "ELU", "GaussianDropout", "GaussianNoise", "Identity"),
    *("GlobalAveragePooling2D", "GlobalMaxPooling2D", "LayerNormalization", "LeakyReLU", "PReLU", "ReLU", "Softmax"),
)
_POOLS_ALL = ("GlobalAveragePooling2D", "GlobalMaxPooling2D")
_NOT_AS_KERAS_WRITES_IT = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


class ModelMetadata(NamedTuple):
    """What must be known of a model before it is used."""

    input_shape: tuple[int | None, ...]
    """Without the batch: (side, side, channels) for a model of pictures; None where any size goes."""
    outputs: int | None
    """None where it does not stand in the description, e.g. after Flatten."""
    has_scaling: bool
    """Whether a layer before the first convolution scales the pixels."""


def metadata_of(description: dict[str, Any], *, where: str) -> ModelMetadata:
    """Returns the metadata of a description such as {"class_name": "Functional", "config": …}.

    `where` names its file in the error. Raises ArtifactError.
    """
    try:
        return ModelMetadata(_input_shape(description), _width(description), _has_scaling(description))
    except _NOT_AS_KERAS_WRITES_IT as error:
        raise ArtifactError(
            f"{where} describes no network that can be used ({type(error).__name__}: {error}).",
            hint="It must take one picture and give one row of values; save it again with a present Keras.",
        ) from error


def in_range(images: "np.ndarray", pixels: PixelRange) -> "np.ndarray":
    """Returns images, uint8 0..255 of any shape, as float32 in the range that a model was trained on."""
    scale, offset = _SCALE_AND_OFFSET[pixels]
    float32 = images.astype("float32")
    return float32 * float32.dtype.type(scale) + float32.dtype.type(offset)


def labels_beside(path: Path) -> Path:
    """Returns the file with the labels of a model that does not know them. Raises ArtifactError if there is none."""
    names = [pattern.format(path.stem) for pattern in _LABELS_BESIDE]
    for name in names:
        if path.with_name(name).is_file():
            return path.with_name(name)
    raise ArtifactError(
        f"{path} has no labels: no manifest is in it, and beside it is no {', no '.join(names)}.",
        hint='Give --labels FILE, a JSON like {"0": "angry", "1": "disgust"} in the order of the outputs.',
    )


def picture_of(path: Path, metadata: ModelMetadata) -> tuple[int, int]:
    """Returns side and channels of a model's input. Raises ArtifactError if it takes no square pictures."""
    match metadata.input_shape:
        case (int(height), int(width), 1 | 3 as channels) if height == width:
            return width, channels
    raise ArtifactError(
        f"{path} takes no square pictures with 1 or 3 channels, but {metadata.input_shape}.",
        hint="Faces are given to a model as (side, side, 1) or (side, side, 3).",
    )


def check_labels(path: Path, labels: tuple[str, ...], *, outputs: int | None) -> None:
    """Raises ArtifactError if labels are not one for each output; `outputs` None: not known yet."""
    if outputs not in (None, len(labels)):
        raise ArtifactError(
            f"{path} and its labels are of two models: {len(labels)} labels, the model has {outputs} outputs.",
            hint="Give the labels that it was trained with, in their order: --labels FILE.",
        )
    if len(set(labels)) < len(labels):
        raise ArtifactError(
            f"A label of {path} is there twice: {', '.join(labels)}.",
            hint="Give labels of which each is another one, in the order of the outputs: --labels FILE.",
        )


def _input_shape(model: dict) -> tuple[int | None, ...]:
    config = model["config"]
    first = _named(model, _only(_names(config["input_layers"]))) if "input_layers" in config else _layers(model)[0]
    if first["class_name"] in MODELS:
        return _input_shape(first)
    settings = first["config"]
    shape = settings.get("batch_shape") or settings.get("batch_input_shape") or config.get("build_input_shape")
    return tuple(None if size is None else _whole(size) for size in _items(shape)[1:])


def _width(model: dict) -> int | None:
    """Returns how many values the last layer gives, going back to the layer that decides it."""
    is_pooled = False
    for layer in _backwards(model):
        kind, settings = layer["class_name"], layer["config"]
        if kind in MODELS:
            return _width(layer)
        if kind == "Dense":
            return _whole(settings["units"])
        if kind in ("Conv2D", "SeparableConv2D"):
            return _whole(settings["filters"]) if is_pooled else None
        if kind == "Reshape":
            return _product(_items(settings["target_shape"]))
        if kind not in _KEEPS_WIDTH:
            return None
        is_pooled = is_pooled or kind in _POOLS_ALL
    return None


def _backwards(model: dict) -> Iterator[dict]:
    """The layers from the output on back, as long as each has one layer before it."""
    config = model["config"]
    if "output_layers" not in config:
        yield from reversed(_layers(model))
        return
    names = _names(config["output_layers"])
    for _ in _layers(model):
        if len(names) != 1:
            return
        layer = _named(model, names[0])
        yield layer
        names = [name for node in layer["inbound_nodes"][:1] for name in _sources(node)]


def _has_scaling(model: dict) -> bool:
    for layer in _all_layers(model):
        kind = layer["class_name"]
        if "Conv" in kind or kind == "Dense":
            return False
        if kind in _SCALING:
            return True
    return False


def _all_layers(model: dict) -> Iterator[dict]:
    for layer in _layers(model):
        if layer["class_name"] in MODELS:
            yield from _all_layers(layer)
        else:
            yield layer


def _layers(model: dict) -> list[dict]:
    config = model["config"]
    return config if isinstance(config, list) else config["layers"]


def _named(model: dict, name: str) -> dict:
    for layer in _layers(model):
        if name == layer.get("name", layer["config"].get("name")):
            return layer
    raise ValueError(f"there is no layer {name!r}")


def _only(names: list[str]) -> str:
    if len(names) != 1:
        raise ValueError(f"it takes {len(names)} inputs")
    return names[0]


def _names(ends: Any) -> list[str]:
    """Returns the layers of ["a", 0, 0], [["a", 0, 0], ["b", 0, 0]] or {"key": ["a", 0, 0]}."""
    if isinstance(ends, dict):
        ends = list(ends.values())
    return [ends[0]] if isinstance(ends[0], str) else [name for end in ends for name in _names(end)]


def _sources(node: Any) -> list[str]:
    """Returns the layers that a layer is called on: {"args": [a connection]}, or [["a", 0, 0, {}]] in older files."""
    if isinstance(node, list):
        return [source[0] for source in node]
    found, waiting = [], list(node["args"])
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict) and part.get("class_name") == "__keras_tensor__":
            found.append(part["config"]["keras_history"][0])
    return found


def _items(shape: Any) -> list:
    """Returns the sizes of [a, b], of {"class_name": "__tuple__", "items": [a, b]} and of a TensorShape."""
    return list(shape["items"] if isinstance(shape, dict) else shape)


def _whole(size: Any) -> int:
    if type(size) is not int:
        raise ValueError(f"{size!r} is no size")
    return size


def _product(sizes: list) -> int | None:
    return math.prod(sizes) if all(_whole(size) > 0 for size in sizes) else None
