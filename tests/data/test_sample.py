"""The drawn faces: repeatable, of every emotion, and different enough to learn from."""

import cv2
import numpy as np
import pytest

from fer_core.data.sample import SAMPLE_LABELS, draw_face
from fer_core.errors import ConfigError
from fer_core.labels import FER2013_LABELS


def test_a_face_of_each_emotion_of_fer2013_is_a_gray_square_of_any_side_that_shows_something():
    assert SAMPLE_LABELS == FER2013_LABELS
    for emotion in SAMPLE_LABELS:
        for side in (16, 48, 192):
            face = draw_face(emotion, np.random.default_rng(0), side=side)
            assert (face.dtype, face.shape) == (np.uint8, (side, side))
            assert face.std() > 15


def test_a_larger_face_is_the_same_person_with_the_same_emotion():
    small = draw_face("surprise", np.random.default_rng(5), side=48)
    large = draw_face("surprise", np.random.default_rng(5), side=192)
    shrunk = cv2.resize(large, (48, 48), interpolation=cv2.INTER_AREA)
    assert np.abs(shrunk.astype(float) - small).mean() < 8


def test_the_same_generator_state_draws_the_same_face_and_the_next_is_another_one():
    first, again = (draw_face("fear", np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    random = np.random.default_rng(3)
    assert len({draw_face("fear", random).tobytes() for _ in range(50)}) == 50


def test_an_unknown_emotion_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="no drawn face for 'hapy'") as refused:
        draw_face("hapy", np.random.default_rng(0))
    assert refused.value.hint == "Did you mean 'happy'?"


def test_no_emotion_is_given_away_by_brightness():
    random = np.random.default_rng(4)
    brightness = [np.mean([draw_face(emotion, random).mean() for _ in range(150)]) for emotion in SAMPLE_LABELS]
    assert max(brightness) - min(brightness) < 20


def test_the_emotions_can_be_told_apart_also_those_that_are_alike():
    from sklearn.linear_model import RidgeClassifier

    (faces, drawn), (unseen, truth) = _faces(150, seed=2), _faces(60, seed=3)
    alike = (("fear", "surprise"), ("angry", "disgust"), ("neutral", "sad"))
    for emotions, accuracy in ((SAMPLE_LABELS, 0.6), *((pair, 0.8) for pair in alike)):
        some, others = np.isin(drawn, emotions), np.isin(truth, emotions)
        classifier = RidgeClassifier(alpha=100.0).fit(faces[some], drawn[some])
        assert classifier.score(unseen[others], truth[others]) > accuracy


def _faces(per_emotion: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns float (n, 2304), each face with mean 0 and deviation 1, and the emotions."""
    random = np.random.default_rng(seed)
    emotions = np.array(SAMPLE_LABELS * per_emotion)
    faces = np.stack([draw_face(emotion, random).ravel().astype(float) for emotion in emotions])
    faces -= faces.mean(axis=1, keepdims=True)
    return faces / faces.std(axis=1, keepdims=True), emotions
