"""Who reads faces for the requests: a few predictors, each lent to one request at a time, all renewed on a promotion.

A LiteRT interpreter and a detector are not for two threads at once. So there are as many of both as pictures are read
at the same time; further requests wait, a bounded number of them. A newly promoted model is loaded beside the old one,
which finishes what it has begun.

Each visit of the live page has people that are followed and steadied from frame to frame. No picture is kept.
"""

import contextlib
import importlib.util
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fer_core import faces
from fer_core.live.classifier import ModelWatch, make_classifier
from fer_core.live.frame import Frame
from fer_core.live.prediction import EmotionPredictor, Prediction
from fer_core.live.predictor import LivePredictor
from fer_core.paths import Paths
from fer_core.store.files import utc_now
from fer_core.store.model_files import ModelFiles, find_model, litert_file
from fer_core.store.run import Run
from fer_core.store.runtimes import Cost, cost
from fer_core.web.problems import RequestError
from fer_core.web.settings import WebSettings

QUICK_WIDTH = 320
PATIENCE_SECONDS = 10.0
"""The longest wait for a predictor: whoever waits longer has most likely gone."""
MOST_SESSIONS = 200
IDLE_SECONDS = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LentPredictor:
    """One classifier with two detectors: a quick one, and one that also finds small faces in large pictures."""

    model: ModelFiles
    """What it reads with, also where another model is in use by the time that the answer is written."""
    quick: EmotionPredictor
    thorough: EmotionPredictor

    def for_picture(self, picture: np.ndarray) -> EmotionPredictor:
        """Returns the predictor that finds the smallest faces that are looked for at all in this picture.

        Half of a picture of up to 640 pixels shows faces of 40 pixels with 20, which is enough, in a third of the time.
        """
        return self.quick if max(picture.shape[:2]) <= 2 * QUICK_WIDTH else self.thorough


@dataclass(frozen=True)
class Generation:
    """A model and its predictors; those that are not lent lie in `free`."""

    model: ModelFiles
    paths: Paths
    detector_name: str
    free: "queue.LifoQueue[LentPredictor]"
    threshold: float

    @cached_property
    def cost(self) -> Cost | None:
        """What one face costs the model, measured when it is first asked for.

        None for a model from elsewhere, and where h5py, which counts the parameters, is not installed.
        """
        folder = self.model.run_folder if importlib.util.find_spec("h5py") else None
        return cost(Run(folder, folder), export=litert_file(self.model, self.paths)) if folder else None


@dataclass
class _Session:
    predictor: LivePredictor
    smoothing_seconds: float
    used: float = 0.0
    busy: threading.Lock = field(default_factory=threading.Lock)


class LiveSessions:
    """One `LivePredictor` for each page that is open. Sessions end by themselves when nothing comes for a minute."""

    def __init__(self, *, threshold: float | None, clock: Callable[[], float] = time.monotonic):
        self._threshold, self._clock = threshold, clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._changing = threading.Lock()

    def read(
        self, session_id: str, picture_bgr: np.ndarray, predictor: EmotionPredictor, *, smoothing_seconds: float
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
            session.predictor.use(detector=predictor.detector, classifier=predictor.classifier)
            now = self._clock()
            predictions = session.predictor.read(Frame(picture_bgr, 0, now, utc_now(), now))
            session.predictor.faces = {}  # what the network saw is not kept either
            return predictions
        finally:
            session.busy.release()

    def forget_idle(self) -> None:
        """Ends the sessions whose pages are gone. Done once a second, also where no page sends anything."""
        with self._changing:
            while self._sessions and self._clock() - next(iter(self._sessions.values())).used >= IDLE_SECONDS:
                self._sessions.popitem(last=False)

    def _session(self, session_id: str, predictor: EmotionPredictor, smoothing_seconds: float) -> _Session:
        with self._changing:
            session = self._sessions.pop(session_id, None)
            if session is None or session.smoothing_seconds != smoothing_seconds:
                live = LivePredictor(
                    predictor.detector,
                    predictor.classifier,
                    threshold=self._threshold,
                    smoothing_seconds=smoothing_seconds,
                    detect_every=1,  # frames come far apart, and following would keep the last one
                )
                session = _Session(live, smoothing_seconds)
            session.used = self._clock()
            self._sessions[session_id] = session  # the one used last is the last
            if len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
            return session


class PredictorPool:
    """Lends predictors of the model in use. `close` ends the thread that looks for another one, and for idle visits."""

    def __init__(self, settings: WebSettings, paths: Paths):
        """Raises ArtifactError or ConfigError where there is no usable model or detector."""
        self._settings, self._paths = settings, paths
        self.waiting = 0
        """Requests that have a predictor or wait for one."""
        self._most = settings.predictor_count + settings.waiting
        self._counting = threading.Lock()
        self.sessions = LiveSessions(threshold=settings.threshold)
        self._watch = ModelWatch(
            paths,
            self._load(),
            self._load_promoted,
            is_fixed=settings.model is not None,
            report=log.warning,
            every_second=self.sessions.forget_idle,
        )
        self.look, self.close = self._watch.look, self._watch.close

    @property
    def generation(self) -> Generation:
        """What is read with now."""
        return self._watch.loaded

    @property
    def model(self) -> ModelFiles:
        """The model that is read with now."""
        return self.generation.model

    @property
    def threshold(self) -> float:
        """The confidence below which a reading is unsure."""
        return self.generation.threshold

    @property
    def problem(self) -> str:
        """Why a promoted model is not read with, on each page; '' if nothing is wrong."""
        return self._watch.problem

    @contextlib.contextmanager
    def lent(self) -> Iterator[LentPredictor]:
        """Yields a predictor that nobody else has meanwhile. Raises RequestError (503) where too many wait."""
        free = self.generation.free
        with self._counting:
            if self.waiting >= self._most:
                raise _overloaded()
            self.waiting += 1
        try:
            predictor = free.get(timeout=PATIENCE_SECONDS)
            try:
                yield predictor
            finally:
                free.put(predictor)
        except queue.Empty:
            raise _overloaded() from None
        finally:
            with self._counting:
                self.waiting -= 1

    def _load_promoted(self) -> Generation:
        generation = self._load()
        log.info("Now reading with %s.", generation.model.name)
        return generation

    def _load(self) -> Generation:
        """Everything anew: the old predictors may be lent for some time yet, with their detectors."""
        settings = self._settings
        model = find_model(settings.model, self._paths)
        free: queue.LifoQueue[LentPredictor] = queue.LifoQueue()
        for _ in range(settings.predictor_count):
            classifier = make_classifier(model, self._paths, prior=settings.prior)
            quick, thorough = (
                EmotionPredictor(self._make_detector(width), classifier, threshold=settings.threshold)
                for width in (QUICK_WIDTH, settings.detection_width)
            )
            free.put(LentPredictor(model, quick, thorough))
        threshold = classifier.unsure_below if settings.threshold is None else settings.threshold
        return Generation(model, self._paths, quick.detector.name, free, threshold)

    def _make_detector(self, width: int) -> faces.Detector:
        file = self._settings.detector_model
        return faces.make_detector(self._settings.detector, paths=self._paths, model_file=file, width=width)


def _overloaded() -> RequestError:
    problem = "More pictures are waiting than this server can read."
    return RequestError(503, problem, hint="Try again in a second, with fewer at a time.", headers={"Retry-After": "1"})
