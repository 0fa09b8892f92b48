"""The answer to each test image is kept, and told by the images' contents."""

from dataclasses import replace

import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.evaluation.predict import load_answers, save_answers
from tests.evaluation.conftest import LABELS, drawn_answers


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
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ArtifactError, match="cannot be read") as caught:
        load_answers(path)
    assert "--analyze" in caught.value.hint
