"""Models as others save them: labels in a file, the network as JSON beside its weights, the forms of Keras 1 and 2.

Labels as JSON: a list, {"0": "angry"}, {"angry": 0}, or one of these in an object (`class_indices`, `labels`). As text:
a label a line, in the order of the outputs or with its number before or behind it, as Teachable Machine writes it.

Which two files belong together goes by their names: fer.json and fer.h5, or x_structure.json and x_weights.h5;
otherwise a file that is the only one. What Keras 2 wrote is brought into the form of Keras 3, which changes no results:
settings go that no longer exist and did nothing, others get their new names. One that did something stays, and Keras
refuses it. No Keras.
"""

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError, printable
from fer_core.store.architecture import layers_of
from fer_core.store.files import parse_json, read_whole

_SEPARABLE = ("SeparableConv1D", "SeparableConv2D", "DepthwiseConv1D", "DepthwiseConv2D")
_RECURRENT = ("LSTM", "GRU", "SimpleRNN", "ConvLSTM2D", "Bidirectional")
_PLAIN_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
"""Separable convolutions have settings for each of their two kernels instead."""
_GONE = {
    **dict.fromkeys(_SEPARABLE, _PLAIN_KERNEL),
    **dict.fromkeys(_RECURRENT, ("implementation",)),
    "BatchNormalization": ("renorm_clipping", "renorm_momentum", "fused"),
    "InputLayer": ("ragged",),
}
_GONE_IF = {
    **{name: {"groups": (1, None)} for name in (*_SEPARABLE, "Conv1DTranspose", "Conv2DTranspose")},
    **{name: {"time_major": (False, None)} for name in _RECURRENT},
    **{name: {"noise_shape": (None,)} for name in ("SpatialDropout1D", "SpatialDropout2D")},
    "BatchNormalization": {"renorm": (False, None), "virtual_batch_size": (None,), "adjustment": (None,)},
}
"""Settings that Keras 3 lacks, and the values with which they did nothing."""
_SHAPE = "batch_input_shape"
_MODULES = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
_OF_KERAS_1 = ("nb_filter", "border_mode", "dim_ordering", "output_dim")
"""Settings of its layers; Embedding kept the last one."""
_LARGEST = 2**24
_WORDS = re.compile(r"[ ._-]*(weights?|structure|architecture|network|config|arch)$")
_TENSORFLOW_JS = "modelTopology"

LABELS_BESIDE = tuple(
    f"{name}{suffix}"
    for name in ("{}_labels", "emotion_labels", "labels", "class_indices", "classes", "metadata")
    for suffix in (".json", ".txt", ".csv")
    if name != "metadata" or suffix == ".json"
)
"""The names that are looked for beside a model; {} is that of the model."""

_INSIDE = ("labels", "class_indices", "id2label", "class_names", "classes", "names")
_NUMBER_FIRST = re.compile(r'"?(\d+)"?\s*[\s,;:=.)]\s*"?(.*?)"?')
_NUMBER_LAST = re.compile(r'"?(.*?)"?\s*[,;:=\t]\s*"?(\d+)"?')
_HEADERS = ("label", "labels", "class", "classes", "emotion", "emotions", "name")
_FORM = 'It is JSON like {"0": "angry", "1": "disgust"}, or has a label a line, in the order of the outputs.'


def read_labels(path: Path) -> tuple[str, ...]:
    """Returns the labels in the order of the outputs. Raises ArtifactError."""
    text = _text(path)
    try:
        labels = _of_json(parse_json(text)) if text.lstrip().startswith(("{", "[")) else _of_lines(text)
    except ValueError as error:
        raise ArtifactError(f"{path} has no labels of a model: {error}.", hint=_FORM) from None
    labels = [unicodedata.normalize("NFC", label).strip() for label in labels]
    if len(labels) < 2 or any(not label or printable(label) != label for label in labels):
        raise ArtifactError(f"{path} has no labels of a model: too few, or one that cannot be shown.", hint=_FORM)
    return tuple(labels)


