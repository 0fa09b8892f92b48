"""The networks: one file each, named as the network. A new file is a new network; nothing else is edited.

A network file holds `Options` (its settings, with the ranges that a search may use) and
`build(options, *, labels, side, channels) -> keras.Model`. It may set `SIDE` and `CHANNELS` where it wants another
input than 48 x 48 gray, or have `picture(options)` where its options decide, and `pretrained(options, network)` where
it does not start from nothing. Only `build` imports Keras, so that flags, forms and search spaces need none.

What `build` returns takes raw pixels 0..255, float32 (batch, side, side, channels), and gives probabilities
(batch, labels) in the order of `labels`; it is made of `keras.layers` alone, so that plain Keras opens its `.h5`.
"""

import gc
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fer_core.config import Settings, TrainConfig
from fer_core.errors import ArtifactError, ConfigError, did_you_mean

if TYPE_CHECKING:
    import keras

_TOO_SMALL = ("negative dimension", "must be positive", "zero or negative")
"""What Keras says, by layer, of an input that is smaller than a network's poolings and strides need."""


def load_keras() -> None:
    """Imports Keras, in three quarters of the time that `import keras` takes."""
    if sys.modules.get("keras"):
        return
    gc.disable()  # Python would look for garbage again and again among all that is loaded
    try:
        import keras  # noqa: F401

        gc.freeze()
    finally:
        gc.enable()


def names() -> list[str]:
    """Returns the names of all networks."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))


def network_module(name: str) -> ModuleType:
    """Returns the file of a network; raises ConfigError for a name that there is not."""
    if name not in names():
        raise ConfigError(f"There is no network {name!r}.", hint=did_you_mean(name, names()))
    return importlib.import_module(f"{__name__}.{name}")


def options(config: TrainConfig) -> Settings:
    """Returns the network's own settings, checked; raises ConfigError that names what is wrong."""
    module = network_module(config.network)
    return module.Options.checked(config.network_options, where=f"network {config.network}")


def with_all_options(config: TrainConfig) -> TrainConfig:
    """Returns the settings with every option of the network written out, defaults too.

    So a run goes on with the network that it was begun with, even if the network's file has other defaults by then.
    """
    return config.model_copy(update={"network_options": options(config).model_dump(mode="json")})


def input_shape(config: TrainConfig) -> tuple[int, int]:
    """Returns (side, channels) of the network's input: the setting, else what the network asks for, else 48 and 1.

    Raises ConfigError for a crop or training side that is larger than the pictures it is taken from.
    """
    module = network_module(config.network)
    side = config.image_size or getattr(module, "SIDE", 48)
    _check_shrinks(config, side)
    own = getattr(module, "picture", None)
    return side, own(options(config))["channels"] if own else getattr(module, "CHANNELS", 1)


def picture_of(config: TrainConfig) -> dict[str, Any]:
    """Returns side, channels and colours of the network's input, as `load_dataset` takes them. Raises ConfigError."""
    side, channels = input_shape(config)
    own = getattr(network_module(config.network), "picture", None)
    return {"side": side, "channels": channels} | (own(options(config)) if own else {"colours": "gray"})


def pretrained(config: TrainConfig, network: "keras.Model") -> str:
    """Puts pretrained weights into a network, and returns a sentence on them, or ''. Raises ArtifactError."""
    load = getattr(network_module(config.network), "pretrained", None)
    return load(options(config), network) if load else ""


def _check_shrinks(config: TrainConfig, side: int) -> None:
    if config.crop and config.crop > side:
        raise ConfigError(
            f"crop is {config.crop} pixels, and the pictures have {side}.",
            hint=f"Take a --crop of at most {side}, or a larger --image-size.",
        )
    shown = config.crop or side
    if max(config.progressive_sizes, default=0) > shown:
        raise ConfigError(
            f"progressive_sizes has {max(config.progressive_sizes)} pixels, and the pictures have {shown}.",
            hint=f"Pictures are only shrunk: take --progressive-sizes of at most {shown}.",
        )


def build(config: TrainConfig, labels: tuple[str, ...]) -> "keras.Model":
    """Returns the untrained network of `config`, uncompiled, in stock layers.

    Raises:
        ConfigError: for an unknown network or option, or an input too small for the network. ArtifactError: it could
            not be saved.
    """
    side, channels = input_shape(config)
    own_options = options(config)
    try:
        network = network_module(config.network).build(own_options, labels=labels, side=side, channels=channels)
    except ValueError as error:
        if not any(words in str(error).lower() for words in _TOO_SMALL):
            raise
        raise ConfigError(
            f"The network {config.network} cannot take pictures of {side} x {side} pixels: too many poolings for them.",
            hint="Take a larger --image-size.",
        ) from error
    check_saveable(network)
    return network


def check_saveable(model: "keras.Model") -> None:
    """Raises ArtifactError if Keras could not read the saved model back; worth asking before the first epoch."""
    import keras

    layers = list(_all_layers(model))
    steps = [step for part in (model, *layers) for step in getattr(part, "operations", ())]
    foreign = [step.name for step in steps if not isinstance(step, keras.layers.Layer)]
    foreign += [layer.name for layer in layers if not type(layer).__module__.startswith("keras.")]
    if foreign:
        raise ArtifactError(
            f"The network has steps that are no stock Keras layers ({', '.join(foreign[:3])}); no .h5 can hold them.",
            hint="Use layers of keras.layers alone, e.g. keras.layers.Multiply()([a, b]) for a * b.",
        )
    mixed = [layer.name for layer in layers if layer.dtype_policy.name != "float32"]
    if mixed:
        raise ArtifactError(
            f"The network is not float32 throughout ({', '.join(mixed[:3])}).",
            hint="Build it again under the float32 policy, and copy the weights.",
        )


def _all_layers(model: "keras.Model") -> Iterator["keras.layers.Layer"]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _all_layers(layer)
