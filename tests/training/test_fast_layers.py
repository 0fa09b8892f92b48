"""The fast parts for TensorFlow's CPU compute what the stock parts do."""

import keras
import numpy as np
import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.training.fast_tensorflow import ByteDropout, FusedAdam, FusedBatchNormalization, FusedSGD
from fer_core.training.machine import Machine
from fer_core.training.training_model import Augmented, is_fast, make_optimizer, make_training_model

LABELS = ("angry", "happy", "sad")
ONE_CPU = Machine("tensorflow", ("CPU:0",), 1, "float32", "")
TWO_CPUS = Machine("tensorflow", ("CPU:0", "CPU:1"), 1, "float32", "")


@pytest.mark.parametrize("shape", [(16, 6, 6, 5), (16, 5)], ids=["pictures", "vectors"])
def test_fused_batch_normalization_gives_the_outputs_and_moving_statistics_of_the_stock_layer(shape):
    random = np.random.default_rng(0)
    batches = [random.normal(3, 2, shape).astype(np.float32) for _ in range(5)]
    fused, stock = FusedBatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for batch in batches:
        np.testing.assert_allclose(fused(batch, training=True), stock(batch, training=True), rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(fused.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
    fused.trainable = False
    before = fused.get_weights()
    fused(batches[0], training=True)
    for mine, theirs in zip(fused.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("settings", "kinds"),
    [
        ({}, (FusedAdam, keras.optimizers.Adam)),
        ({"optimizer": "adamw", "weight_decay": 0.1}, (FusedAdam, keras.optimizers.Adam)),
        ({"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01}, (FusedSGD, keras.optimizers.SGD)),
        ({"optimizer": "sgd", "momentum": 0.0, "weight_decay": 0.01}, (FusedSGD, keras.optimizers.SGD)),
    ],
    ids=["adam", "adamw", "sgd", "sgd without momentum"],
)
def test_the_fused_optimizers_take_the_steps_of_the_stock_ones(settings, kinds):
    fused, stock = (
        make_optimizer(TrainConfig(learning_rate=0.01, **settings), 10, fast=fast) for fast in (True, False)
    )
    assert (type(fused), type(stock)) == kinds
    random = np.random.default_rng(0)
    start = random.normal(size=(7, 3)).astype(np.float32)
    ours, theirs = (keras.Variable(start, name="kernel") for _ in "12")
    for _ in range(10):
        gradient = random.normal(size=(7, 3)).astype(np.float32)
        fused.apply([keras.ops.convert_to_tensor(gradient)], [ours])
        stock.apply([keras.ops.convert_to_tensor(gradient)], [theirs])
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    assert np.abs(np.asarray(ours) - start).max() > 0.02
    for mine, other in zip(fused.variables, stock.variables, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fast", [True, False])
def test_weights_decay_and_biases_and_normalisation_do_not(fast):
    optimizer = make_optimizer(TrainConfig(optimizer="adamw", weight_decay=0.5, learning_rate=0.1), 10, fast=fast)
    names = ("kernel", "bias", "gamma", "beta")
    variables = [keras.Variable([1.0], name=name) for name in names]
    optimizer.apply([keras.ops.zeros((1,)) for _ in names], variables)
    assert [float(np.asarray(variable)[0]) for variable in variables] == pytest.approx([0.95, 1, 1, 1])


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_byte_dropout_keeps_the_mean_and_drops_its_rate_within_a_256th(rate):
    ones = np.ones((500, 1000), np.float32)
    outputs = np.asarray(ByteDropout(rate, seed=1)(ones, training=True))
    assert (outputs == 0).mean() == pytest.approx(rate, abs=1 / 256 + 0.002)
    assert outputs.mean() == pytest.approx(1, abs=0.005)
    assert len(np.unique(outputs)) == 2
    np.testing.assert_array_equal(ByteDropout(rate)(ones, training=False), ones)


def after_steps(network, machine):
    config = TrainConfig()
    model = Augmented(make_training_model(network, machine), Augmentation(config))
    model.build((None, 48, 48, 1))
    model.compile(optimizer=make_optimizer(config, 10, fast=is_fast(machine)), loss="categorical_crossentropy")
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (64, 48, 48, 1)).astype(np.float32)
    labels = np.eye(3)[random.integers(0, 3, 64)].astype(np.float32)
    model.fit(pixels, labels, batch_size=16, shuffle=False, verbose=0)
    return model.network.get_weights()


def test_a_network_without_dropout_trains_to_the_same_weights_with_fast_and_stock_layers():
    options = {"filters": (4, 8)}
    network = networks.build(TrainConfig(network="weighted_loss", network_options=options), LABELS)
    fast, stock = (after_steps(network, machine) for machine in (ONE_CPU, TWO_CPUS))
    assert not any(np.array_equal(mine, start) for mine, start in zip(fast, network.get_weights(), strict=True))
    # Adam divides by the gradient's own size: where that is next to nothing, rounding alone moves a weight.
    apart = np.concatenate([np.abs(mine - theirs).ravel() for mine, theirs in zip(fast, stock, strict=True)])
    assert (apart > 1e-4).mean() < 0.01
    assert apart.max() < 0.01


def test_fast_layers_are_taken_on_one_cpu_with_tensorflow_only():
    network = networks.build(TrainConfig(network="smoke"), LABELS)
    gpu, jax = Machine("tensorflow", ("GPU:0",), 1, "float32", ""), Machine("jax", ("CPU:0",), 1, "float32", "")
    kinds = [{type(layer) for layer in make_training_model(network, m).layers} for m in (ONE_CPU, TWO_CPUS, gpu, jax)]
    assert {FusedBatchNormalization, ByteDropout} <= kinds[0]
    assert all({keras.layers.BatchNormalization, keras.layers.Dropout} <= kind for kind in kinds[1:])
