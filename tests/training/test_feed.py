"""The batches of an epoch."""

import numpy as np
import pytest

from fer_core.config import TrainConfig
from fer_core.evaluation.predict import view
from fer_core.training.feed import TrainingBatches, draw_mixture, one_hot, steps_per_epoch

WEIGHTS = np.linspace(0.5, 2, 7, dtype=np.float32)


@pytest.fixture
def epoch(small_dataset, small_config):
    def make(number=1, split=small_dataset.train, **settings):
        given = {
            name: settings.pop(name, default) for name, default in (("class_weights", WEIGHTS), ("soft_labels", None))
        }
        config = small_config.model_copy(update=settings)
        return TrainingBatches(split, config, epoch=number, **given)

    return make


def test_batches_are_whole_and_as_many_as_fit(epoch, small_dataset, small_config):
    batches = epoch(batch_size=32)
    assert len(batches) == len(small_dataset.train) // 32 == steps_per_epoch(small_dataset.train, small_config)
    for pixels, labels, weights in (batches[0], batches[len(batches) - 1]):
        assert (pixels.shape, pixels.dtype) == ((32, 48, 48, 1), np.uint8)
        assert (labels.shape, labels.dtype) == ((32, 7), np.float32)
        assert (weights.shape, weights.dtype) == ((32,), np.float32)

    whole = epoch(batch_size=65_536)
    assert (len(whole), whole.batch_size) == (1, len(small_dataset.train))


def test_labels_and_weights_belong_to_the_pixels(epoch, small_dataset):
    batches = epoch()
    positions = np.sort(batches.order[: batches.batch_size])
    pixels, labels, weights = batches[0]
    np.testing.assert_array_equal(pixels, small_dataset.train.images(positions))
    np.testing.assert_array_equal(labels.argmax(axis=1), small_dataset.train.labels[positions])
    np.testing.assert_array_equal(weights, WEIGHTS[labels.argmax(axis=1)])


def test_every_epoch_has_every_image_once_in_an_order_of_seed_and_epoch_alone(epoch, small_dataset):
    first, second = epoch(1).order, epoch(2).order
    assert sorted(first) == sorted(second) == list(range(len(small_dataset.train)))
    assert first.tolist() == epoch(1, batch_size=16).order.tolist() != second.tolist()
    assert first.tolist() != epoch(1, seed=1).order.tolist()


def test_with_alternating_flip_each_image_is_mirrored_in_every_second_epoch(epoch, small_dataset):
    seen = {number: pixels_by_place(epoch(number, alternating_flip=True), small_dataset) for number in (1, 2, 3)}
    plain = small_dataset.train.images(slice(None))
    mirrored = np.array([np.array_equal(seen[1][place], plain[place, :, ::-1]) for place in seen[1]])
    assert 0.3 < mirrored.mean() < 0.7
    both = seen[1].keys() & seen[2].keys() & seen[3].keys()
    assert len(both) > 200
    assert all(np.array_equal(seen[2][place], seen[1][place][:, ::-1]) for place in both)
    assert all(np.array_equal(seen[3][place], seen[1][place]) for place in both)


def pixels_by_place(batches, small_dataset):
    """Returns the pixels of an epoch by the place of their image in the split."""
    size, seen = batches.batch_size, {}
    for index in range(len(batches)):
        paths = np.sort(batches.order[index * size : (index + 1) * size])
        seen |= dict(zip(paths, batches[index][0], strict=True))
    return seen


def test_mixup_mixes_labels_and_weights_as_it_tells_the_model_to_mix_pixels(epoch):
    heavy = np.float32([1, 2, 3, 4, 0, 6, 7])
    plain_pixels, plain_labels, plain_weights = epoch(class_weights=heavy)[0]
    given, labels, weights = epoch(class_weights=heavy, mixup=0.4, mixup_probability=0.9)[0]
    share, partner = given["share"], given["partner"]
    np.testing.assert_array_equal(given["pixels"], plain_pixels)
    assert 0.5 <= share.min() < 0.95 and share.max() == 1
    own, others = plain_weights[:, None] * plain_labels, (plain_weights[:, None] * plain_labels)[partner]
    np.testing.assert_allclose(
        weights[:, None] * labels, share[:, None] * own + (1 - share[:, None]) * others, rtol=1e-6, atol=1e-7
    )
    np.testing.assert_allclose(labels.sum(axis=1)[weights > 1e-6], 1, rtol=1e-6)
    annealed, labels, _ = epoch(4, mixup=0.4, epochs=4, annealing=0.5)[0]
    assert (annealed["share"] == 1).all() and set(np.unique(labels)) == {0, 1}


