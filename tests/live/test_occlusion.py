"""Heat maps: covering what matters costs probability, and making them never holds up the loop."""

import threading

import cv2
import numpy as np

from fer_core.errors import ArtifactError
from fer_core.faces.framing import square_of
from fer_core.live.occlusion import HeatMaps, occlusion_map
from fer_core.live.predictor import LivePredictor
from tests.jobs.conftest import wait_until
from tests.live.fakes import (
    FAKE_FRAMING,
    BrightnessClassifier,
    ScriptedDetector,
    frame_of,
    real_detector,
    shipped_classifier,
)

SECONDS = 10


class CornerClassifier(BrightnessClassifier):
    """Happy as far as the upper left quarter is bright."""

    side = 48

    def classify(self, faces: np.ndarray) -> np.ndarray:
        return super().classify(faces[:, :24, :24])


def test_the_map_is_hot_where_the_classifier_looks_and_cold_elsewhere():
    heat = occlusion_map(CornerClassifier(), np.full((48, 48, 1), 250, np.uint8), 0)
    assert heat.shape == (48, 48)
    assert heat.dtype == np.float32
    assert heat[8:16, 8:16].min() > 0.8
    assert heat[34:].max() < 0.05
    assert heat[:, 34:].max() < 0.05


def test_in_a_real_smile_the_mouth_matters_more_than_the_corners(test_data, paths):
    picture = cv2.imread(str(test_data / "faces" / "photo_happy.jpg"))
    predictor = LivePredictor(real_detector("haar", test_data, paths), shipped_classifier(paths))
    (prediction,) = predictor.read(frame_of(picture))
    face = predictor.faces[1].picture
    heat = occlusion_map(predictor.classifier, face, predictor.classifier.labels.index(prediction.label))
    assert 0 <= heat.min() <= heat.max() <= 1
    corners = np.mean([heat[:6, :6], heat[:6, -6:], heat[-6:, :6], heat[-6:, -6:]])
    assert heat[28:42, 12:36].mean() > corners


class WaitingClassifier(CornerClassifier):
    """Goes on only when it is let; says when it was asked."""

    def __init__(self):
        super().__init__()
        self.may_go_on, self.was_asked = threading.Event(), threading.Event()

    def classify(self, faces: np.ndarray) -> np.ndarray:
        self.was_asked.set()
        assert self.may_go_on.wait(SECONDS)
        return super().classify(faces)


def predictor_of(*boxes: tuple[float, float, float]) -> LivePredictor:
    return LivePredictor(ScriptedDetector(lambda call: list(boxes)), CornerClassifier(), detect_every=1)


def bright(level: int) -> np.ndarray:
    return np.full((100, 200, 3), level, np.uint8)


def test_the_loop_never_waits_for_a_map_and_the_latest_request_wins():
    own = WaitingClassifier()
    maps, predictor = HeatMaps(lambda: own), predictor_of((10, 10, 50), (100, 10, 80))
    assert maps.latest(predictor, predictor.read(frame_of(bright(200), 0))) == {}
    assert own.was_asked.wait(SECONDS)
    for number in range(1, 20):
        assert maps.latest(predictor, predictor.read(frame_of(bright(200 + number), number))) == {}
    own.may_go_on.set()
    maps.close()
    done = maps.latest(predictor, [])
    assert list(done) == [2]
    assert done[2].square == square_of(predictor.faces[2].square, FAKE_FRAMING)
    assert done[2].values.max() == 1
    assert own.faces <= 2 * 82
    predictor.use(detector=ScriptedDetector(lambda call: []))
    assert maps.latest(predictor, predictor.read(frame_of(bright(200), 30))) == {}


class OtherSizeClassifier(CornerClassifier):
    """Refuses the faces that it is asked for, as a model of another size does."""

    def classify(self, faces: np.ndarray) -> np.ndarray:
        raise ArtifactError("It takes other faces.")


def test_a_model_that_fails_when_asked_leaves_no_map_behind_and_the_next_one_gets_its_maps():
    makers = [CornerClassifier, OtherSizeClassifier, CornerClassifier]
    maps, predictor = HeatMaps(lambda: makers.pop(0)()), predictor_of((10, 10, 50))

    def shown(number: int) -> list[int]:
        return list(maps.latest(predictor, predictor.read(frame_of(bright(200), number))))

    def use(name: str) -> None:
        other = CornerClassifier()
        other.name = name
        predictor.use(classifier=other)

    wait_until(lambda: shown(0) == [1])
    use("failing")
    wait_until(lambda: (shown(1), maps.problem) == ([], "No heat maps: It takes other faces."))
    use("promoted")
    wait_until(lambda: shown(2) == [1])
    assert maps.problem == ""
    maps.close()
