"""Pictures and videos to readings, with real faces, detectors and the shipped model, and with scripted ones."""

import gc
import itertools
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from fer_core.data.face_picture import network_input
from fer_core.errors import ConfigError
from fer_core.faces.framing import aligned, crop_face
from fer_core.live.classifier import make_classifier
from fer_core.live.frame import Frame
from fer_core.live.prediction import EmotionPredictor
from fer_core.live.predictor import LivePredictor
from fer_core.store.model_files import find_model
from tests.live.fakes import (
    BrightnessClassifier,
    ScriptedDetector,
    clip_frames,
    frame_of,
    real_detector,
    shipped_classifier,
)


def picture(test_data: Path, name: str) -> np.ndarray:
    return cv2.imread(str(test_data / "faces" / name))


def test_without_a_detector_faces_cannot_be_found(paths):
    with pytest.raises(ConfigError, match="no detector"):
        EmotionPredictor(None, shipped_classifier(paths)).read_picture(np.zeros((50, 50), np.uint8))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"smoothing_seconds": -1}, "smoothing_seconds is -1"),
        ({"detect_every": 0}, "detect_every is 0"),
        ({"threshold": float("nan")}, "The threshold is nan"),
    ],
)
def test_settings_out_of_range_are_refused(setting, sentence):
    with pytest.raises(ConfigError, match=sentence):
        LivePredictor(ScriptedDetector(lambda call: []), BrightnessClassifier(), **setting)


def labels_read(frames: Sequence[Frame], predictor: LivePredictor) -> list[str]:
    """Returns the labels of the one person who is in all frames."""
    predictions = [predictor.read(frame) for frame in frames]
    assert {tuple(prediction.person for prediction in one) for one in predictions} == {(1,)}
    return [one[0].label for one in predictions]


def changes(labels: list[str]) -> int:
    return sum(before != after for before, after in itertools.pairwise(labels))


def test_in_a_clip_labels_change_a_third_as_often(test_data, paths):
    frames = list(clip_frames(test_data / "faces" / "single_face_2.mp4"))
    parts = real_detector("yunet", test_data, paths), make_classifier(find_model("tiny", paths), paths)
    raw = labels_read(frames, LivePredictor(*parts, smoothing_seconds=0))
    shown = labels_read(frames, LivePredictor(*parts))
    assert len(shown) == 472
    assert 3 * changes(shown) <= changes(raw)


@pytest.mark.parametrize(("detector", "every"), [("haar", 1), ("yunet", 4)])
def test_the_other_clip_has_one_person_throughout_also_where_frames_are_dropped(detector, every, test_data, paths):
    predictor = LivePredictor(real_detector(detector, test_data, paths), shipped_classifier(paths))
    frames = list(clip_frames(test_data / "faces" / "single_face.mp4", every=every))
    assert len(labels_read(frames, predictor)) == 72 // every


def test_between_detections_a_face_is_followed_to_where_it_went(test_data, paths):
    frame_bgr = picture(test_data, "photo_happy.jpg")
    predictor = LivePredictor(real_detector("yunet", test_data, paths), shipped_classifier(paths), detect_every=8)
    (first,) = predictor.read(frame_of(frame_bgr))
    for number in range(1, 8):
        moved = np.roll(frame_bgr, 6 * number, axis=1)
        predictor.read(frame_of(moved, number))
    seen = predictor.faces[1]
    (expected,) = EmotionPredictor(predictor.detector, predictor.classifier).read_picture(moved)
    assert seen.square.x + seen.square.width / 2 == pytest.approx(expected.box.x + expected.box.width / 2, abs=5)
    assert first.box.x + 42 == pytest.approx(expected.box.x, abs=8)


def bright(level: int = 200, width: int = 300) -> np.ndarray:
    return np.full((120, width, 3), level, np.uint8)


def scripted(script, **settings) -> LivePredictor:
    return LivePredictor(ScriptedDetector(script), BrightnessClassifier(), **({"detect_every": 1} | settings))


def test_faces_are_looked_for_in_every_nth_frame():
    predictor = scripted(lambda call: [(10, 10, 60)], detect_every=4)
    for number in range(40):
        assert len(predictor.read(frame_of(bright(), number))) == 1
    assert predictor.detector.calls == 10
    assert predictor.classifier.faces == 40


def test_a_face_that_is_new_or_missed_is_looked_for_again_in_the_next_frame():
    predictor = scripted(lambda call: [(10, 10, 60)] if call in (0, 2) else [], detect_every=10)
    for number in range(13):
        predictor.read(frame_of(bright(), number))
    assert predictor.detector.calls == 3  # frames 0, 10 (missed) and 11


