"""The batches of an epoch."""

import numpy as np
import pytest

from fer_core.training.feed import Epoch, one_hot, steps_per_epoch

WEIGHTS = np.linspace(0.5, 2, 7, dtype=np.float32)


@pytest.fixture
def epoch(small_dataset, small_config):
    def make(number=1, **settings):
        config = small_config.model_copy(update=settings)
        return Epoch(small_dataset.train, config, epoch=number, class_weights=WEIGHTS)

    return make


def test_batches_are_whole_and_as_many_as_fit(epoch, small_dataset, small_config):
    batches = epoch(batch_size=32)
    assert len(batches) == len(small_dataset.train) // 32 == steps_per_epoch(small_dataset.train, small_config)
    for pixels, labels, weights in (batches[0], batches[len(batches) - 1]):
        assert (pixels.shape, pixels.dtype) == ((32, 48, 48, 1), np.uint8)
        assert (labels.shape, labels.dtype) == ((32, 7), np.float32)
        assert (weights.shape, weights.dtype) == ((32,), np.float32)


def test_labels_and_weights_belong_to_the_pixels(epoch, small_dataset):
    batches = epoch()
    places = np.sort(batches.order[: batches.batch_size])
    pixels, labels, weights = batches[0]
    np.testing.assert_array_equal(pixels, small_dataset.train.images(places))
    np.testing.assert_array_equal(labels.argmax(axis=1), small_dataset.train.labels[places])
    np.testing.assert_array_equal(weights, WEIGHTS[labels.argmax(axis=1)])


def test_every_epoch_has_every_image_once_in_another_order(epoch, small_dataset):
    first, second = epoch(1).order, epoch(2).order
    assert sorted(first) == sorted(second) == list(range(len(small_dataset.train)))
    assert first.tolist() != second.tolist()


def test_the_order_depends_on_seed_and_epoch_alone(epoch):
    assert epoch(3).order.tolist() == epoch(3, batch_size=16).order.tolist()
    assert epoch(3).order.tolist() != epoch(3, seed=1).order.tolist()


def test_fewer_images_than_a_batch_are_one_batch(epoch, small_dataset):
    batches = epoch(batch_size=65_536)
    assert (len(batches), batches.batch_size) == (1, len(small_dataset.train))


def test_one_hot_labels():
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
