"""Which images are mixed."""

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.training.feed import draw_mixture

CONFIG = TrainConfig(mixup=0.3, mixup_probability=0.5)


def drawn(size=256, *, epoch=1, batch=0, strength=1.0, devices=1, config=CONFIG):
    return draw_mixture(config, size, epoch=epoch, batch=batch, strength=strength, devices=devices)


def test_draws_depend_on_seed_epoch_and_batch_alone():
    first = drawn()
    for again, is_same in ((drawn(), True), (drawn(epoch=2), False), (drawn(batch=1), False)):
        assert np.array_equal(first.partner, again.partner) == np.array_equal(first.share, again.share) == is_same
    assert not np.array_equal(first.share, drawn(config=CONFIG.model_copy(update={"seed": 1})).share)


@pytest.mark.parametrize("strength", [1.0, 0.4])
def test_a_part_of_the_images_is_mixed_as_strong_as_augmentation_is(strength):
    share = drawn(20_000, strength=strength).share
    assert (share < 1).mean() == pytest.approx(0.5 * strength, abs=0.02)
    assert share.min() >= 0.5


def test_partners_are_of_the_same_device():
    partner = drawn(64, devices=4).partner
    assert (partner // 16 == np.arange(64) // 16).all()
    assert sorted(partner) == list(range(64))
