"""What the description of a network may hold: stock Keras that only computes, sizes that fit, and nothing else.

A description is what Keras keeps in a file, as parsed JSON: {"class_name": "Functional", "config": {"layers": …}}.
Keras makes an object of whatever it names, and its own safe mode lets more pass than a model of pictures needs. So what
is not listed here is refused, as are numbers that would have Keras take all memory, and nesting that no network has.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODELS = ("Functional", "Sequential", "Model")
"""The classes that a whole model may have."""

_ACTIVATIONS = _names(
    """
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid
    sparsemax squareplus swish tanh tanh_shrink threshold
    """
)
_ACTIVATION_LAYERS = frozenset({"Activation", "ELU", "LeakyReLU", "PReLU", "ReLU", "Softmax"})
_LAYERS = _ACTIVATION_LAYERS | _names(
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
_REGULARIZERS = frozenset({"L1", "L1L2", "L2", "OrthogonalRegularizer"})
_CONSTRAINTS = frozenset({"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"})
_POLICIES = frozenset({"DTypePolicy", "Policy"})
_VALUES = frozenset({"TensorShape", "__keras_tensor__", "__numpy__", "__tuple__"})
"""Made by no class: a shape, a connection, an array of numbers, a tuple."""

_MODEL_MODULES = _names(
    """
    keras keras.models keras.engine.functional keras.engine.sequential keras.src.engine.functional
    keras.src.engine.sequential keras.src.models.functional keras.src.models.model keras.src.models.sequential
    """
)
_KINDS = (
    (frozenset(MODELS), _MODEL_MODULES),
    (_LAYERS, frozenset({"keras.layers"})),
    (_INITIALIZERS, frozenset({"keras.initializers"})),
    (_REGULARIZERS, frozenset({"keras.regularizers"})),
    (_CONSTRAINTS, frozenset({"keras.constraints"})),
    (_POLICIES, frozenset({"keras", "keras.dtype_policies", "keras.mixed_precision"})),
    (_VALUES, frozenset()),
)
_CLASSES = frozenset((name, module) for names, modules in _KINDS for name in names for module in (None, *modules))
"""Each allowed class with each module that a file may give for it; older files give none."""

OLDER = "of an older Keras, which the present one has no more"
"""In the objection to a class that is known, and harmless."""
_OLDER_LAYERS = _names(
    """
    AtrousConvolution1D AtrousConvolution2D Convolution1D Convolution2D CuDNNGRU CuDNNLSTM Deconvolution2D Highway
    LocallyConnected1D LocallyConnected2D MaxoutDense Merge SeparableConvolution2D ThresholdedReLU TimeDistributedDense
    """
)
_IS_CODE = {"Lambda": "a Lambda", "__lambda__": "a lambda", "__typespec__": "a type of TensorFlow"}


_DEEPEST = 60
_MOST_PARTS = 300_000
_MOST_CALLS = 3_000
"""Of layers. The largest networks in use have a thousand; a model in a model that is called twice has twice its own."""
_LARGEST_NUMBER = 65_536
_LARGEST = {
    "units": 8192,
    "filters": 8192,
    "kernel_size": 512,
    "depth_multiplier": 512,
    "size": 64,
    "padding": 2048,
    "height": 2048,
    "width": 2048,
    "batch_shape": 2048,
    "batch_input_shape": 2048,
    # What a layer gets or gives, also a flattened picture.
    "shape": 2**24,
    "input_shape": 2**24,
    "build_input_shape": 2**24,
    "target_shape": 2**24,
}
_ANY_NUMBER = frozenset({"seed", "shared_object_id"})
_LAYER_KEYS = frozenset({"layers", "layer", "forward_layer", "backward_layer", "config"})
"""Under these stand layers; under others things without a name of their own, such as initializers."""


def _plain_name(name: str) -> str:
    return name.replace("_", "").lower()


_BY_TEXT = {
    "activation": frozenset(map(_plain_name, _ACTIVATIONS)),
    "initializer": frozenset(map(_plain_name, _INITIALIZERS | {"normal", "one", "uniform", "zero"})),
    "regularizer": frozenset(map(_plain_name, _REGULARIZERS)),
    "constraint": frozenset(map(_plain_name, _CONSTRAINTS)),
}


class _Node(NamedTuple):
    """One value of a description: under which setting it stands, of which layer, and how deep."""

    value: Any
    key: str
    owner: str
    depth: int
    calls: int = 1
    """How often the layer is called that it belongs to."""


def first_objection(description: Any) -> str | None:
    """Returns what must not be in a description, e.g. "the layer 'x' is a Lambda, which is code"; None if nothing."""
    return next(_objections(description), None)


def _objections(description: Any) -> Iterator[str]:
    if not isinstance(description, dict) or not isinstance(description.get("config"), dict | list):
        yield "it describes no network"
        return
    if description.get("class_name") not in MODELS:
        named = description.get("registered_name") or description.get("class_name")
        yield f"the model is of the class {_shown(named)}, which is no stock model of Keras"
    # What the model itself was compiled with is never loaded; that of models inside it would be.
    yield from _objections_inside({**description, "compile_config": None})


def _objections_inside(description: dict[str, Any]) -> Iterator[str]:
    waiting, calls = [_Node(description, "", "the model", 0)], 0
    for _ in range(_MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop()
        if part.depth > _DEEPEST:
            yield f"it is nested more than {_DEEPEST} deep"
            return
        yield from _objections_to(part)
        calls += _calls(part) if _is_layer_node(part) else 0
        if calls > _MOST_CALLS:
            yield f"its layers are called more than {_MOST_CALLS:,} times"
            return
        waiting.extend(_parts_of(part))
    yield f"it has more than {_MOST_PARTS:,} parts"


def _parts_of(part: _Node) -> Iterator[_Node]:
    """The last comes first, since they are taken from the end."""
    value, depth = part.value, part.depth + 1
    if isinstance(value, list):
        yield from (_Node(item, part.key, part.owner, depth, part.calls) for item in reversed(value))
    elif isinstance(value, dict):
        owner, calls = (_layer(value), _calls(part)) if _is_layer_node(part) else (part.owner, part.calls)
        for key, item in reversed(value.items()):
            # The items of a tuple or a shape stand for the setting that has it.
            yield _Node(item, part.key if key == "items" else key, owner, depth, calls)


def _objections_to(part: _Node) -> Iterator[str]:
    value, kind = part.value, part.key.rpartition("_")[2]
    found = None
    if kind == "activation":
        found = _activation_objection(value)
    elif isinstance(value, dict) and "class_name" in value:
        found = _class_objection(value)
    elif isinstance(value, str):
        found = _text_objection(kind, value)
    elif isinstance(value, int | float):
        found = _number_objection(part.key, value)
    if part.key == "compile_config" and value:
        found = "would be loaded too, an optimizer and losses"
    if found:
        yield f"{_place(part)} {found}"


def _number_objection(key: str, number: float) -> str | None:
    if key in _ANY_NUMBER or (isinstance(number, float) and key not in _LARGEST):
        return None
    largest = _LARGEST.get(key, _LARGEST_NUMBER)
    return f"is {_shown(number)}; more than {largest:,} is refused" if abs(number) > largest else None


def _place(part: _Node) -> str:
    if _is_layer_node(part):
        return _layer(part.value)
    return f"the {part.key} of {part.owner}"


def _is_layer_node(part: _Node) -> bool:
    return isinstance(part.value, dict) and "class_name" in part.value and _is_layer(part)


def _calls(part: _Node) -> int:
    """Returns how often a layer is called, also in a model that is called several times itself."""
    nodes = part.value.get("inbound_nodes")
    return part.calls * max(1, len(nodes) if isinstance(nodes, list) else 1)


def _is_layer(part: _Node) -> bool:
    return part.key in _LAYER_KEYS or not part.key


def _layer(node: dict[str, Any]) -> str:
    config = node.get("config")
    name = (config.get("name") if isinstance(config, dict) else None) or node.get("name")
    what = "model" if node["class_name"] in MODELS else "layer"
    return f"the {what} {_shown(name)}" if isinstance(name, str) else f"a {what} without a name"


def _class_objection(node: dict[str, Any]) -> str | None:
    """Returns what is wrong with {"class_name": …, "module": …}, as the end of a sentence, e.g. "is a Lambda, …"."""
    name, module, registered = (_text(node.get(key)) for key in ("class_name", "module", "registered_name"))
    if name in _IS_CODE:
        return f"is {_IS_CODE[name]}, which is code"
    if name == "function":
        return f"is the function {_shown(node.get('config'))}, which is none of Keras' own"
    if registered not in (None, "", name):
        return f"is of the class {_shown(registered)}, which is none of Keras' own"
    if name in _OLDER_LAYERS:
        return f"is of the class {_shown(name)} {OLDER}"
    if (name, None) not in _CLASSES:
        return f"is of the class {_shown(name)}, which is not on the list of Keras' own that only compute"
    if (name, module) not in _CLASSES:
        return f"is of the class {_shown(name)} of {_shown(module)}, which is not where Keras has it"
    return None


def _activation_objection(value: Any) -> str | None:
    """Returns what is wrong with the value of a setting that names an activation, as the end of a sentence.

    A lambda has no class here: Keras writes it as {"value": [its code, …]}.
    """
    if value is None or (isinstance(value, str) and _plain_name(value) in _BY_TEXT["activation"]):
        return None
    if isinstance(value, str):
        return f"is {_shown(value)}, which is no activation of Keras"
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        is_layer = value["class_name"] in _ACTIVATION_LAYERS
        return _class_objection(value) or (None if is_layer else "is no activation of Keras")
    return "is a function of its own, which is code"


def _text_objection(kind: str, value: str) -> str | None:
    """Returns what is wrong with a string under a setting of this kind (initializer, regularizer, constraint)."""
    if _plain_name(value) in _BY_TEXT.get(kind, (_plain_name(value),)):
        return None
    return f"is {_shown(value)}, which is none of Keras' own"


def _shown(value: Any) -> str:
    """Returns a value out of a file as it can be printed: short, and without control characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(value: Any) -> str | None:
    """Returns a name as text, also where a file has a list or a number in its place."""
    return value if value is None or isinstance(value, str) else _shown(value)
