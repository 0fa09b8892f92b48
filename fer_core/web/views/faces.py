"""Upload and its result, the live page, and the same for programs: /api/v1/predict and /api/v1/live.

And reading in the browser itself: what it needs of the model in use, and the calls that hand it out. The browser's part
is in `static/device/`: the same crop, pixels, calibration, tracking and smoothing as on the server. It always finds
faces with yunet, whose weights lie there in the form that its runtime reads.
"""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, abort, render_template, request, send_file, url_for
from pydantic import BaseModel

from fer_core.data.face_picture import in_colours
from fer_core.faces import MIN_FACE_PIXELS, PHOTO_WIDTH, yunet
from fer_core.faces.framing import Framing
from fer_core.labels import colour
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import SMOOTHING_SECONDS
from fer_core.store.files import file_sha256
from fer_core.store.model_files import litert_file
from fer_core.web import assets, uploads
from fer_core.web.answers import Faces, LiveAnswer, LiveForm, PredictAnswer, PredictForm, PredictRequest
from fer_core.web.openapi import describes, form_content, json_content
from fer_core.web.pipeline import FACE_ALREADY_PIXELS, Finding, picture_shown
from fer_core.web.predictor_pool import QUICK_WIDTH, LentPredictor
from fer_core.web.problems import RequestError
from fer_core.web.service import service

upload = Blueprint("upload", __name__)
live_page = Blueprint("live", __name__)
device = Blueprint("device", __name__, url_prefix="/device")
api = Blueprint("api", __name__, url_prefix="/api/v1")
_PICTURES = form_content(PredictForm, most_files=uploads.MOST_PICTURES) | json_content(PredictRequest)


class _UploadForm(BaseModel):
    faces: Finding = "auto"


@upload.get("/")
def index() -> str:
    """The form that takes pictures."""
    settings = service().settings
    together = uploads.LARGEST_TOGETHER * settings.max_megapixels
    limits = {"settings": settings, "most_pictures": uploads.MOST_PICTURES, "together": together}
    return render_template("index.html", device=reading_here(_addresses()), **limits)


@upload.post("/")
def results() -> str:
    """What is read in the pictures of the form. Nothing of them is kept."""
    finding, files, held = uploads.form_fields(_UploadForm).faces, uploads.sent_files(), service()
    uploads.check_together([data for _, data in files], most_pixels=held.settings.pixels)
    with held.pool.lent() as lent:
        pictures = [shown(data, finding, lent) | {"name": name} for name, data in files]
    return render_template("results.html", pictures=pictures, **meanings(lent.model.labels))


@live_page.get("/live")
def page() -> str:
    """The live page. The camera is the browser's; each frame goes to /api/v1/live and is forgotten."""
    return render_template("live.html", live=live_settings() | {"url": "/api/v1/live", "device": _addresses()})


def live_settings() -> dict[str, Any]:
    """Returns what the live page must know of the model in use."""
    return meanings(service().pool.model.labels) | {"smoothing": SMOOTHING_SECONDS}


@api.post("/predict")
@describes(PredictAnswer, body=_PICTURES, problems=(400, 413, 415, 503))
def predict() -> dict[str, Any]:
    """The faces in pictures."""
    if request.is_json:
        body = uploads.json_body(PredictRequest)
        faces, files = body.faces, [uploads.from_base64(text) for text in body.images]
    else:
        faces = uploads.form_fields(PredictForm).faces
        files = [data for _, data in uploads.sent_files()]
    uploads.check_together(files, most_pixels=service().settings.pixels)
    with service().pool.lent() as lent:
        images = [_picture_answer(data, faces, lent) for data in files]
    return {"model": lent.model.name, "detector": lent.quick.detector.name, "images": images}


@api.post("/live")
@describes(LiveAnswer, body=form_content(LiveForm, most_files=1), problems=(400, 409, 413, 415, 503))
def live() -> dict[str, Any]:
    """The people in one frame of a camera: followed, and steadied, from frame to frame of a session."""
    fields, held = uploads.form_fields(LiveForm), service()
    ((_, data),) = uploads.sent_files(most=1)
    with held.pool.lent() as lent:
        picture_bgr = in_colours(uploads.decoded(data, most_pixels=held.settings.pixels), "bgr")
        began = time.perf_counter()
        smoothing = fields.smoothing
        predictions = held.pool.sessions.read(fields.session, picture_bgr, lent.quick, smoothing_seconds=smoothing)
        milliseconds = (time.perf_counter() - began) * 1000
    held.figures.count_faces([prediction.label for prediction in predictions])
    height, width = picture_bgr.shape[:2]
    people = [person(prediction, held.pool.threshold) for prediction in predictions]
    about = {"model": lent.model.name, "width": width, "height": height}
    return about | {"faces": people, "milliseconds": round(milliseconds, 2)}


