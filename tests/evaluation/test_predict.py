import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core.evaluation.predict import MOST_VIEWS, over_views, predict_side_by_side, view, views_in_turn


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).uniform(0, 255, (64, 48, 48, 1)).astype(np.float32)


class Split(SimpleNamespace):
    """So many images of one pixel, each with its position as its grey value."""

    def __len__(self):
        return self.count

    def images(self, positions):
        return np.arange(self.count, dtype=np.uint8).reshape(-1, 1, 1, 1)[positions]


@pytest.mark.parametrize(("images", "classifiers"), [(1, 1), (1, 3), (7, 2), (255, 2)])
def test_the_answers_stand_in_the_order_of_the_images_and_each_classifier_has_one_thread(images, classifiers):
    threads = [set() for _ in range(classifiers)]

    def classify(of_one, pictures):
        of_one.add(threading.get_ident())
        return np.concatenate([pictures[:, 0, 0], 255 - pictures[:, 0, 0]], axis=1).astype(np.float32)

    found = predict_side_by_side([partial(classify, of_one) for of_one in threads], Split(count=images))
    assert found[:, 0].tolist() == list(range(images))
    assert all(len(of_one) == 1 for of_one in threads[:images])


def test_answers_over_views_are_the_mean_over_the_picture_its_mirror_image_and_moved_ones():
    images = np.random.default_rng(0).integers(0, 256, (3, 48, 48, 1), dtype=np.uint8)
    seen = []

    def classify(pictures):
        seen.append(pictures)
        return pictures[:, :2, 0, 0].astype(np.float32)

    answers = over_views(classify, 4)(images)
    np.testing.assert_array_equal(seen, [view(images, number) for number in range(4)])
    np.testing.assert_allclose(answers, np.mean([pictures[:, :2, 0, 0] for pictures in seen], axis=0))
    assert over_views(classify, 1) is classify


def test_views_are_the_picture_its_mirror_image_and_both_moved_with_the_edge_repeated(pictures):
    np.testing.assert_array_equal(view(pictures, 0), pictures)
    np.testing.assert_array_equal(view(pictures, 1), pictures[:, :, ::-1])
    np.testing.assert_array_equal(view(pictures, 4)[:, 2:, 2:], pictures[:, :-2, :-2])
    np.testing.assert_array_equal(view(pictures, 4)[:, 0, 2:], pictures[:, 0, :-2])
    np.testing.assert_array_equal(view(pictures, 5), view(pictures, 4)[:, :, ::-1])
    assert len({view(pictures, number).tobytes() for number in range(MOST_VIEWS)}) == MOST_VIEWS


def test_a_picture_twice_as_large_is_moved_twice_as_far(pictures):
    large = np.repeat(np.repeat(pictures, 2, axis=1), 2, axis=2)
    np.testing.assert_array_equal(view(large, 4)[:, ::2, ::2], view(pictures, 4))


def test_each_picture_gets_the_view_of_its_number(pictures):
    numbers = np.arange(len(pictures)) % 8
    turned = views_in_turn(pictures, numbers)
    for place, number in enumerate(numbers):
        np.testing.assert_array_equal(turned[place], view(pictures, number)[place])
