"""The optimizer that a `TrainConfig` names, and its learning rate over the steps.

Imports Keras: only imported by training itself.
"""

import keras
from keras import ops

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError

_CYCLE_STARTS_AT = 1 / 25
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


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Warm-up, then constant, falling in steps, or down to 0 along a cosine or a line, as `TrainConfig` says.

    Source of the cosine: arXiv 1608.03983 (without restarts); of the cycle: arXiv 1708.07120 (momentum stays).
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int):
        super().__init__()
        self.config, self.steps_per_epoch = config, steps_per_epoch

    def __call__(self, step):
        """Returns the learning rate of step `step` (from 0), a float32 scalar."""
        step = ops.cast(step, "float32")
        warmup = self.config.warmup_epochs * self.steps_per_epoch
        return self.config.learning_rate * self._risen(step, warmup) * self._after_warmup(step, warmup)

    def _risen(self, step, warmup: float):
        if not warmup:
            return 1.0
        part = ops.minimum(1.0, (step + 1) / warmup)
        return 1 - (1 - _CYCLE_STARTS_AT) * _cosine(part) if self.config.schedule == "one_cycle" else part

    def _after_warmup(self, step, warmup: float):
        if self.config.schedule == "constant":
            return 1.0
        if self.config.schedule == "step":
            return self._steps(step)
        total = self.config.epochs * self.steps_per_epoch
        part = ops.clip((step - warmup) / max(total - warmup, 1), 0.0, 1.0)
        return 1 - part if self.config.schedule == "linear" else _cosine(part)

    def _steps(self, step):
        factor = ops.ones(())
        for epoch, value in zip(self.config.step_epochs, self.config.step_factors, strict=True):
            factor = ops.where(step >= epoch * self.steps_per_epoch, value, factor)
        return factor

    def get_config(self):
        """Returns what Keras wants to know of a schedule; a training is never rebuilt from it."""
        return {"config": self.config.model_dump(), "steps_per_epoch": self.steps_per_epoch}


def _cosine(part):
    """Returns 1 at 0, falling to 0 at 1."""
    return 0.5 * (1 + ops.cos(3.141592653589793 * part))
