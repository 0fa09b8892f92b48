"""Asking a model about many images and about views of them; its answers are kept, and told by the images' contents."""

import threading
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.predict import (
    MOST_VIEWS,
    load_answers,
    over_views,
    predict_side_by_side,
    save_answers,
    view,
    views_in_turn,
)
from tests.evaluation.conftest import LABELS, drawn_answers


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


def test_what_was_answered_is_read_again_for_the_same_images_in_any_order(drawn, tmp_path):
    test, outputs = drawn.test, drawn_answers(drawn.test)
    save_answers(tmp_path / "answers.npz", outputs, test.labels, labels=LABELS, test=test)
    found = load_answers(tmp_path / "answers.npz")
    assert found.labels == LABELS
    assert np.array_equal(found.rows_of(test, LABELS), np.arange(len(test)))
    order = np.random.default_rng(0).permutation(len(test))
    moved = replace(test, labels=test.labels[order], hashes=test.hashes[order])
    rows = found.rows_of(moved, LABELS)
    assert np.array_equal(found.predicted[rows], outputs.argmax(axis=1)[order])
    np.testing.assert_allclose(found.confidences(1.0)[rows], outputs[order], atol=2e-3)


def test_other_images_or_labels_are_not_taken_for_these(drawn, tmp_path):
    test = drawn.test
    save_answers(tmp_path / "answers.npz", drawn_answers(test), test.labels, labels=LABELS, test=test)
    found = load_answers(tmp_path / "answers.npz")
    assert found.rows_of(drawn.train.part(slice(0, len(test))), LABELS) is None
    assert found.rows_of(test.part(slice(0, -1)), LABELS) is None
    assert found.rows_of(test, LABELS[::-1]) is None
    assert found.rows_of(test, (*LABELS[:-1], "bored")) is None


def test_missing_or_damaged_answers_are_said(drawn, tmp_path):
    path = tmp_path / "answers.npz"
    assert load_answers(path) is None
    save_answers(path, drawn_answers(drawn.test), drawn.test.labels, labels=LABELS[:-1], test=drawn.test)
    with pytest.raises(ArtifactError, match="no answers of ours"):
        load_answers(path)
    np.savez(path, labels=np.array(["a"]), probabilities=1.0, truth=0, predicted=0, hashes=0)
    with pytest.raises(ArtifactError, match="no answers of ours"):
        load_answers(path)
    save_answers(path, drawn_answers(drawn.test), drawn.test.labels, labels=LABELS, test=drawn.test)
    whole = path.read_bytes()
    packed = whole.index(b"truth.npy") + 40
    for damaged in (whole[:100], whole[:packed] + bytes(40) + whole[packed + 40 :]):
        path.write_bytes(damaged)
        with pytest.raises(ArtifactError, match="cannot be read") as caught:
            load_answers(path)
        assert "--analyze" in caught.value.hint