def test_labels_are_smoothed_and_what_teachers_say_is_not(epoch, small_dataset):
    paths = np.sort(epoch().order[:32])
    labels = one_hot(small_dataset.train.labels[paths], 7)
    np.testing.assert_allclose(epoch(label_smoothing=0.1)[0][1], 0.9 * labels + 0.1 / 7, atol=1e-6)
    soft_labels = np.zeros((len(small_dataset.train), 2, 7), np.float16)
    distilled = epoch(label_smoothing=0.1, soft_labels=soft_labels, teacher_weight=0.5)[0][1]
    np.testing.assert_allclose(distilled, 0.5 * (0.9 * labels + 0.1 / 7), atol=1e-6)


MIXUP = TrainConfig(mixup=0.3, mixup_probability=0.5)


def drawn(size=256, *, epoch=1, batch=0, strength=1.0, devices=1, config=MIXUP):
    return draw_mixture(config, size, epoch=epoch, batch=batch, strength=strength, devices=devices)


def test_mixtures_depend_on_seed_epoch_and_batch_alone_and_partners_are_of_the_same_device():
    first = drawn()
    for again, is_same in ((drawn(), True), (drawn(epoch=2), False), (drawn(batch=1), False)):
        assert np.array_equal(first.partner, again.partner) == np.array_equal(first.share, again.share) == is_same
    assert not np.array_equal(first.share, drawn(config=MIXUP.model_copy(update={"seed": 1})).share)
    partner = drawn(64, devices=4).partner
    assert (partner // 16 == np.arange(64) // 16).all()
    assert sorted(partner) == list(range(64))


@pytest.mark.parametrize("strength", [1.0, 0.4, 0.0])
def test_a_fraction_of_the_images_is_mixed_as_strong_as_augmentation_is(strength):
    share = drawn(20_000, strength=strength).share
    assert (share < 1).mean() == pytest.approx(0.5 * strength, abs=0.02)
    assert share.min() >= 0.5


def test_distilled_images_are_shown_in_fixed_views_with_the_teachers_prediction_of_each(epoch, small_dataset):
    count, views = len(small_dataset.train), 4
    soft_labels = np.random.default_rng(0).dirichlet(np.ones(7), (count, views)).astype(np.float16)
    batches = epoch(soft_labels=soft_labels, teacher_weight=0.75)
    paths = np.sort(batches.order[: batches.batch_size])
    pixels, targets, _ = batches[0]
    plain, labels = small_dataset.train.images(paths), one_hot(small_dataset.train.labels[paths], 7)
    shown = np.array(
        [[np.array_equal(pixels[i], view(plain[i : i + 1], n)[0]) for n in range(views)] for i in range(32)]
    )
    assert shown.any(axis=1).all()
    said = soft_labels[paths, shown.argmax(axis=1)].astype(np.float32)
    np.testing.assert_allclose(targets, 0.25 * labels + 0.75 * said, atol=1e-6)


def test_votes_are_targets_as_the_setting_says(epoch, small_dataset):
    from dataclasses import replace

    split = small_dataset.train
    shares = np.full((len(split), 7), 0.4 / 6, np.float32)
    shares[np.arange(len(split)), split.labels] = 0.6

    def targets(number=1, **settings):
        batches = epoch(number, replace(split, shares=shares), **settings)
        return np.sort(batches.order[: batches.batch_size]), batches[0][1]

    positions, found = targets(vote_target="cross-entropy")
    np.testing.assert_array_equal(found, shares[positions])
    positions, found = targets(vote_target="majority")
    np.testing.assert_array_equal(found, one_hot(split.labels[positions], 7))
    positions, found = targets(vote_target="probability", batch_size=len(split))
    assert (found.sum(axis=1) == 1).all()
    assert 0.5 < (found.argmax(axis=1) == split.labels[positions]).mean() < 0.7
    np.testing.assert_array_equal(found, targets(vote_target="probability", batch_size=len(split))[1])
    assert not np.array_equal(found, targets(2, vote_target="probability", batch_size=len(split))[1])
    positions, found = targets(vote_target="softened")
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    own = found[np.arange(len(found)), split.labels[positions]]
    assert (own > 0.9).all(), "here votes always speak for the label"
    shares[:] = 1 / 7
    _, found = targets(vote_target="softened")
    prior = np.bincount(split.labels, minlength=7) / len(split)
    np.testing.assert_allclose(
        2 * found - one_hot(split.labels[positions], 7), np.tile(prior, (len(found), 1)), atol=0.01
    )
