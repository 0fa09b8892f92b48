"""Models from elsewhere that take three colours get them, in their order, wherever faces are read; ours get gray."""

import cv2
import numpy as np
import pytest

from fer_core.errors import ArtifactError
from fer_core.faces import Box, Face
from fer_core.live.classifier import face_pictures
from fer_core.live.prediction import EmotionPredictor
from fer_core.live.predictor import LivePredictor
from fer_core.store.artifacts import save_labels
from fer_core.store.model_files import find_model
from tests.live.fakes import ScriptedDetector, frame_of

LABELS = ("red", "green", "blue")
TINTS = {"red": (40, 40, 220), "blue": (220, 40, 40)}


@pytest.fixture(scope="module")
def tells_colours(tmp_path_factory):
    """A model that answers with the channel that is the brightest, for pictures of 32 pixels."""
    import keras

    first = keras.Input((32, 32, 3))
    answer = keras.layers.Dense(3, activation="softmax")
    model = keras.Model(first, answer(keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(1 / 255)(first))))
    answer.set_weights([20 * np.eye(3, dtype="f"), np.zeros(3, "f")])
    path = tmp_path_factory.mktemp("colours") / "rgb.h5"
    model.save(path)
    save_labels(path.with_name("labels.json"), LABELS)
    return path


def opened(path, paths, colours=None) -> EmotionPredictor:
    with pytest.warns(UserWarning, match="It takes three colours"):
        return EmotionPredictor.open(model=str(path), colours=colours, detector=None, runtime="keras", paths=paths)


@pytest.fixture(scope="module")
def predictor(tells_colours, session_paths) -> EmotionPredictor:
    """It, loaded once."""
    return opened(tells_colours, session_paths)


@pytest.mark.parametrize("tint", TINTS)
@pytest.mark.parametrize("alpha", [False, True], ids=["opaque", "transparent"])
def test_a_face_is_read_in_its_colours_found_given_or_in_a_video(predictor, tint, alpha):
    frame_bgr = np.full((100, 120, 3), 128, np.uint8)
    frame_bgr[20:80, 30:90] = TINTS[tint]
    detector = ScriptedDetector(lambda call: [(30, 20, 60)])
    live = LivePredictor(detector, predictor.classifier, smoothing_seconds=0)
    assert [one.label for one in live.read(frame_of(frame_bgr))] == [tint]
    if alpha:
        frame_bgr = np.dstack([frame_bgr, np.full((100, 120), 200, np.uint8)])
    (given,) = predictor.read_picture(frame_bgr[20:80, 30:90], faces="given")
    (found,) = EmotionPredictor(detector, predictor.classifier).read_picture(frame_bgr)
    assert (given.label, found.label) == (tint, tint)
    assert given.confidence > 0.9


def test_what_the_three_channels_are_can_be_said(tells_colours, predictor, paths):
    red = np.full((40, 40, 3), TINTS["red"], np.uint8)
    answers = {
        colours: opened(tells_colours, paths, colours).read_picture(red, faces="given")[0]
        for colours in ("bgr", "gray")
    }
    assert answers["bgr"].label == "blue"
    assert answers["gray"].confidence == pytest.approx(1 / 3)
    gray = cv2.cvtColor(red, cv2.COLOR_BGR2GRAY)
    (of_gray,) = predictor.read_picture(gray, faces="given")
    assert of_gray.confidence == pytest.approx(1 / 3)
    with pytest.raises(ArtifactError, match="was trained on gray: --colours rgb is for models from elsewhere"):
        find_model(None, paths, colours="rgb")


@pytest.mark.parametrize("roll", [None, 20.0])
def test_a_crop_in_colour_is_the_crop_in_gray_of_each_channel(tells_colours, paths, test_data, roll):
    frame_bgr = cv2.imread(str(test_data / "faces" / "photo_happy.jpg"))
    model = find_model(str(tells_colours), paths)
    found, detector = Face(Box(-20.5, 10, 200, 230), 0.9, roll=roll), ScriptedDetector(lambda call: [])
    (face,) = face_pictures(frame_bgr, [found], detector, model)
    for place, channel in enumerate(cv2.split(frame_bgr)[::-1]):
        (alone,) = face_pictures(channel, [found], detector, model)
        np.testing.assert_array_equal(face[:, :, place], alone[:, :, 0])
