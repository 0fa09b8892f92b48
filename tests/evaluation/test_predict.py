import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core.evaluation.predict import over_views, predict_side_by_side, view


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
