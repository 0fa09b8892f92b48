"""The live page's visits: people that are followed and steadied from frame to frame. No picture is kept."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from fer_core.live.frame import Frame
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import FacePredictor, LivePredictor
from fer_core.store.clock import utc_now
from fer_core.web.problems import RequestError

MOST_SESSIONS = 200
IDLE_SECONDS = 60.0


@dataclass
class _Session:
    predictor: LivePredictor
    smoothing_seconds: float
    used: float
    busy: threading.Lock = field(default_factory=threading.Lock)
    frames: int = 0


class LiveSessions:
    """One `LivePredictor` for each page that is open. Sessions end by themselves when nothing comes for a minute."""

    def __init__(self, *, threshold: float, clock: Callable[[], float] = time.monotonic):
        self._threshold, self._clock = threshold, clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._changing = threading.Lock()
        self._timer: threading.Timer | None = None

    def __len__(self) -> int:
        return len(self._sessions)

    def read(
        self, session_id: str, picture_bgr: np.ndarray, predictor: FacePredictor, *, smoothing_seconds: float
    ) -> list[Prediction]:
        """Returns what is read in the next frame, uint8 BGR (height, width, 3), of a session; a new id begins one.

        Args:
            predictor: a lent one, whose detector and classifier do the work.
            smoothing_seconds: as in `LivePredictor`; another value than before begins the readings anew.

        Raises RequestError (409) while the frame before is still being read.
        """
        session = self._session(session_id, predictor, smoothing_seconds)
        if not session.busy.acquire(blocking=False):
            raise RequestError(409, "The frame before is still being read.", hint="Send one frame at a time.")
        try:
            session.frames += 1
            session.predictor.use(detector=predictor.detector, classifier=predictor.classifier)
            now = self._clock()
            predictions = session.predictor.read(Frame(picture_bgr, session.frames, now, utc_now(), now))
            session.predictor.faces = {}  # what the network saw is not kept either
            return predictions
        finally:
            session.busy.release()

    def forget_idle(self) -> None:
        """Ends the sessions whose pages are gone. Done by itself, also where no other page sends anything."""
        with self._changing:
            self._forget_idle(self._clock())
            self._timer = None
            if self._sessions:
                self._forget_later()

    def _forget_later(self) -> None:
        self._timer = threading.Timer(IDLE_SECONDS, self.forget_idle)
        self._timer.daemon = True
        self._timer.start()

    def _session(self, session_id: str, predictor: FacePredictor, smoothing_seconds: float) -> _Session:
        now = self._clock()
        with self._changing:
            self._forget_idle(now)
            session = self._sessions.get(session_id)
            if session is None or session.smoothing_seconds != smoothing_seconds:
                session = _Session(self._live_predictor(predictor, smoothing_seconds), smoothing_seconds, now)
                self._sessions[session_id] = session
            session.used = now
            self._sessions.move_to_end(session_id)
            if self._timer is None:
                self._forget_later()
            return session

    def _live_predictor(self, predictor: FacePredictor, smoothing_seconds: float) -> LivePredictor:
        return LivePredictor(
            predictor.detector,
            predictor.classifier,
            threshold=self._threshold,
            smoothing_seconds=smoothing_seconds,
            detect_every=1,  # frames come far apart, and following would keep the last one
        )

    def _forget_idle(self, now: float) -> None:
        while self._sessions:
            oldest = next(iter(self._sessions.values()))
            if now - oldest.used < IDLE_SECONDS and len(self._sessions) < MOST_SESSIONS:
                return
            self._sessions.popitem(last=False)