def _text(path: Path) -> str:
    try:
        content = read_whole(path)
        return content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except FileNotFoundError:
        raise ArtifactError(f"There is no labels file: {path} is missing.", hint="Check the path.") from None
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ArtifactError(f"The labels file cannot be read: {path}: {reason}.", hint=_FORM) from None


def _of_json(content: Any) -> list[str]:
    while isinstance(content, dict):
        inside = next((content[name] for name in _INSIDE if isinstance(content.get(name), dict | list)), None)
        if inside is None:
            break
        content = inside
    if isinstance(content, list) and all(isinstance(label, str) for label in content):
        return content
    pairs = list(content.items()) if isinstance(content, dict) else []
    if pairs and all(isinstance(name, str) and name.isdecimal() for name, _ in pairs):
        pairs = [(label, int(number)) for number, label in pairs]
    if pairs and all(isinstance(label, str) and type(number) is int for label, number in pairs):
        return _in_order(pairs)
    raise ValueError("it is neither a list of names nor an object of names and numbers")


def _of_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for form, label, number in ((_NUMBER_FIRST, 2, 1), (_NUMBER_LAST, 1, 2)):
        found = [form.fullmatch(line) for line in lines]
        found = found[1:] if found and found[0] is None else found  # a header
        if found and all(found):
            return _in_order([(one[label].strip(), int(one[number])) for one in found])
    if len(lines) < 2:
        return "".join(lines).split(",")
    names = [line.strip('"') for line in lines]
    return names[1:] if names[0].lower() in _HEADERS else names


def _in_order(pairs: list[tuple[str, int]]) -> list[str]:
    """Returns the names in the order of their numbers, which count from 0 or from 1 without a gap."""
    pairs = sorted(pairs, key=lambda pair: pair[1])
    numbers = [number for _, number in pairs]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or numbers[0] > 1:
        raise ValueError("its numbers do not count from 0 or 1 without a gap")
    return [label for label, _ in pairs]


def network_beside(weights: Path) -> Path | None:
    """Returns the JSON beside weights that describes their network; None where there is none, or one of several."""
    own = [path for path in _files(weights.parent, ".json") if _is_network(path)]
    same = [path for path in own if _stem(path) == _stem(weights)]
    plain = [path for path in own if _stem(path) == "model"]
    return next((found[0] for found in (same, plain, own) if len(found) == 1), None)


def weights_beside(network: Path) -> Path:
    """Returns the .h5 beside a network's JSON that holds its weights. Raises ArtifactError: none, or several."""
    content = _content(network)
    if isinstance(content, dict) and _TENSORFLOW_JS in content:
        raise ArtifactError(
            f"{network} is a model of TensorFlow.js.", hint="Export it as Keras (.h5), and give that file."
        )
    if not _is_network(network):
        raise ArtifactError(f"{network} describes no network of Keras.", hint="Give the model's .h5 or .keras.")
    beside = [path for path in _files(network.parent, ".h5", ".hdf5") if network_beside(path) == network]
    same = [path for path in beside if _stem(path) == _stem(network)]
    apart = [path for path in beside if not _has_network(path)]
    found = next((found[0] for found in (same, apart) if len(found) == 1), None)
    if found is None:
        finding = "its weights are missing" if not apart else "several files beside it may be its weights"
        raise ArtifactError(
            f"{network} describes a network only: {finding}.",
            hint=f"Put the weights beside it as {network.stem}.h5, and give either of the two.",
        )
    return found


def read_network(path: Path) -> Any:
    """Returns what a network's JSON describes, not checked. Raises ValueError for what is no JSON, OSError."""
    if path.stat().st_size > _LARGEST:
        raise ValueError("the description of its network is far too long")
    content = json.loads(path.read_bytes())
    return json.loads(content) if isinstance(content, str) else content  # json.dump(model.to_json())


