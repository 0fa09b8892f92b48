"""`from fer_core import predict_emotion`: any picture in, readings out, and clear words for what is no picture."""

import shutil
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

import fer_core
from fer_core import EmotionPredictor, Prediction, predict_emotion
from fer_core.data.face_picture import decode_picture, network_input
from fer_core.errors import ConfigError, SourceError
from fer_core.live.prediction import picture_of
from fer_core.store.artifacts import MANIFEST_ATTRIBUTE, save_labels
from fer_core.store.files import file_sha256, write_json
from tests.live.fakes import fer_faces, shipped_classifier
from tests.shipped import TINY

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def happy(test_data) -> Path:
    return test_data / "faces" / "photo_happy.jpg"


@pytest.fixture
def predictor(paths) -> EmotionPredictor:
    return EmotionPredictor.open(detector="haar", paths=paths)


def test_path_bytes_and_arrays_of_each_colour_are_read_alike(happy, predictor):
    frame_bgr = cv2.imread(str(happy))
    expected = predictor.read(happy)
    assert len(expected) == 1
    assert predictor.read(happy.read_bytes()) == expected
    assert predictor.read(bytearray(happy.read_bytes())) == expected
    assert predictor.read(frame_bgr) == expected
    assert predictor.read(frame_bgr[:, :, ::-1], colour="rgb") == expected
    assert predictor.read(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2RGBA), colour="rgb") == expected
    (gray,) = predictor.read(cv2.cvtColor(frame_bgr, cv2.COLOR_BGR2GRAY), colour="gray")
    assert gray.probabilities == pytest.approx(expected[0].probabilities, abs=0.05)


def test_a_given_face_equals_the_model_asked_directly(test_data, paths):
    classifier = shipped_classifier(paths)
    for data in fer_faces(test_data, 3):
        options = {"detector": "yunet", "detector_model": Path("nowhere.onnx")}  # which is not needed here
        (prediction,) = predict_emotion(data, faces="given", paths=paths, **options)
        assert prediction.box == (0, 0, 48, 48) and isinstance(prediction, Prediction)
        direct = classifier.classify(network_input(decode_picture(data), side=48)[np.newaxis])[0]
        assert list(prediction.probabilities.values()) == pytest.approx(direct.tolist(), abs=1e-6)


def test_no_face_is_an_empty_list_and_five_people_are_five_predictions(test_data, paths):
    options = {"detector": "yunet", "detector_model": test_data / "face_detection_yunet_2026may.onnx"}
    assert len(predict_emotion(str(test_data / "faces" / "multi_face.jpg"), paths=paths, **options)) == 5
    assert predict_emotion(test_data / "faces" / "mountain.jpg", paths=paths) == []
    assert predict_emotion(np.zeros((1, 1), np.uint8), colour="gray", paths=paths) == []


@pytest.mark.parametrize("enlarged", [1, 4])
def test_a_face_that_fills_a_large_photograph_is_read_once(enlarged, happy, test_data, paths):
    picture = cv2.resize(cv2.imread(str(happy)), None, fx=enlarged, fy=enlarged, interpolation=cv2.INTER_CUBIC)
    model_file = test_data / "face_detection_yunet_2026may.onnx"
    (prediction,) = EmotionPredictor.open(detector="yunet", detector_model=model_file, paths=paths).read(picture)
    assert prediction.label == "happy"
    assert prediction.box.width > 0.5 * picture.shape[1]


def test_transparent_pictures_are_read_too(happy, predictor):
    picture = cv2.cvtColor(cv2.imread(str(happy)), cv2.COLOR_BGR2BGRA)
    picture[:20, :, 3] = 0
    png = cv2.imencode(".png", picture)[1].tobytes()
    assert predictor.read(png)[0].label == "happy"
    assert predictor.read(png) == predictor.read(picture)


