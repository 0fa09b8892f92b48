"""What /metrics tells Prometheus. Each application has a registry of its own."""

import time

from flask import Flask, Response, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Figures:
    """The figures of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "fer_web_requests", "Requests answered.", ["endpoint", "method", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "fer_web_request_seconds",
            "Time in the application.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.pictures = Counter("fer_web_pictures", "Pictures read.", registry=self.registry)
        self.faces = Counter(
            "fer_web_faces", "Faces read, by what was read in them.", ["label"], registry=self.registry
        )
        self.waiting = Gauge("fer_web_waiting", "Requests that have a reader or wait for one.", registry=self.registry)
        self.model = Gauge("fer_web_model", "1 for the model that is read with.", ["model"], registry=self.registry)

    def watch(self, app: Flask) -> None:
        """Counts each request of this application."""
        app.before_request(self._begin)
        app.after_request(self._count)

    def text(self) -> bytes:
        """Returns everything in Prometheus' own form."""
        return generate_latest(self.registry)

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


CONTENT_TYPE = CONTENT_TYPE_LATEST
