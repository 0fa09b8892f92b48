"""The fixed views of a picture."""

import numpy as np
import pytest

from fer_core.data.views import MOST_VIEWS, view, views_in_turn


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 48, 48, 1), dtype=np.uint8)


def test_the_first_view_is_the_picture_and_the_second_its_mirror_image(images):
    np.testing.assert_array_equal(view(images, 0), images)
    np.testing.assert_array_equal(view(images, 1), images[:, :, ::-1])


def test_later_views_are_moved_with_the_edge_repeated(images):
    np.testing.assert_array_equal(view(images, 4)[:, 2:, 2:], images[:, :-2, :-2])
    np.testing.assert_array_equal(view(images, 4)[:, 0, 2:], images[:, 0, :-2])
    np.testing.assert_array_equal(view(images, 5), view(images, 4)[:, :, ::-1])


def test_a_picture_twice_as_large_is_moved_twice_as_far(images):
    large = np.repeat(np.repeat(images, 2, axis=1), 2, axis=2)
    np.testing.assert_array_equal(view(large, 4)[:, ::2, ::2], view(images, 4))


def test_all_views_are_different(images):
    assert len({view(images, number).tobytes() for number in range(MOST_VIEWS)}) == MOST_VIEWS


def test_each_picture_gets_the_view_of_its_number(images):
    numbers = np.array([3, 0, 1, 3, 7])
    turned = views_in_turn(images, numbers)
    for place, number in enumerate(numbers):
        np.testing.assert_array_equal(turned[place], view(images, number)[place])