@pytest.mark.parametrize(
    ("array", "colour", "sentence"),
    [
        (np.zeros((5, 5), np.uint8), "bgr", r"shape \(5, 5\), and colour is 'bgr'"),
        (np.zeros((5, 5, 3), np.uint8), "gray", r"shape \(5, 5, 3\), and colour is 'gray'"),
        (np.zeros((2, 5, 5, 3), np.uint8), "bgr", r"shape \(2, 5, 5, 3\)"),
        (np.zeros((0, 5, 3), np.uint8), "bgr", r"shape \(0, 5, 3\)"),
        (np.full((5, 5, 3), 0.5), "bgr", "float64 with values 0.5 to 0.5; it must be uint8"),
        (np.zeros((5, 5, 3), np.uint16), "bgr", "uint16 with values 0 to 0"),
        (np.zeros((5, 5), object), "gray", "object; it must be uint8"),
    ],
)
def test_arrays_that_are_no_picture_are_refused_in_words(array, colour, sentence):
    with pytest.raises(ConfigError, match=sentence) as error:
        picture_of(array, colour)
    assert error.value.hint


@pytest.mark.parametrize(
    ("setting", "sentence", "hint"),
    [
        ({"colour": "rbg"}, "colour cannot be 'rbg'", "Did you mean 'rgb'?"),
        ({"faces": "give"}, "faces cannot be 'give'", "Did you mean 'given'?"),
        ({"detector": "harr"}, "no face detector 'harr'", "Did you mean 'haar'?"),
        ({"threshold": 40}, "The threshold is 40", "between 0 and 1"),
    ],
)
def test_a_misspelt_setting_is_named(setting, sentence, hint, happy, paths):
    with pytest.raises(ConfigError, match=sentence) as error:
        predict_emotion(happy, paths=paths, **setting)
    assert hint in error.value.hint


def test_files_that_are_no_picture_are_named(tmp_path, paths, happy):
    text, cut = tmp_path / "notes.jpg", tmp_path / "cut.jpg"
    text.write_text("no picture")
    cut.write_bytes(happy.read_bytes()[:5000])
    for path, reason in (
        (text, "not a JPEG"),
        (cut, "cut short"),
        (tmp_path / "gone.jpg", "No such file"),
        (tmp_path, ""),
    ):
        with pytest.raises(SourceError, match=f"{path} cannot be read: .*{reason}") as error:
            predict_emotion(path, paths=paths)
        assert error.value.hint
    with pytest.raises(SourceError, match=r"The picture cannot be read: empty file\."):
        predict_emotion(b"", paths=paths)
    with pytest.raises(ConfigError, match=r"of type builtins\.list") as error:
        predict_emotion([[0, 1]], paths=paths)
    assert "np.asarray" in error.value.hint


@pytest.fixture
def foreign(paths, tmp_path) -> Path:
    """The shipped model without what it knows of itself; its LiteRT form is in the cache already."""
    path = Path(shutil.copy(TINY / "model.h5", tmp_path / "other.h5"))
    with h5py.File(path, "r+") as file:
        file.attrs.pop(MANIFEST_ATTRIBUTE, None)
    kept = paths.cache / "litert" / f"{file_sha256(path)}.tflite"
    kept.parent.mkdir(parents=True)
    shutil.copy(TINY / "model.tflite", kept)
    write_json(kept.with_suffix(".json"), {"sha256": file_sha256(kept), "largest_difference": 0.0})
    return path


def test_a_model_from_elsewhere_gets_its_labels_and_grey_values_and_says_so_at_the_callers_line(
    foreign, happy, paths, tmp_path
):
    settings = {"model": str(foreign), "labels_file": tmp_path / "letters.json", "detector": "haar", "paths": paths}
    save_labels(settings["labels_file"], tuple("abcdefg"))
    with pytest.warns(UserWarning, match=r"other\.h5 has no manifest: its labels are from letters\.json\.") as told:
        (prediction,) = predict_emotion(happy, **settings)
        (of_scaled,) = EmotionPredictor.open(pixels="0..1", **settings).read(happy)
    assert (prediction.label, list(prediction.probabilities)) == ("d", list("abcdefg"))
    assert of_scaled.probabilities != prediction.probabilities
    lines = [Path(warning.filename).name for warning in told if "no manifest" in str(warning.message)]
    assert lines == [Path(__file__).name] * 2


def test_the_package_knows_its_public_names_and_no_others():
    assert {"predict_emotion", "EmotionPredictor", "Prediction"} <= set(dir(fer_core))
    with pytest.raises(AttributeError, match="no attribute 'predict_emotions'"):
        fer_core.predict_emotions  # noqa: B018
