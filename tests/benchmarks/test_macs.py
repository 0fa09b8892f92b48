"""What the networks cost."""

import keras
import pytest

from fer_core import networks
from fer_core.emotions import FER2013_LABELS
from fer_core.recipes import recipe_config


@pytest.fixture
def multiply_adds(benchmark_file):
    return benchmark_file("macs").multiply_adds


def test_multiply_adds_are_counted_by_place_and_kernel(multiply_adds):
    pixels = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(pixels)
    network = keras.Model(pixels, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    assert multiply_adds(network) == 4 * 4 * 9 * 4 + 4 * 3


@pytest.mark.parametrize(("name", "weights", "millions"), [("tiny", 500_000, 30), ("resnet", 2_500_000, 150)])
def test_networks_stay_within_their_bounds(name, weights, millions, multiply_adds):
    network = networks.build(recipe_config(name), FER2013_LABELS)
    assert network.count_params() <= weights
    assert multiply_adds(network) <= millions * 1e6
