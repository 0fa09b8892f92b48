"""Model files by their names; what may stand in the network that one describes, and what it takes and gives. No Keras.

Keras makes an object of whatever a description names, also under its safe mode: what is not listed here is refused.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from fer_core.errors import ArtifactError

if TYPE_CHECKING:
    import numpy as np

MODEL_SUFFIXES = (".h5", ".hdf5", ".keras", ".onnx")

PixelRange = Literal["0..255", "0..1", "-1..1"]
"""The grey values that a model wants. Ours take them as they are, 0..255; models from elsewhere may not."""

Colours = Literal["gray", "rgb", "bgr"]
"""What three channels are: the same gray three times, as in ours, or colours in their order."""

_SCALE_AND_OFFSET = {"0..255": (1.0, 0.0), "0..1": (1 / 255, 0.0), "-1..1": (2 / 255, -1.0)}


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MODELS = ("Functional", "Sequential", "Model")
_ACTIVATIONS = _names(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid
    sparsemax squareplus swish tanh tanh_shrink threshold
    """
)
_OPERATIONS = ("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer")
"""What Keras 2 wrote for operations on tensors between layers. Keras 3 has nothing that reads them."""
_ACTIVATION_LAYERS = _names("Activation ELU LeakyReLU PReLU ReLU Softmax")
_LAYERS = _names(
    """
    ActivityRegularization AdaptiveAveragePooling2D AdaptiveMaxPooling2D Add AdditiveAttention AlphaDropout Attention
    Average AveragePooling1D AveragePooling2D BatchNormalization Bidirectional CenterCrop Concatenate Conv1D
    Conv1DTranspose Conv2D Conv2DTranspose ConvLSTM2D Cropping1D Cropping2D Dense DepthwiseConv1D DepthwiseConv2D Dot
    Dropout EinsumDense Embedding Flatten GRU GaussianDropout GaussianNoise GlobalAveragePooling1D
    GlobalAveragePooling2D GlobalMaxPooling1D GlobalMaxPooling2D GroupNormalization GroupQueryAttention Identity
    InputLayer LSTM LayerNormalization Masking MaxPooling1D MaxPooling2D Maximum Minimum MultiHeadAttention Multiply
    Normalization Permute RMSNormalization RandomBrightness RandomContrast RandomCrop RandomErasing RandomFlip
    RandomRotation RandomTranslation RandomZoom RepeatVector Rescaling Reshape Resizing SeparableConv1D SeparableConv2D
    SimpleRNN SpatialDropout1D SpatialDropout2D SpectralNormalization Subtract TimeDistributed UnitNormalization
    UpSampling1D UpSampling2D ZeroPadding1D ZeroPadding2D
    """
)
_INITIALIZERS = _names(
    """
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
    Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
    """
)
_REGULARIZERS = _names("L1 L1L2 L2 OrthogonalRegularizer")
_CONSTRAINTS = _names("MaxNorm MinMaxNorm NonNeg UnitNorm")
_VALUES = _names("DTypePolicy Policy TensorShape __keras_tensor__ __numpy__ __tuple__")
_CLASSES = _LAYERS.union(_MODELS, _ACTIVATION_LAYERS, _INITIALIZERS, _REGULARIZERS, _CONSTRAINTS, _VALUES)
_MODULES = _names(
    """
    keras keras.constraints keras.dtype_policies keras.engine.functional keras.engine.sequential keras.initializers
    keras.layers keras.mixed_precision keras.models keras.regularizers keras.src.engine.functional
    keras.src.engine.sequential keras.src.models.functional keras.src.models.model keras.src.models.sequential
    """
)  # where a file may say that a class is from; older files say nothing
_IS_CODE = {"Lambda": "a Lambda", "__lambda__": "a lambda", "__typespec__": "a type of TensorFlow"}

_DEEPEST = 60
_MOST_PARTS = 300_000
_MOST_CALLS = 3_000
"""Of layers. The largest networks in use have a thousand; a model in a model that is called twice has twice its own."""
_LARGEST_NUMBER = 65_536
_LARGEST = {
    **dict.fromkeys(("units", "filters"), 8192),
    **dict.fromkeys(("kernel_size", "depth_multiplier"), 512),
    "size": 64,
    **dict.fromkeys(("padding", "height", "width", "batch_shape", "batch_input_shape"), 2048),
    # What a layer gets or gives, also a flattened picture.
    **dict.fromkeys(("shape", "input_shape", "build_input_shape", "target_shape"), 2**24),
}
_ANY_NUMBER = ("seed", "shared_object_id")
_LAYER_KEYS = ("", "layers", "layer", "forward_layer", "backward_layer", "config")
"""Under these stand layers; under others things without a name of their own, such as initializers."""


