"""The learning rate over the steps of a training. Imports Keras: only imported by training itself."""

import keras
from keras import ops

from fer_core.config import TrainConfig

_CYCLE_STARTS_AT = 1 / 25


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
