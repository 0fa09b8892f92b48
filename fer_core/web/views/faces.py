"""Upload and its result, the live page, and the same for programs: /api/v1/predict and /api/v1/live."""

import time
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request
from pydantic import BaseModel

from fer_core.labels import colour
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import SMOOTHING_SECONDS
from fer_core.web import device, uploads
from fer_core.web.answers import Faces, LiveAnswer, LiveForm, PredictAnswer, PredictForm, PredictRequest
from fer_core.web.openapi import describes, form_content, json_content
from fer_core.web.pipeline import Finding, picture_shown
from fer_core.web.predictor_pool import LentPredictor
from fer_core.web.problems import RequestError
from fer_core.web.service import service

upload = Blueprint("upload", __name__)
live_page = Blueprint("live", __name__)
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
    return render_template("index.html", device=reading_here(device.addresses()), **limits)


@upload.post("/")
def results() -> str:
    """What is read in the pictures of the form. Nothing of them is kept."""
    finding, files, held = uploads.form_fields(_UploadForm).faces, uploads.named_files(), service()
    uploads.check_together([data for _, data in files], most_pixels=held.settings.pixels)
    with held.pool.lent() as lent:
        pictures = [shown(data, finding, lent) | {"name": name} for name, data in files]
    labels = labels_and_colours(lent.model.labels)
    return render_template("results.html", pictures=pictures, threshold=held.pool.threshold, **labels)


@live_page.get("/live")
def page() -> str:
    """The live page. The camera is the browser's; each frame goes to /api/v1/live and is forgotten."""
    return render_template("live.html", live=live_settings() | {"url": "/api/v1/live", "device": device.addresses()})


def live_settings() -> dict[str, Any]:
    """Returns what the live page must know of the model in use."""
    known = {"smoothing": SMOOTHING_SECONDS, "threshold": service().pool.threshold}
    return labels_and_colours(service().pool.model.labels) | known


@api.post("/predict")
@describes(PredictAnswer, body=_PICTURES, problems=(400, 413, 415, 503))
def predict() -> Response:
    """The faces in pictures."""
    if request.is_json:
        body = uploads.json_body(PredictRequest)
        faces, files = body.faces, [uploads.from_base64(text) for text in body.images]
    else:
        faces, files = uploads.form_fields(PredictForm).faces, uploads.sent_files()
    uploads.check_together(files, most_pixels=service().settings.pixels)
    with service().pool.lent() as lent:
        images = [_picture_answer(data, faces, lent) for data in files]
    return jsonify(model=lent.model.name, detector=lent.quick.detector.name, images=images)


@api.post("/live")
@describes(LiveAnswer, body=form_content(LiveForm, most_files=1), problems=(400, 409, 413, 415, 503))
def live() -> Response:
    """The people in one frame of a camera: followed, and steadied, from frame to frame of a session."""
    fields, held = uploads.form_fields(LiveForm), service()
    (data,) = uploads.sent_files(most=1)
    with held.pool.lent() as lent:
        picture_bgr = uploads.as_bgr(uploads.decoded(data, most_pixels=held.settings.pixels))
        began = time.perf_counter()
        smoothing = fields.smoothing
        predictions = held.pool.sessions.read(fields.session, picture_bgr, lent.quick, smoothing_seconds=smoothing)
        milliseconds = (time.perf_counter() - began) * 1000
    held.figures.count_faces([prediction.label for prediction in predictions])
    height, width = picture_bgr.shape[:2]
    people = [person(prediction, held.pool.threshold) for prediction in predictions]
    return jsonify(model=lent.model.name, width=width, height=height, faces=people, milliseconds=round(milliseconds, 2))


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
    held = service()
    known = labels_and_colours(held.pool.model.labels) | {"threshold": held.pool.threshold}
    return known | {"addresses": addresses} if addresses else None


def labels_and_colours(labels: tuple[str, ...]) -> dict[str, Any]:
    """Returns the labels, and the colour of each."""
    return {"labels": labels, "colours": {label: colour(label, labels) for label in labels}}