def _plain_name(name: str) -> str:
    return name.replace("_", "").lower()


_BY_TEXT = {
    "activation": frozenset(map(_plain_name, _ACTIVATIONS)),
    "initializer": frozenset(map(_plain_name, _INITIALIZERS | {"normal", "one", "uniform", "zero"})),
    "regularizer": frozenset(map(_plain_name, _REGULARIZERS)),
    "constraint": frozenset(map(_plain_name, _CONSTRAINTS)),
}


def first_objection(description: Any) -> str | None:
    """Returns what must not be in a description, e.g. "the layer 'x' is a Lambda, which is code"; None if nothing."""
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict | list):
        return "it describes no network"
    if description.get("class_name") not in _MODELS:
        named = description.get("registered_name") or description.get("class_name")
        return f"the model is of the class {_shown(named)}, which is no stock model of Keras"
    # What the model itself was compiled with is never loaded; that of models inside it would be.
    waiting, calls = [("", "the model", 0, 1, {**description, "compile_config": None})], 0
    for _ in range(_MOST_PARTS):
        if not waiting:
            return None
        key, owner, depth, times, value = waiting.pop()
        place = f"the {key} of {owner}"
        if key in _LAYER_KEYS and isinstance(value, dict) and "class_name" in value:
            place = owner = _layer_name(value)
            nodes = value.get("inbound_nodes")
            times *= max(1, len(nodes) if isinstance(nodes, list) else 1)
            calls += times
        if depth > _DEEPEST:
            return f"it is nested more than {_DEEPEST} deep"
        if calls > _MOST_CALLS:
            return f"its layers are called more than {_MOST_CALLS:,} times"
        if objection := _objection(key, value):
            return f"{place} {objection}"
        if isinstance(value, dict):
            # The items of a tuple or a shape stand for the setting that has it.
            items = [(key if name == "items" else name, item) for name, item in value.items()]
        else:
            items = [(key, item) for item in value] if isinstance(value, list) else []
        waiting += [(name, owner, depth + 1, times, item) for name, item in items]
    return f"it has more than {_MOST_PARTS:,} parts"


def _layer_name(node: dict[str, Any]) -> str:
    config = node.get("config")
    name = (config.get("name") if isinstance(config, dict) else None) or node.get("name")
    what = "model" if node["class_name"] in _MODELS else "layer"
    return f"the {what} {_shown(name)}" if isinstance(name, str) else f"a {what} without a name"


def _objection(key: str, value: Any) -> str | None:
    kind = key.rpartition("_")[2]
    if key == "compile_config" and value:
        return "would be loaded too, an optimizer and losses"
    if kind == "activation":
        return _activation_objection(value)
    if isinstance(value, dict) and "class_name" in value:
        return _class_objection(value)
    if isinstance(value, str) and _plain_name(value) not in _BY_TEXT.get(kind, (_plain_name(value),)):
        return f"is {_shown(value)}, which is none of Keras' own"
    is_size = isinstance(value, int) or (isinstance(value, float) and key in _LARGEST)
    largest = _LARGEST.get(key, _LARGEST_NUMBER)
    if is_size and key not in _ANY_NUMBER and abs(value) > largest:
        return f"is {_shown(value)}; more than {largest:,} is refused"
    return None


def _class_objection(node: dict[str, Any]) -> str | None:
    given = [node.get(key) for key in ("class_name", "module", "registered_name")]
    name, module, registered = (one if one is None or isinstance(one, str) else _shown(one) for one in given)
    if name in _IS_CODE:
        return f"is {_IS_CODE[name]}, which is code"
    if name in _OPERATIONS:
        return f"is an operation between layers as Keras 2 saved it ({name}), which Keras 3 cannot read"
    if name == "function":
        return f"is the function {_shown(node.get('config'))}, which is none of Keras' own"
    if registered not in (None, "", name) or name not in _CLASSES:
        return f"is of the class {_shown(registered or name)}, which is not on the list of Keras' own that only compute"
    if module is not None and module not in _MODULES:
        return f"is of the class {_shown(name)} of {_shown(module)}, which is not where Keras has it"
    return None


