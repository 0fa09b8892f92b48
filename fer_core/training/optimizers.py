"""Makes the optimizer that a `TrainConfig` names. Imports Keras: only imported by training itself."""

import keras

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.training.schedules import Schedule

_NOT_DECAYED = ["bias", "gamma", "beta"]


def make_optimizer(config: TrainConfig, steps_per_epoch: int, *, fast: bool) -> keras.optimizers.Optimizer:
    """Returns the optimizer with its schedule; `fast` takes TensorFlow's fused update (same arithmetic)."""
    schedule = Schedule(config, steps_per_epoch)
    if config.optimizer not in ("adam", "adamw", "sgd"):
        raise ConfigError(f"The optimizer {config.optimizer!r} is not made here yet.", hint="Add it to make_optimizer.")
    adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
    if fast:
        from fer_core.training import fast_tensorflow

        adam, sgd = fast_tensorflow.FusedAdam, fast_tensorflow.FusedSGD
    if config.optimizer == "sgd":
        return _with_decay(sgd(schedule, momentum=config.momentum, nesterov=True), config)
    return _with_decay(adam(schedule), config)


def _with_decay(optimizer: keras.optimizers.Optimizer, config: TrainConfig) -> keras.optimizers.Optimizer:
    if config.weight_decay:
        optimizer.weight_decay = config.weight_decay
        optimizer.exclude_from_weight_decay(var_names=_NOT_DECAYED)
    return optimizer
