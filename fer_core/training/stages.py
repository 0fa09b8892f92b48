"""The stages of a training: one, or with `fine_tune` two, which train other layers at other rates.

A stage has an optimizer of its own. What else changes from epoch to epoch goes on through all of them. Imports Keras.
"""

from typing import NamedTuple

import keras

from fer_core.config import TrainConfig


class Stage(NamedTuple):
    """Consecutive epochs with one optimizer."""

    last_epoch: int
    config: TrainConfig
    """What the optimizer and its schedule see: epochs and learning rate are those of the stage."""
    part: float = 1.0
    """Of the layers, counted from the last; 0: the last one alone."""

    def sentence(self, config: TrainConfig) -> str:
        """Returns what begins, for people; '' where there are no stages."""
        if not config.fine_tune:
            return ""
        if not self.part:
            return f"Until epoch {self.last_epoch}, the last layer alone is trained."
        part = "all layers are" if self.part == 1 else f"the last {self.part:.0%} of the layers are"
        return f"From now on {part} trained, at a learning rate of {self.config.learning_rate:g}."


def stages(config: TrainConfig) -> tuple[Stage, ...]:
    """Returns the stages, in their order."""
    if not config.fine_tune:
        return (Stage(config.epochs, config),)
    epochs, rate = max(config.epochs - config.head_epochs, 1), config.learning_rate * config.unfreeze_rate
    first = {"epochs": config.head_epochs, "schedule": "constant", "warmup_epochs": 0.0}
    second = {"epochs": epochs, "learning_rate": rate, "warmup_epochs": min(config.warmup_epochs, epochs / 2)}
    return (
        Stage(config.head_epochs, config.model_copy(update=first), 0.0),
        Stage(config.epochs, config.model_copy(update=second), config.unfreeze),
    )


def choose_layers(network: keras.Model, config: TrainConfig, stage: Stage) -> None:
    """Makes the stage's layers of the training model trainable, and no others.

    The statistics of BatchNorm come from far more pictures than are fine-tuned on: they stay, and it is not trained.
    """
    if not config.fine_tune:
        return
    *body, head = network.layers
    body = [layer for layer in body if layer.weights]
    frozen = len(body) - round(stage.part * len(body))
    for place, layer in enumerate(body):
        layer.trainable = place >= frozen and not isinstance(layer, keras.layers.BatchNormalization)
    head.trainable = True
