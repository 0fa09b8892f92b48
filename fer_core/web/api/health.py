"""/healthz for whoever watches the process, /metrics for Prometheus."""

from flask import Blueprint, Response, jsonify

from fer_core.web.figures import CONTENT_TYPE
from fer_core.web.service import service

answers = Blueprint("answers", __name__)


@answers.get("/healthz")
def healthz() -> Response:
    """Whether the process answers; it does so only once a model is loaded. Tells strangers nothing else."""
    return jsonify(status="ok")


@answers.get("/metrics")
def metrics() -> Response:
    """The figures in Prometheus' own form."""
    held = service()
    held.figures.waiting.set(held.readers.waiting)
    held.figures.model.clear()
    held.figures.model.labels(held.readers.model.name).set(1)
    return Response(held.figures.text(), content_type=CONTENT_TYPE)