def test_who_is_hidden_keeps_the_reading_for_a_moment_and_is_not_classified_from_what_is_there_instead():
    predictor = scripted(lambda call: [(10, 10, 60)] if call < 5 else [])
    last = [predictor.read(frame_of(bright(220), number)) for number in range(5)][-1]
    seen = predictor.classifier.faces
    hidden = [predictor.read(frame_of(bright(20), number)) for number in range(5, 60)]
    assert predictor.classifier.faces == seen
    assert predictor.faces == {}
    bridged = [one for one in hidden if one]
    assert len(bridged) / 30 == pytest.approx(0.7, abs=0.05)
    assert all(one[0].probabilities == last[0].probabilities and one[0].person == 1 for one in bridged)
    assert hidden[-1] == []


def test_people_do_not_share_their_smoothing():
    predictor = scripted(lambda call: [(10, 10, 80), (200, 10, 80)])
    frame_bgr = bright(240)
    frame_bgr[:, 150:] = 15
    for number in range(30):
        first, second = predictor.read(frame_of(frame_bgr, number))
    assert (first.label, second.label) == ("happy", "sad")
    assert first.confidence == second.confidence == pytest.approx(240 / 255, abs=1e-5)


def test_without_smoothing_every_frame_says_what_it_shows():
    predictor = scripted(lambda call: [(10, 10, 60)], smoothing_seconds=0)
    levels = [predictor.read(frame_of(bright(level), number))[0].label for number, level in enumerate((0, 255, 0))]
    assert levels == ["sad", "happy", "sad"]


def test_another_detector_or_model_takes_over_without_losing_people(test_data, paths):
    frames = list(clip_frames(test_data / "faces" / "single_face.mp4"))
    predictor = LivePredictor(real_detector("haar", test_data, paths), shipped_classifier(paths))
    seen = [predictor.read(frame) for frame in frames[:20]]
    predictor.use(detector=real_detector("yunet", test_data, paths))
    seen += [predictor.read(frame) for frame in frames[20:40]]
    before = seen[-1][0]
    predictor.use(classifier=shipped_classifier(paths))
    seen += [predictor.read(frame) for frame in frames[40:]]
    after = seen[40][0]
    assert {tuple(prediction.person for prediction in one) for one in seen} == {(1,)}
    assert predictor.detector.name == "yunet"
    assert max(abs(before.probabilities[label] - after.probabilities[label]) for label in before.probabilities) < 0.2


def test_a_model_with_other_labels_starts_with_its_own_readings():
    predictor = scripted(lambda call: [(10, 10, 60)])
    for number in range(10):
        predictor.read(frame_of(bright(250), number))
    other = BrightnessClassifier()
    other.labels = ("calm", "tense")
    predictor.use(classifier=other)
    (prediction,) = predictor.read(frame_of(bright(0), 10))
    assert (prediction.person, prediction.label, prediction.confidence) == (1, "tense", 1.0)


def test_a_stream_that_comes_back_with_another_size_goes_on():
    predictor = scripted(lambda call: [(10, 10, 60)], detect_every=2)
    assert all(predictor.read(frame_of(bright(width=300 if at < 5 else 500), at)) for at in range(12))


def coming_and_going(call: int) -> list[tuple[float, float, float]]:
    """Somebody else every second, beside a person who stays."""
    place = 100 + 97 * (call // 30) % 180
    return [(10, 10, 60)] + ([(place, 10, 60)] if call % 30 < 6 else [])


def test_nothing_grows_however_many_people_come_and_go():
    predictor, frame_bgr = scripted(coming_and_going), bright()
    people: set[int] = set()

    def read(first: int, last: int) -> int:
        for number in range(first, last):
            people.update(prediction.person for prediction in predictor.read(frame_of(frame_bgr, number)))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    read(0, 300)
    tracemalloc.start()
    try:
        before = read(300, 600)
        after = read(600, 1500)
    finally:
        tracemalloc.stop()
    assert len(people) > 45
    assert after - before < 20_000


@pytest.mark.parametrize("is_aligned", [True, False])
def test_a_turned_face_is_read_upright_by_a_model_that_was_trained_so_and_as_it_is_by_others(
    test_data, paths, is_aligned
):
    upright = picture(test_data, "photo_happy.jpg")
    height, width = upright.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -25, 1)
    turned = cv2.warpAffine(upright, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    turned_gray, classifier = cv2.cvtColor(turned, cv2.COLOR_BGR2GRAY), BrightnessClassifier()
    classifier.is_aligned = is_aligned
    detector = real_detector("yunet", test_data, paths)
    live, still = LivePredictor(detector, classifier), EmotionPredictor(detector, classifier)
    live.read(frame_of(turned))
    (found,) = detector.find(turned)
    roll = aligned(found, turned_gray, detector).roll if is_aligned else 0.0
    expected = network_input(crop_face(turned_gray, found.box, framing=detector.framing, roll=roll), side=8)
    assert np.array_equal(live.faces[1].picture, expected)
    (prediction,) = still.read_picture(turned)
    assert prediction.roll == (roll if is_aligned else None)
    (followed,) = live.read(frame_of(turned, 1))
    assert np.array_equal(live.faces[followed.person].picture, expected)
