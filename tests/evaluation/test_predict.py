import threading
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core.data.views import view
from fer_core.evaluation.predict import over_views, predict_side_by_side


def split_of(images: int):
    pixels = np.arange(images, dtype=np.uint8).reshape(-1, 1, 1, 1)

    class Split(SimpleNamespace):
        def __len__(self):
            return images

    return Split(images=lambda positions: pixels[positions])


def classifier(threads: set[int], most: list[int]):
    def classify(images: np.ndarray) -> np.ndarray:
        threads.add(threading.get_ident())
        most.append(len(images))
        return np.concatenate([images[:, 0, 0], 255 - images[:, 0, 0]], axis=1).astype(np.float32)

    return classify


@pytest.mark.parametrize(("images", "classifiers"), [(1, 1), (1, 3), (7, 2), (255, 2)])
def test_the_answers_stand_in_the_order_of_the_images(images, classifiers):
    found = predict_side_by_side([classifier(set(), []) for _ in range(classifiers)], split_of(images))
    assert found[:, 0].tolist() == list(range(images))


def test_each_classifier_is_asked_by_one_thread_alone():
    threads, most = [set(), set()], []
    predict_side_by_side([classifier(of_one, most) for of_one in threads], split_of(200))
    assert [len(of_one) for of_one in threads] == [1, 1]
    assert sum(most) == 200


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
