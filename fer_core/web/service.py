"""`Service`: what the views of one application work with. Nothing else is kept between requests."""

import time
from collections.abc import Mapping

from flask import Flask, Response, current_app, g, request
from itsdangerous import TimestampSigner
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

from fer_core.paths import Paths
from fer_core.store.files import Clock
from fer_core.web.batches import Batches
from fer_core.web.data_sets import DataSets
from fer_core.web.job_detail import JobList
from fer_core.web.predictor_pool import PredictorPool
from fer_core.web.run_list import RunList
from fer_core.web.settings import WebSettings


class Figures:
    """What /metrics tells Prometheus of one application."""

    def __init__(self, app: Flask):
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        labels = ["endpoint", "method", "status"]
        self._requests = Counter("fer_web_requests", "Requests answered.", labels, registry=registry)
        about = "Time in the application."
        self._seconds = Histogram("fer_web_request_seconds", about, ["endpoint"], registry=registry)
        self._pictures = Counter("fer_web_pictures", "Pictures read.", registry=registry)
        self._faces = Counter("fer_web_faces", "Faces read, by what was read in them.", ["label"], registry=registry)
        self._waiting = Gauge("fer_web_waiting", "Requests that have a reader or wait for one.", registry=registry)
        self._model = Gauge("fer_web_model", "1 for the model that is read with.", ["model"], registry=registry)
        app.before_request(lambda: setattr(g, "began", time.perf_counter()))
        app.after_request(self._count)

    def count_faces(self, labels: list[str]) -> None:
        """Counts a picture and the faces that were read in it."""
        self._pictures.inc()
        for label in labels:
            self._faces.labels(label).inc()

    def text(self, pool: PredictorPool) -> bytes:
        """Returns everything in Prometheus' own form."""
        self._waiting.set(pool.waiting)
        self._model.clear()
        self._model.labels(pool.model.name).set(1)
        return generate_latest(self._registry)

    def _count(self, response: Response) -> Response:
        # The endpoint, not the path: what a client makes up must not become a new series.
        endpoint = request.endpoint or "unknown"
        method = request.method if request.method in ("GET", "POST", "HEAD", "OPTIONS") else "other"
        self._requests.labels(endpoint, method, response.status_code).inc()
        if "began" in g:
            self._seconds.labels(endpoint).observe(time.perf_counter() - g.began)
        return response


class Service:
    """What the views of one application work with."""

    def __init__(self, app: Flask, settings: WebSettings, paths: Paths, *, environ: Mapping[str, str], clock: Clock):
        """Loads the model. Raises ConfigError, ArtifactError."""
        self.settings, self.paths, self.environ, self.clock = settings, paths, environ, clock
        self.pool = PredictorPool(settings, paths)
        self.runs = RunList(paths)
        self.data = DataSets(paths, self.runs, environ, settings.data_folder)
        self.jobs = JobList(paths, environ, clock)
        self.batches = Batches(paths, settings, self.jobs, clock)
        self.signer = TimestampSigner(app.secret_key, salt="crop")
        """Of the crops that a result page may send back."""
        self.figures = Figures(app)
        app.extensions["fer"] = self

    def close(self) -> None:
        """Ends its threads and processes."""
        self.batches.close()
        self.pool.close()


def service(app: Flask | None = None) -> Service:
    """Returns the service of an application; without one, of that which answers the request."""
    return (app or current_app).extensions["fer"]
