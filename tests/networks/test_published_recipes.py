"""The five published systems, layer by layer and setting by setting, as docs/training.md describes them."""

import keras
import pytest

from fer_core import networks
from fer_core.labels import FER2013_LABELS
from fer_core.recipes import recipe_config

NETWORKS = {
    "baseline": [
        "Rescaling",
        *(f"Conv {filters} relu, BatchNorm, MaxPool, Dropout 0.25" for filters in (32, 64, 128)),
        "Flatten, Dense 256 relu, BatchNorm, Dropout 0.5, Dense 7 softmax",
    ],
    "weighted_loss": [
        "Rescaling",
        *(f"Conv {filters} relu, BatchNorm, MaxPool" for filters in (32, 64, 128)),
        "GlobalMaxPooling2D, Dense 128 relu, Dense 7 softmax",
    ],
    "tapered": [
        "Rescaling",
        *(f"Conv {filters} relu, BatchNorm, MaxPool" for filters in (256, 128, 128, 64)),
        "GlobalAveragePooling2D, Dense 512 relu, Dense 64 relu, Dropout 0.2, Dense 7 softmax",
    ],
    "attention": [
        "Rescaling",
        *(f"Conv {filters} relu L2, BatchNorm, MaxPool, Dropout 0.25" for filters in (32, 64)),
        "Conv 1 7x7 sigmoid, Multiply",
        *(f"Conv {filters} relu L2, BatchNorm, MaxPool, Dropout 0.25" for filters in (128, 256)),
        "GlobalAveragePooling2D, Dense 128 relu L2, Dense 7 softmax",
    ],
    "deep_l2": [
        "Rescaling",
        *(
            f"Conv {filters}, BatchNorm, ReLU, MaxPool, Dropout {rate}"
            for filters, rate in ((64, 0.3), (128, 0.3), (256, 0.4), (512, 0.4))
        ),
        "GlobalAveragePooling2D, Dense 512 L2, BatchNorm, ReLU, Dropout 0.5, Dense 7 softmax",
    ],
}

NO_AUGMENTATION = {"rotation": 0, "shift": 0, "scale": 0, "flip": False, "brightness": 0, "contrast": 0}
SETTINGS = {
    "baseline": {"learning_rate": 1e-3, "epochs": 100, "batch_size": 64, "class_weights": "none", **NO_AUGMENTATION},
    "weighted_loss": {
        "learning_rate": 8e-5,
        "epochs": 50,
        "batch_size": 64,
        "class_weights": "balanced",
        "weighted_validation_loss": True,
        "test_split": 0.2,
        "flip": True,
    },
    "tapered": {
        "learning_rate": 1e-3,
        "epochs": 50,
        "batch_size": 64,
        "class_weights": "balanced",
        **NO_AUGMENTATION,
        "rotation": 30,
        "flip": True,
    },
    "attention": {
        "learning_rate": 5e-5,
        "epochs": 80,
        "batch_size": 32,
        "class_weights": "balanced",
        "monitor": "val_accuracy",
        "early_stopping_patience": 20,
    },
    "deep_l2": {
        "learning_rate": 5e-4,
        "epochs": 50,
        "batch_size": 64,
        "schedule": "step",
        "step_epochs": (20, 30),
        "step_factors": (0.5, 0.1),
    },
}


def written(layer: keras.layers.Layer) -> str:
    """Returns a layer as the table writes it."""
    words = {"Conv2D": "Conv", "BatchNormalization": "BatchNorm", "MaxPooling2D": "MaxPool"}
    name = type(layer).__name__
    settings = layer.get_config()
    parts = [words.get(name, name), settings.get("filters"), settings.get("units"), settings.get("rate")]
    if settings.get("kernel_size", (3, 3)) != (3, 3):
        parts.append("x".join(map(str, settings["kernel_size"])))
    if settings.get("activation") not in (None, "linear") and name in ("Conv2D", "Dense"):
        parts.append(settings["activation"])
    if settings.get("kernel_regularizer"):
        parts.append(settings["kernel_regularizer"]["class_name"])
    return " ".join(str(part) for part in parts if part is not None)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_network_has_the_layers_that_it_was_published_with_on_gray_pictures_of_48_pixels(name):
    network = networks.build(recipe_config(name), FER2013_LABELS)
    layers = [written(layer) for layer in network.layers if not isinstance(layer, keras.layers.InputLayer)]
    assert layers == ", ".join(NETWORKS[name]).split(", ")
    assert network.input_shape == (None, 48, 48, 1)
    assert {layer.padding for layer in network.layers if isinstance(layer, keras.layers.Conv2D)} == {"same"}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_published_recipe_has_the_settings_that_it_was_published_with(name):
    config = recipe_config(name)
    expected = {"network": name, "optimizer": "adam", **SETTINGS[name]}
    assert {setting: getattr(config, setting) for setting in expected} == expected
