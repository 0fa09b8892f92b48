"""POST /api/v1/live: people are followed and steadied from frame to frame."""

import cv2
import numpy as np
import pytest

from fer_core.faces import Box
from fer_core.live.prediction import Prediction
from fer_core.web import predictor_pool
from fer_core.web.predictor_pool import IDLE_SECONDS, LiveSessions
from fer_core.web.problems import RequestError
from fer_core.web.views.faces import person
from tests.jobs.conftest import wait_until
from tests.web.conftest import served

SESSION = "b2c9e9f0-1111-4222-8333-444455556666"


@pytest.fixture(scope="module")
def pictures(test_data) -> list[np.ndarray]:
    """Frames of a clip with one person."""
    capture = cv2.VideoCapture(str(test_data / "faces" / "single_face_2.mp4"))
    pictures = [capture.read()[1] for _ in range(12)]
    capture.release()
    return pictures


def send(site, picture: np.ndarray, **fields: str):
    frame = cv2.imencode(".jpg", picture)[1].tobytes()
    return site.post("/api/v1/live", files={"image": frame}, data={"session": SESSION} | fields)


def test_a_person_keeps_a_number_from_frame_to_frame(site, pictures):
    answers = [send(site, picture).json() for picture in pictures]
    seen = [answer["faces"] for answer in answers if answer["faces"]]
    assert len(seen) >= 4
    assert {face["person"] for faces in seen for face in faces} == {1}
    assert {"box", "label", "confidence", "unsure", "probabilities"} <= set(seen[-1][0])
    assert answers[0]["milliseconds"] > 0
    assert (answers[0]["width"], answers[0]["height"]) == pictures[0].shape[1::-1]


@pytest.mark.parametrize(
    ("label", "share", "unsure", "held"), [("sad", 0.3, True, True), ("happy", 0.45, False, False)]
)
def test_what_is_said_of_a_person_fits_the_numbers_beside_it(label, share, unsure, held):
    shares = {"happy": 0.45, "sad": 0.3, "fear": 0.25}
    read = person(Prediction(Box(0, 0, 10, 10), label, share, shares, unsure=not unsure, person=1), 0.4)
    assert (read["label"], read["unsure"], read["held"]) == (label, unsure, held)


@pytest.mark.parametrize(
    ("field", "value"),
    [("session", ""), ("session", "../../etc"), ("smoothing", "often"), ("smoothing", "-1"), ("smoothing", "nan")],
)
def test_what_is_missing_or_wrong_is_said(site, pictures, field, value):
    answer = send(site, pictures[0], **{field: value})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"{field}: ")


def test_a_session_that_nobody_uses_ends_by_itself(site, pictures, monkeypatch):
    now = [0.0]
    sessions = LiveSessions(threshold=0.4, clock=lambda: now[0])
    with site.service.pool.lent() as lent:

        def read(*names: str) -> None:
            for name in names:
                sessions.read(name, pictures[0], lent.quick, smoothing_seconds=0.5)

        read("first", "second", "first")
        now[0] = 1.0
        read("first")
        now[0] = IDLE_SECONDS
        sessions.forget_idle()
        assert list(sessions._sessions) == ["first"]
        now[0] += 1.0
        sessions.forget_idle()
        assert not sessions._sessions
        monkeypatch.setattr(predictor_pool, "MOST_SESSIONS", 2)
        read("first", "second", "first", "third")
    assert list(sessions._sessions) == ["first", "third"]


def test_nothing_of_a_frame_is_kept_and_a_second_one_at_the_same_time_is_refused(site, pictures):
    sessions = LiveSessions(threshold=0.4)
    with site.service.pool.lent() as lent:
        for _ in range(3):
            sessions.read("one", pictures[0], lent.quick, smoothing_seconds=0)
        (session,) = sessions._sessions.values()
        assert session.predictor.faces == {}
        assert session.predictor._flow._before is None
        with session.busy, pytest.raises(RequestError, match="still being read"):
            sessions.read("one", pictures[0], lent.quick, smoothing_seconds=0)


def test_idle_sessions_are_looked_for_also_where_nothing_comes(web_settings, paths, pictures, monkeypatch):
    monkeypatch.setattr(predictor_pool, "IDLE_SECONDS", 0.0)
    with served(web_settings, paths) as site:
        assert send(site, pictures[0]).status_code == 200
        wait_until(lambda: not site.service.pool.sessions._sessions)
