"""`Service`: what the views of one application work with. Nothing else is kept between requests."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, current_app, g, request
from itsdangerous import TimestampSigner
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from fer_core.paths import Paths
from fer_core.store.clock import Clock
from fer_core.web.live_sessions import LiveSessions
from fer_core.web.predictor_pool import PredictorPool
from fer_core.web.run_list import RunList
from fer_core.web.settings import WebSettings

_EXTENSION = "fer"
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class SharedAnswer:
    """An answer that takes its time is asked for once, and all who want it get it: they occupy no threads meanwhile."""

    def __init__(self, ask: Callable[[], Any], *, fresh_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._ask, self._fresh_seconds, self._clock = ask, fresh_seconds, clock
        self._asking = threading.Lock()
        self._answer: Any = None
        self._until = 0.0

    def get(self) -> Any:
        """Returns the answer; an older one only while a newer one is asked for."""
        if not self._asking.acquire(blocking=self._answer is None):
            return self._answer
        try:
            if self._answer is None or self._clock() >= self._until:
                self._answer = self._ask()
                self._until = self._clock() + self._fresh_seconds
            return self._answer
        finally:
            self._asking.release()


class Figures:
    """What /metrics tells Prometheus of one application."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        labels = ["endpoint", "method", "status"]
        self._requests = Counter("fer_web_requests", "Requests answered.", labels, registry=registry)
        about = "Time in the application."
        self._seconds = Histogram("fer_web_request_seconds", about, ["endpoint"], buckets=_SECONDS, registry=registry)
        self._pictures = Counter("fer_web_pictures", "Pictures read.", registry=registry)
        self._faces = Counter("fer_web_faces", "Faces read, by what was read in them.", ["label"], registry=registry)
        self._waiting = Gauge("fer_web_waiting", "Requests that have a reader or wait for one.", registry=registry)
        self._model = Gauge("fer_web_model", "1 for the model that is read with.", ["model"], registry=registry)

    def watch(self, app: Flask) -> None:
        """Counts each request of this application."""
        app.before_request(self._begin)
        app.after_request(self._count)

    def count_faces(self, labels: list[str]) -> None:
        """Counts a picture and the faces that were read in it."""
        self._pictures.inc()
        for label in labels:
            self._faces.labels(label).inc()

    def text(self, readers: PredictorPool) -> bytes:
        """Returns everything in Prometheus' own form."""
        self._waiting.set(readers.waiting)
        self._model.clear()
        self._model.labels(readers.model.name).set(1)
        return generate_latest(self._registry)

    def _begin(self) -> None:
        g.began = time.perf_counter()

    def _count(self, response: Response) -> Response:
        # The endpoint, not the path: what a client makes up must not become a new series.
        endpoint = request.endpoint or "unknown"
        method = request.method if request.method in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        self._requests.labels(endpoint, method, response.status_code).inc()
        if "began" in g:
            self._seconds.labels(endpoint).observe(time.perf_counter() - g.began)
        return response


@dataclass(frozen=True)
class Service:
    """What the views of one application work with."""

    settings: WebSettings
    paths: Paths
    environ: Mapping[str, str]
    clock: Clock
    readers: PredictorPool
    sessions: LiveSessions
    runs: RunList
    broker_state: SharedAnswer
    """Whether the broker answers, and who takes jobs."""
    signer: TimestampSigner
    """Of the crops that a result page may send back."""
    figures: Figures = field(default_factory=Figures)

    def install(self, app: Flask) -> None:
        """Gives it to the application's views."""
        app.extensions[_EXTENSION] = self
        self.figures.watch(app)


def service(app: Flask | None = None) -> Service:
    """Returns the service of an application; without one, of that which answers the request."""
    return (app or current_app).extensions[_EXTENSION]