def person(prediction: Prediction, threshold: float) -> dict[str, Any]:
    """Returns a reading whose words fit its own numbers: label and unsure lag behind in it, for 0.3 s at most."""
    likeliest = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    lags = {"unsure": prediction.confidence < threshold, "held": prediction.label != likeliest}
    return prediction.to_json() | lags


def _picture_answer(data: bytes, faces: Faces, lent: LentPredictor) -> dict[str, Any]:
    picture = uploads.decoded(data, most_pixels=service().settings.pixels)
    predictions = lent.for_picture(picture).read_picture(picture, faces=faces)
    service().figures.count_faces([prediction.label for prediction in predictions])
    found = [prediction.to_json() for prediction in predictions]
    for one in found:
        del one["person"]
    return {"width": picture.shape[1], "height": picture.shape[0], "faces": found}


def shown(data: bytes, finding: Finding, lent: LentPredictor) -> dict[str, Any]:
    """Returns the picture, or what is wrong with it: one bad picture of several must not hide the others."""
    held = service()
    try:
        picture = uploads.decoded(data, most_pixels=held.settings.pixels)
        return picture_shown(lent.for_picture(picture), picture, finding=finding, signer=held.signer)
    except RequestError as error:
        return {"problem": str(error), "hint": error.hint}


def reading_here(addresses: dict[str, str] | None) -> dict[str, Any] | None:
    """Returns what the upload page must know to read on the device; None where it cannot."""
    return meanings(service().pool.model.labels) | {"addresses": addresses} if addresses else None


def meanings(labels: tuple[str, ...]) -> dict[str, Any]:
    """Returns the labels, the colour of each, and the confidence below which a reading is unsure."""
    colours = {label: colour(label, labels) for label in labels}
    return {"labels": labels, "colours": colours, "threshold": service().pool.threshold}


def _addresses() -> dict[str, str] | None:
    """Returns where a page finds what it reads with; None where the runtime has not been fetched."""
    if not assets.are_there():
        return None
    return {
        "description": url_for("device.description"),
        "detector": url_for("static", filename="device/yunet.tflite"),
        "runtime": url_for("static", filename="litert/"),
    }


def in_use() -> tuple[dict[str, Any], Path]:
    """Returns what the browser must know of the model that the server reads with, as plain values, and its .tflite."""
    held = service()
    with held.pool.lent() as lent:
        classifier, model = lent.quick.classifier, lent.quick.classifier.model
        weights = litert_file(lent.model, held.paths)
    own = (model.framing or {}).get(yunet.YuNetDetector.name)
    detection = {
        "width": QUICK_WIDTH,
        "photo_width": PHOTO_WIDTH,
        "least_score": yunet.MIN_SCORE,
        "most_overlap": yunet.OVERLAP,
        "least_face_pixels": MIN_FACE_PIXELS,
        "largest_face_already": FACE_ALREADY_PIXELS,
    }
    names = ("name", "labels", "side", "channels", "colours", "pixels", "divided_by", "temperature")
    known = {name: getattr(model, name) for name in names} | {
        "weights": f"model-{file_sha256(weights)[:16]}.tflite",
        "outputs": classifier.outputs,
        "threshold": held.pool.threshold,
        "aligned": model.is_aligned,
        "framing": asdict(Framing(**own) if own else yunet.FRAMING),
        "detection": detection,
    }
    return known, weights


@device.get("/model.json")
def description() -> dict[str, Any]:
    """What must be known of the model in use."""
    return in_use()[0]


@device.get("/<name>.tflite")
def weights(name: str) -> Response:
    """The model in use; its name changes with its content, so that a browser never reads with two halves."""
    known, file = in_use()
    if known["weights"] != f"{name}.tflite":
        abort(404)
    answer = send_file(file.resolve(), mimetype="application/octet-stream")
    answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return answer
