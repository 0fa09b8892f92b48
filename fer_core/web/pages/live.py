"""The live page. The camera is the browser's; each frame goes to /api/v1/live and is forgotten."""

from flask import Blueprint, render_template

from fer_core.emotions import colour
from fer_core.live.predictor import SMOOTHING_SECONDS
from fer_core.web.service import service

pages = Blueprint("live", __name__)


@pages.get("/live")
def page() -> str:
    """The live page."""
    labels = service().readers.model.labels
    known = {
        "labels": labels,
        "colours": {label: colour(label, labels) for label in labels},
        "smoothing": SMOOTHING_SECONDS,
        "threshold": service().settings.threshold,
        "url": "/api/v1/live",
    }
    return render_template("live.html", live=known)