def _activation_objection(value: Any) -> str | None:
    if isinstance(value, str):
        is_known = _plain_name(value) in _BY_TEXT["activation"]
        return None if is_known else f"is {_shown(value)}, which is no activation of Keras"
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        is_layer = value["class_name"] in _ACTIVATION_LAYERS
        return _class_objection(value) or (None if is_layer else "is no activation of Keras")
    # A lambda has no class here: Keras writes it as {"value": [its code, …]}.
    return None if value is None else "is a function of its own, which is code"


def _shown(value: Any) -> str:
    """Returns a value out of a file as it can be printed: short, and without control characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


class ModelMetadata(NamedTuple):
    """What must be known of a model before it is used."""

    input_shape: tuple[int | None, ...]
    """Without the batch: (side, side, channels) for a model of pictures; None where any size goes."""
    outputs: int | None
    """None where it does not stand in the description, e.g. after Flatten."""
    has_scaling: bool
    """Whether a layer before the first convolution scales the pixels."""


_SCALING = ("Rescaling", "Normalization", "BatchNormalization")
_POOLS_ALL = ("GlobalAveragePooling2D", "GlobalMaxPooling2D")
_KEEPS_WIDTH = (
    *(*_ACTIVATION_LAYERS, *_POOLS_ALL, "BatchNormalization", "LayerNormalization"),
    *("Dropout", "GaussianDropout", "GaussianNoise", "Identity"),
)
_NOT_AS_KERAS_WRITES_IT = (AttributeError, IndexError, KeyError, RecursionError, TypeError, ValueError)


def metadata_of(description: dict[str, Any], *, where: str) -> ModelMetadata:
    """Returns the metadata of a description. `where` names its file in the error. Raises ArtifactError."""
    try:
        layers = list(_all_layers(description))
        return ModelMetadata(_input_shape(description), _outputs(layers), _has_scaling(layers))
    except _NOT_AS_KERAS_WRITES_IT as error:
        raise ArtifactError(
            f"{where} describes no network that can be used ({type(error).__name__}: {error}).",
            hint="It must take one picture and give one row of values; save it again with a present Keras.",
        ) from error


def layers_of(config: dict[str, Any] | list) -> list[dict[str, Any]]:
    """Returns the layers in the settings of a model; older files have the bare list."""
    return config if isinstance(config, list) else config["layers"]


def _all_layers(model: dict) -> Iterator[dict]:
    """Yields the layers in the order in which they are computed, as Keras lists them, those of models in it too."""
    for layer in layers_of(model["config"]):
        yield from _all_layers(layer) if layer["class_name"] in _MODELS else (layer,)


def _input_shape(model: dict) -> tuple[int | None, ...]:
    layers = layers_of(model["config"])
    inputs = [layer for layer in layers if layer["class_name"] == "InputLayer"]
    if len(inputs) > 1:
        raise ValueError(f"it takes {len(inputs)} inputs")
    first = (inputs or layers)[0]
    if first["class_name"] in _MODELS:
        return _input_shape(first)
    settings = first["config"]
    shape = settings.get("batch_shape") or settings.get("batch_input_shape") or model["config"].get("build_input_shape")
    sizes = shape["items"] if isinstance(shape, dict) else shape
    return tuple(None if size is None else _size(size) for size in sizes[1:])


def _outputs(layers: list[dict]) -> int | None:
    """Returns how many values the last layer gives, going back to the layer that decides it."""
    is_pooled = False
    for layer in reversed(layers):
        kind, settings = layer["class_name"], layer["config"]
        if kind == "Dense":
            return _size(settings["units"])
        if kind in ("Conv2D", "SeparableConv2D"):
            return _size(settings["filters"]) if is_pooled else None
        if kind not in _KEEPS_WIDTH:
            return None
        is_pooled = is_pooled or kind in _POOLS_ALL
    return None


def _has_scaling(layers: list[dict]) -> bool:
    for kind in (layer["class_name"] for layer in layers):
        if kind in _SCALING or kind == "Dense" or "Conv" in kind:
            return kind in _SCALING
    return False


def _size(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no size")
    return value


def in_range(images: "np.ndarray", pixels: PixelRange) -> "np.ndarray":
    """Returns images, uint8 0..255 of any shape, as float32 in the range that a model was trained on."""
    scale, offset = _SCALE_AND_OFFSET[pixels]
    float32 = images.astype("float32")
    return float32 * float32.dtype.type(scale) + float32.dtype.type(offset)


def is_onnx(path: Path) -> bool:
    """Whether a file goes by its name as an ONNX model, which ONNX Runtime reads, and not Keras."""
    return path.suffix.lower() == ".onnx"
