"""A loss that is no number stops the epoch at the batch where it is met."""

import math

import pytest

from fer_core.errors import NonFiniteLossError
from fer_core.training.callbacks import Watch


class FourBatches:
    batch_size, epoch = 8, 5

    def __init__(self, config):
        self.config = config

    def __len__(self):
        return 4


class Silent:
    has_estimate = True

    def progress(self, **fields):
        pass


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_the_epoch_and_the_batch_are_named(small_config, loss):
    watch = Watch(FourBatches(small_config), Silent())
    watch.on_epoch_begin(4)
    watch.on_train_batch_end(0, {"loss": 1.0, "accuracy": 0.5})
    with pytest.raises(NonFiniteLossError, match=f"the loss is {loss} in epoch 5, batch 2 of 4") as caught:
        watch.on_train_batch_end(1, {"loss": loss, "accuracy": 0.5})
    assert caught.value.exit_code == 3
    assert "smaller --learning-rate" in caught.value.hint
