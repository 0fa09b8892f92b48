"""What training sees of a network: sizes, mixtures, teachers, the moving average of its weights."""

import keras
import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.errors import ConfigError
from fer_core.evaluation.calibration import with_temperature
from fer_core.training.distillation import Teacher
from fer_core.training.machine import Machine
from fer_core.training.training_model import Augmented, MovingAverage, make_training_model, side_of

LABELS = ("a", "b", "c")
MACHINE = Machine("tensorflow", ("CPU:0",), 1, "float32", "")
SMALL = {"filters": (4, 8), "blocks": (1, 1), "strides": (2, 2), "head": 0, "stem": 4}


def small_network(**settings):
    config = TrainConfig(**{"network": "resnet", "network_options": SMALL} | settings)
    return networks.build(config, LABELS), config


def augmented(config, network, **parts):
    return Augmented(make_training_model(network, MACHINE, any_size=True), Augmentation(config), **parts)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (6, 48, 48, 1), dtype=np.uint8)


def test_a_training_model_for_any_size_has_the_weights_of_the_network_and_takes_other_pictures(pixels):
    network, config = small_network()
    training_model = make_training_model(network, MACHINE, any_size=True)
    np.testing.assert_allclose(training_model(pixels), network(pixels), atol=1e-6)
    assert training_model(pixels[:, :33, :33]).shape == (6, 3)
    for kept, own in zip(augmented(config, network).kept_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(kept, own)


def test_a_network_that_takes_one_size_alone_says_so():
    network, _ = small_network(network="baseline", network_options={})
    with pytest.raises(ConfigError, match="baseline takes pictures of 48 pixels alone") as caught:
        make_training_model(network, MACHINE, any_size=True)
    assert "crop and progressive_sizes" in caught.value.hint


def test_the_network_sees_the_size_of_the_epoch_and_validation_the_whole_picture(pixels):
    config = TrainConfig(epochs=7, progressive_sizes=(32, 40, 48))
    assert [side_of(config, epoch) for epoch in range(1, 8)] == [32, 32, 32, 40, 40, 48, 48]
    assert side_of(TrainConfig(), 1) is None
    network, config = small_network(progressive_sizes=(16, 32), crop=40, epochs=4)
    model = augmented(config, network)
    model.compile(loss="categorical_crossentropy")
    first, seen = model.network.layers[1], []
    call = first.call
    first.call = lambda inputs, *arguments, **settings: (seen.append(inputs.shape[1]), call(inputs))[1]
    for epoch in (1, 4):
        model.begin_epoch(epoch)
        model(pixels, training=True)
    model(pixels)
    assert seen == [16, 32, 48]


def test_pixels_are_mixed_as_the_feed_says(pixels):
    network, config = small_network(network_options=SMALL | {"dropout": 0.0, "stochastic_depth": 0.0})
    model = augmented(config, network)
    share, partner = np.float32([1, 0.5, 0.75, 1, 0.6, 1]), np.int32([0, 3, 1, 2, 5, 4])
    mixed = share[:, None, None, None] * pixels + (1 - share[:, None, None, None]) * pixels[partner]
    given = {"pixels": pixels, "share": share, "partner": partner}
    np.testing.assert_allclose(model(given, training=True), model(mixed, training=True), atol=1e-5)


def test_the_loss_of_a_distilled_network_is_its_distance_to_labels_and_teachers(pixels):
    network, config = small_network(teacher=("x.h5",), teacher_weight=0.75)
    first, second = small_network()[0], small_network()[0]
    asked = [Teacher(model, temperature, seen=None) for model, temperature in ((first, 1.0), (second, 1.7))]
    model = augmented(config, network, teachers=asked)
    predictions = model(pixels, training=True)
    theirs = (np.asarray(first(pixels)) + with_temperature(np.asarray(second(pixels)), 1.7)) / 2
    expected = np.mean(keras.losses.categorical_crossentropy(theirs, np.asarray(predictions)))
    assert [float(loss) for loss in model.losses] == pytest.approx([0.75 * expected], rel=1e-5)


@pytest.fixture
def network():
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.BatchNormalization()(keras.layers.Dense(3)(inputs)))


def test_each_update_of_the_average_keeps_its_part_and_the_first_ones_less(network):
    network.set_weights([np.zeros_like(weight) for weight in network.get_weights()])
    average = MovingAverage(network, 0.5)
    assert average.trainable_variables == []
    assert all((value == 0).all() for value in average.arrays())
    network.set_weights([np.ones_like(weight) for weight in network.get_weights()])
    expected = 0.0
    for step in range(1, 12):
        average.update()
        kept = min(0.5, step / (step + 9))
        expected = expected * kept + (1 - kept)
        assert step > 1 or expected == pytest.approx(0.9)
        for value in average.arrays():
            np.testing.assert_allclose(value, expected, rtol=1e-6)
