"""The learning rate over the steps of a training. Imports Keras: only imported by training itself."""

import keras
from keras import ops

from fer_core.config import TrainConfig


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Warm-up, then constant, falling in steps, or a cosine down to 0, as `TrainConfig` says.

    Source of the cosine: arXiv 1608.03983 (without restarts).
    """

    def __init__(self, config: TrainConfig, steps_per_epoch: int):
        super().__init__()
        self.config, self.steps_per_epoch = config, steps_per_epoch

    def __call__(self, step):
        """Returns the learning rate of step `step` (from 0), a float32 scalar."""
        step = ops.cast(step, "float32")
        warmup = self.config.warmup_epochs * self.steps_per_epoch
        risen = ops.minimum(1.0, (step + 1) / warmup) if warmup else 1.0
        return self.config.learning_rate * risen * self._after_warmup(step, warmup)

    def _after_warmup(self, step, warmup: float):
        if self.config.schedule == "step":
            return self._steps(step)
        if self.config.schedule == "cosine":
            total = self.config.epochs * self.steps_per_epoch
            part = ops.clip((step - warmup) / max(total - warmup, 1), 0.0, 1.0)
            return 0.5 * (1 + ops.cos(3.141592653589793 * part))
        return 1.0

    def _steps(self, step):
        factor = ops.ones(())
        for epoch, value in zip(self.config.step_epochs, self.config.step_factors, strict=True):
            factor = ops.where(step >= epoch * self.steps_per_epoch, value, factor)
        return factor

    def get_config(self):
        """Returns what Keras wants to know of a schedule; a training is never rebuilt from it."""
        return {"config": self.config.model_dump(), "steps_per_epoch": self.steps_per_epoch}
