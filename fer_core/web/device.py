"""Reading in the browser itself: what it needs of the model in use, and the calls that hand it out.

The browser's part is in `static/device/`: the same crop, pixels, calibration, tracking and smoothing as on the server.
It always finds faces with yunet, whose weights lie there in the form that its runtime reads.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, jsonify, send_file, url_for

from fer_core.faces import MIN_FACE_PIXELS, PHOTO_WIDTH, yunet
from fer_core.faces.framing import Framing
from fer_core.live.classifier import Classifier
from fer_core.store.files import file_sha256
from fer_core.store.model_files import litert_file
from fer_core.web import assets
from fer_core.web.pipeline import FACE_ALREADY_PIXELS
from fer_core.web.predictor_pool import QUICK_WIDTH
from fer_core.web.service import service

calls = Blueprint("device", __name__, url_prefix="/device")
_UNCHANGING = "private, max-age=31536000, immutable"


def addresses() -> dict[str, str] | None:
    """Returns where a page finds what it reads with; None where the runtime has not been fetched."""
    if not assets.are_there():
        return None
    return {
        "description": url_for("device.description"),
        "detector": url_for("static", filename="device/yunet.tflite"),
        "runtime": url_for("static", filename="litert/"),
    }


def describe(classifier: Classifier, threshold: float, *, weights: Path) -> dict[str, Any]:
    """Returns what the browser must know of a model, as plain values for JSON. `weights`: its .tflite."""
    model = classifier.model
    own = (model.framing or {}).get(yunet.YuNetDetector.name)
    detection = {
        "width": QUICK_WIDTH,
        "photo_width": PHOTO_WIDTH,
        "least_score": yunet.MIN_SCORE,
        "most_overlap": yunet.OVERLAP,
        "least_face_pixels": MIN_FACE_PIXELS,
        "largest_face_already": FACE_ALREADY_PIXELS,
    }
    return {
        "name": model.name,
        "weights": f"model-{file_sha256(weights)[:16]}.tflite",
        "labels": model.labels,
        "side": model.side,
        "channels": model.channels,
        "colours": model.colours,
        "pixels": model.pixels,
        "outputs": classifier.outputs,
        "divided_by": model.divided_by,
        "temperature": model.temperature,
        "threshold": threshold,
        "aligned": model.is_aligned,
        "framing": asdict(Framing(**own) if own else yunet.FRAMING),
        "detection": detection,
    }


def in_use() -> tuple[dict[str, Any], Path]:
    """Returns the description of the model that the server reads with, and its .tflite."""
    held = service()
    with held.pool.lent() as lent:
        weights = litert_file(lent.model, held.paths)
        return describe(lent.quick.classifier, held.pool.threshold, weights=weights), weights


@calls.get("/model.json")
def description() -> Response:
    """What must be known of the model in use."""
    return jsonify(in_use()[0])


@calls.get("/<name>.tflite")
def weights(name: str) -> Response:
    """The model in use; its name changes with its content, so that a browser never reads with two halves."""
    known, file = in_use()
    if known["weights"] != f"{name}.tflite":
        abort(404)
    answer = send_file(file.resolve(), mimetype="application/octet-stream")
    answer.headers["Cache-Control"] = _UNCHANGING
    return answer
