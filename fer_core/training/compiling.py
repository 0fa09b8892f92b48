"""From settings to a model that is ready to train: the network, its training model, loss, optimizer and metric.

Imports Keras: only imported by training itself.
"""

import keras

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.data.augment import Augmentation
from fer_core.data.dataset import Dataset
from fer_core.paths import Paths
from fer_core.store.artifacts import check_saveable
from fer_core.training.confusion import Confusion
from fer_core.training.distillation import teachers
from fer_core.training.feed import steps_per_epoch
from fer_core.training.machine import Machine
from fer_core.training.optimizers import make_optimizer
from fer_core.training.starting import freeze_all_but_head
from fer_core.training.training_model import Augmented, is_fast, make_training_model


def built(config: TrainConfig, labels: tuple[str, ...]) -> keras.Model:
    """Returns the stock network, untrained. Raises ConfigError."""
    network = networks.build(config, labels)
    check_saveable(network)
    freeze_all_but_head(network, config)
    return network


def compiled(
    network: keras.Model, config: TrainConfig, dataset: Dataset, machine: Machine, *, paths: Paths
) -> Augmented:
    """Returns the training model of `network`, compiled, with the optimizer's variables made.

    Raises:
        ConfigError: the settings do not go with the network. ArtifactError: a teacher is not there, or does not fit.
    """
    augmentation = Augmentation(config)
    training_model = make_training_model(network, machine, any_size=bool(config.crop or config.train_sides))
    asked = teachers(config, dataset, paths) if config.teacher and not config.teacher_views else []
    model = Augmented(training_model, augmentation, devices=len(machine.devices), teachers=asked)
    model.build((None, *network.input_shape[1:]))
    steps = steps_per_epoch(dataset.train, config, devices=model.devices)
    optimizer = make_optimizer(config, steps, fast=is_fast(machine))
    # Under TensorFlow, XLA makes these convolutions five to ten times slower on a CPU, and it cannot compile the warp.
    jit = machine.backend == "jax" or (machine.on_gpu and not augmentation.moves)
    loss = keras.losses.CategoricalCrossentropy()
    # The rest of the loss is what `Augmented` adds: the distance to the teachers.
    of_labels = [1 - config.teacher_weight] if asked else None
    counts = [Confusion(len(dataset.labels))]
    model.compile(optimizer=optimizer, loss=loss, loss_weights=of_labels, metrics=counts, jit_compile=jit)
    optimizer.build(model.trainable_variables)
    return model
