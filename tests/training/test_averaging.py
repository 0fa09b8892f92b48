"""The moving average of weights and BatchNorm statistics."""

import keras
import numpy as np
import pytest

from fer_core.training.training_model import MovingAverage, swapped_in


@pytest.fixture
def network():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Dense(3)(inputs)))


def set_all(network, value):
    network.set_weights([np.full_like(weight, value) for weight in network.get_weights()])


def test_the_average_begins_with_the_weights_themselves(network):
    for value, weight in zip(MovingAverage(network, 0.9).arrays(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(value, weight)


def test_each_update_keeps_its_part_and_the_first_ones_less(network):
    set_all(network, 0.0)
    average = MovingAverage(network, 0.5)
    set_all(network, 1.0)
    expected, found = 0.0, []
    for step in range(1, 12):
        average.update()
        kept = min(0.5, step / (step + 9))
        expected = expected * kept + (1 - kept)
        found.append(expected)
        for value in average.arrays():
            np.testing.assert_allclose(value, expected, rtol=1e-6)
    assert found[0] == pytest.approx(0.9)


def test_statistics_of_batch_normalisation_are_averaged_too(network):
    average = MovingAverage(network, 0.9)
    network(np.full((8, 4), 100, np.float32), training=True)
    before = average.arrays()
    average.update()
    assert [not np.array_equal(a, b) for a, b in zip(before, average.arrays(), strict=True)].count(True) == 2


def test_nothing_of_it_is_trained(network):
    assert MovingAverage(network, 0.9).trainable_variables == []


def test_other_weights_are_swapped_in_and_out_again_even_after_an_error(network):
    own = network.get_weights()
    with pytest.raises(KeyError), swapped_in(network, [weight + 1 for weight in own]):
        np.testing.assert_array_equal(network.get_weights()[0], own[0] + 1)
        raise KeyError
    for weight, before in zip(network.get_weights(), own, strict=True):
        np.testing.assert_array_equal(weight, before)
