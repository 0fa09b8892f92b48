"""POST /api/v1/live: people are followed and steadied from frame to frame."""

import cv2
import numpy as np
import pytest

from fer_core.faces.face import Box
from fer_core.live.prediction import Prediction
from fer_core.web.live_sessions import IDLE_SECONDS, LiveSessions
from fer_core.web.problems import RequestError
from fer_core.web.views.faces import person

SESSION = "b2c9e9f0-1111-4222-8333-444455556666"


@pytest.fixture(scope="module")
def frames(test_data) -> list[bytes]:
    """JPEGs of a clip with one person."""
    capture = cv2.VideoCapture(str(test_data / "faces" / "single_face_2.mp4"))
    pictures = [capture.read()[1] for _ in range(12)]
    capture.release()
    return [cv2.imencode(".jpg", picture)[1].tobytes() for picture in pictures]


def send(site, frame: bytes, **fields: str):
    return site.post("/api/v1/live", files={"image": frame}, data={"session": SESSION} | fields)


def test_a_person_keeps_a_number_from_frame_to_frame(site, frames):
    answers = [send(site, frame).json() for frame in frames]
    seen = [answer["faces"] for answer in answers if answer["faces"]]
    assert len(seen) >= 4
    assert {face["person"] for faces in seen for face in faces} == {1}
    assert {"box", "label", "confidence", "unsure", "probabilities"} <= set(seen[-1][0])
    assert answers[0]["milliseconds"] > 0
    assert (answers[0]["width"], answers[0]["height"]) == cv2.imdecode(np.frombuffer(frames[0], np.uint8), 1).shape[
        1::-1
    ]


def test_what_is_said_of_a_person_fits_the_numbers_beside_it():
    shares = {"happy": 0.45, "sad": 0.3, "fear": 0.25}
    box = Box(0, 0, 10, 10)
    lagging = Prediction(box, "sad", 0.3, shares, unsure=False, person=1)
    told = person(lagging, 0.4)
    assert (told["label"], told["unsure"], told["held"]) == ("sad", True, True)
    told = person(Prediction(box, "happy", 0.45, shares, unsure=True, person=1), 0.4)
    assert (told["unsure"], told["held"]) == (False, False)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"session": ""}, "session: "),
        ({"session": "../../etc"}, "session: "),
        ({"smoothing": "often"}, "smoothing: Input should be a valid number"),
        ({"smoothing": "-1"}, "smoothing: Input should be greater"),
        ({"smoothing": "nan"}, "smoothing: Input should be"),
    ],
)
def test_what_is_missing_or_wrong_is_said(site, frames, fields, says):
    answer = send(site, frames[0], **fields)
    assert answer.status_code == 400
    assert says in answer.json()["error"]


def test_a_session_that_nobody_uses_ends_by_itself(site, frames):
    now = [0.0]
    sessions = LiveSessions(threshold=0.4, clock=lambda: now[0])
    picture = cv2.imdecode(np.frombuffer(frames[0], np.uint8), 1)
    with site.service.pool.lent() as predictor:
        for session in ("first", "second"):
            sessions.read(session, picture, predictor.quick, smoothing_seconds=0.5)
        assert len(sessions) == 2
        now[0] += IDLE_SECONDS + 1
        sessions.forget_idle()
        assert len(sessions) == 0, "also where no other page sends anything"
        now[0] = 0.0
        for session in ("first", "second"):
            sessions.read(session, picture, predictor.quick, smoothing_seconds=0.5)
        now[0] = IDLE_SECONDS + 1
        sessions.read("third", picture, predictor.quick, smoothing_seconds=0.5)
    assert len(sessions) == 1


def test_nothing_of_a_frame_is_kept(site, frames):
    sessions = LiveSessions(threshold=0.4)
    picture = cv2.imdecode(np.frombuffer(frames[0], np.uint8), 1)
    with site.service.pool.lent() as predictor:
        for _ in range(3):
            sessions.read("one", picture, predictor.quick, smoothing_seconds=0)
    (session,) = sessions._sessions.values()
    assert session.predictor.faces == {}
    assert session.predictor._flow._before is None


def test_a_second_frame_at_the_same_time_is_refused(site, frames):
    sessions = LiveSessions(threshold=0.4)
    picture = cv2.imdecode(np.frombuffer(frames[0], np.uint8), 1)
    with site.service.pool.lent() as predictor:
        sessions.read("one", picture, predictor.quick, smoothing_seconds=0.5)
        (session,) = sessions._sessions.values()
        with session.busy, pytest.raises(RequestError, match="still being read"):
            sessions.read("one", picture, predictor.quick, smoothing_seconds=0.5)
