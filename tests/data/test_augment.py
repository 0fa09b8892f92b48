"""What cameras and hands do to a picture. The warp and the light are tested with the training."""

import numpy as np
import pytest

from fer_core.data.augment import as_seen_by_a_camera, erased

NEVER, ALWAYS = 1.0, -1.0
"""Draws that are above and below every probability."""


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(0, 255, (64, 48, 48, 1)).astype(np.float32)


def camera(pictures, blur=(NEVER, 0), gamma=(NEVER, 0), coarse=NEVER, often=0.5):
    draws = np.tile(np.float32([*blur, *gamma, coarse, 0]), (len(pictures), 1))
    return np.asarray(as_seen_by_a_camera(pictures, draws, often=often))


def test_a_picture_that_is_not_drawn_stays_as_it_is(pictures):
    np.testing.assert_array_equal(camera(pictures), pictures)
    np.testing.assert_array_equal(camera(pictures, (-0.9, 1), (-0.9, 1), -0.9, often=0.0), pictures)


def test_a_blur_takes_contrast_between_neighbours_and_keeps_the_mean(pictures):
    blurred = camera(pictures, blur=(ALWAYS, 1))
    assert np.abs(np.diff(blurred, axis=2)).mean() < 0.3 * np.abs(np.diff(pictures, axis=2)).mean()
    assert blurred.mean() == pytest.approx(pictures.mean(), rel=0.02)


def test_a_gamma_lightens_or_darkens_and_keeps_black_and_white(pictures):
    assert camera(pictures, gamma=(ALWAYS, 1)).mean() < pictures.mean() < camera(pictures, gamma=(ALWAYS, -1)).mean()
    ends = np.broadcast_to(np.float32([0, 255] * 24)[:, None, None], (1, 48, 48, 1))
    np.testing.assert_allclose(camera(ends, gamma=(ALWAYS, 1)), ends, atol=0.1)


def test_half_the_resolution_leaves_the_means_of_four_pixels(pictures):
    coarse = camera(np.repeat(np.repeat(pictures[:, ::4, ::4], 4, axis=1), 4, axis=2), coarse=ALWAYS)
    assert coarse.shape == pictures.shape
    assert np.abs(np.diff(camera(pictures, coarse=ALWAYS), axis=2)).mean() < 40
    np.testing.assert_allclose(coarse[:, 1:3, 1:3].mean(axis=(1, 2)), pictures[:, 0, 0], atol=60)


def test_erasing_paints_one_rectangle_of_2_to_20_percent_in_one_gray(pictures):
    draws = np.random.default_rng(1).uniform(-1, 1, (64, 6)).astype(np.float32)
    draws[:, 3:5] = 0  # in the middle, so that the whole rectangle is in the picture
    changed = np.asarray(erased(pictures, draws, often=0.5)) != pictures
    hit = changed.any(axis=(1, 2, 3))
    np.testing.assert_array_equal(hit, (draws[:, 0] + 1) / 2 < 0.5)
    for mask in changed[hit][..., 0]:
        rows, columns = mask.any(axis=1), mask.any(axis=0)
        assert mask[np.ix_(rows, columns)].all()
        assert 0.01 < mask.mean() < 0.25
