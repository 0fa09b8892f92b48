"""What a model file may name: classes and functions of stock Keras that only compute, and nothing else.

Keras makes an object of whatever a file names, and its own safe mode lets more pass than a model of pictures needs.
So what is not listed here is refused. Knows names alone; `objections.py` goes through a whole description with them.
"""

from typing import Any


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


def _plain_name(name: str) -> str:
    return name.replace("_", "").lower()


_BY_TEXT = {
    "activation": frozenset(map(_plain_name, _ACTIVATIONS)),
    "initializer": frozenset(map(_plain_name, _INITIALIZERS | {"normal", "one", "uniform", "zero"})),
    "regularizer": frozenset(map(_plain_name, _REGULARIZERS)),
    "constraint": frozenset(map(_plain_name, _CONSTRAINTS)),
}


def class_objection(node: dict[str, Any]) -> str | None:
    """Returns what is wrong with {"class_name": …, "module": …}, as the end of a sentence, e.g. "is a Lambda, …"."""
    name, module, registered = (_text(node.get(key)) for key in ("class_name", "module", "registered_name"))
    if name in _IS_CODE:
        return f"is {_IS_CODE[name]}, which is code"
    if name == "function":
        return f"is the function {shown(node.get('config'))}, which is none of Keras' own"
    if registered not in (None, "", name):
        return f"is of the class {shown(registered)}, which is none of Keras' own"
    if name in _OLDER_LAYERS:
        return f"is of the class {shown(name)} {OLDER}"
    if (name, None) not in _CLASSES:
        return f"is of the class {shown(name)}, which is not on the list of Keras' own that only compute"
    if (name, module) not in _CLASSES:
        return f"is of the class {shown(name)} of {shown(module)}, which is not where Keras has it"
    return None


def activation_objection(value: Any) -> str | None:
    """Returns what is wrong with the value of a setting that names an activation, as the end of a sentence.

    A lambda has no class here: Keras writes it as {"value": [its code, …]}.
    """
    if value is None or (isinstance(value, str) and _plain_name(value) in _BY_TEXT["activation"]):
        return None
    if isinstance(value, str):
        return f"is {shown(value)}, which is no activation of Keras"
    if isinstance(value, dict) and isinstance(value.get("class_name"), str):
        is_layer = value["class_name"] in _ACTIVATION_LAYERS
        return class_objection(value) or (None if is_layer else "is no activation of Keras")
    return "is a function of its own, which is code"


def text_objection(kind: str, value: str) -> str | None:
    """Returns what is wrong with a string under a setting of this kind (initializer, regularizer, constraint)."""
    if _plain_name(value) in _BY_TEXT.get(kind, (_plain_name(value),)):
        return None
    return f"is {shown(value)}, which is none of Keras' own"


def shown(value: Any) -> str:
    """Returns a value out of a file as it can be printed: short, and without control characters."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(value: Any) -> str | None:
    """Returns a name as text, also where a file has a list or a number in its place."""
    return value if value is None or isinstance(value, str) else shown(value)