def _content(path: Path) -> Any:
    try:
        return read_network(path)
    except (OSError, ValueError, RecursionError):
        return None


def _is_network(path: Path) -> bool:
    content = _content(path)
    return isinstance(content, dict) and "class_name" in content and "config" in content


def _files(folder: Path, *suffixes: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())


def _has_network(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "model_config" in file.attrs
    except OSError:
        return False


def _stem(path: Path) -> str:
    stem = path.stem.lower()
    return _WORDS.sub("", stem) or stem


def is_of_keras_1(description: Any, version: str) -> bool:
    """Returns whether Keras 1 wrote a description. `version` is what the file says of it, '' for nothing."""
    try:
        layers = layers_of(description["config"])
        settings = [layer["config"] for layer in layers if layer["class_name"] != "Embedding"]
        return version.startswith("1.") or any(name in one for one in settings for name in _OF_KERAS_1)
    except (KeyError, TypeError):
        return False


def current_description(description: dict[str, Any]) -> dict[str, Any]:
    """Returns a description that passed `first_objection`, as Keras 3 writes it, and without what it is compiled with.

    Raises AttributeError, IndexError, KeyError, TypeError for one that is not as any Keras writes it.
    """
    model = _current({key: value for key, value in description.items() if key != "compile_config"})
    return model | {"module": _MODULES[model["class_name"]], "registered_name": None}


def _current(value: Any) -> Any:
    if isinstance(value, list):
        return [_current(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"type", "value"} and value["type"] == "ndarray":  # a number, as Keras 2.2 wrote NumPy's
        return value["value"]
    name, settings = value.get("class_name"), value.get("config")
    if name == "Policy":
        return "float32"  # as all weights are, whatever was computed in; the small runtime knows nothing else
    if name == "Model":
        value = value | {"class_name": "Functional"}
    if name == "Sequential":
        settings = _sequential(settings)
    elif name in ("Model", "Functional"):
        settings = settings | {key: _one(settings[key]) for key in ("input_layers", "output_layers")}
    if isinstance(name, str) and isinstance(settings, dict):
        value = value | {"config": _settings(name, settings)}
    if name in _MODULES and "module" in value:
        value = value | {"module": _MODULES[name]}
    return {key: _current(item) for key, item in value.items()}


def _one(tensors: list) -> list:
    """Returns the place of the only tensor, as Keras 3 has it; of several, the list of them."""
    return tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list) else tensors


def _settings(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    gone = {key for key, nothing in _GONE_IF.get(name, {}).items() if settings.get(key) in nothing}
    settings = {key: value for key, value in settings.items() if key not in {*gone, *_GONE.get(name, ())}}
    shape = settings.pop(_SHAPE, None)
    if name == "InputLayer" and shape:
        settings.setdefault("batch_shape", shape)
    axis = settings.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        settings["axis"] = axis[0]
    if name == "LeakyReLU" and "alpha" in settings:
        settings["negative_slope"] = settings.pop("alpha")
    return settings


def _sequential(settings: dict[str, Any] | list) -> dict[str, Any]:
    """Returns the settings with a layer for the input: the first layer said what it takes, in what was a bare list."""
    settings = {"name": "sequential", "layers": settings} if isinstance(settings, list) else settings
    layers = settings["layers"]
    shape = _shape_taken(layers[0])
    if layers[0]["class_name"] == "InputLayer" or not shape:
        return settings
    given = {"batch_shape": shape, "dtype": "float32", "name": "input_of_" + str(settings.get("name"))}
    first = {"class_name": "InputLayer", "config": given, "module": "keras.layers", "registered_name": None}
    return settings | {"layers": [first, *layers]}


def _shape_taken(layer: dict[str, Any]) -> list | None:
    config = layer["config"]
    if isinstance(config, list) or "layers" in config:
        return _shape_taken(layers_of(config)[0])
    return config.get("batch_shape") or config.get(_SHAPE)
