"""POST /api/v1/predict: the faces in pictures. POST /api/v1/live: the frames of a camera, people followed."""

import re
import time
from typing import Any, Literal, get_args

import numpy as np
from flask import Blueprint, Response, jsonify, request

from fer_core.errors import ConfigError, did_you_mean
from fer_core.live.prediction import Prediction
from fer_core.live.predictor import SMOOTHING_SECONDS, FacePredictor
from fer_core.web.api.answers import PredictRequest
from fer_core.web.api.checks import body_as
from fer_core.web.predictor_pool import LentPredictor
from fer_core.web.service import service
from fer_core.web.uploads import BadUploadError, as_bgr, check_together, decoded, from_base64, sent_files

Faces = Literal["find", "given"]
_SESSION = re.compile(r"[A-Za-z0-9-]{8,64}")
_LONGEST_SMOOTHING = 10.0

api = Blueprint("api", __name__, url_prefix="/api/v1")


@api.post("/predict")
def predict() -> Response:
    """The faces in one or several pictures."""
    files, faces = _sent()
    check_together(files, most_pixels=service().settings.pixels)
    with service().readers.lent() as lent:
        images = [_picture_answer(data, faces, lent) for data in files]
    return jsonify(model=lent.model.name, detector=lent.detector_name, images=images)


@api.post("/live")
def live() -> Response:
    """The people in one frame of a visit of the live page."""
    session_id, smoothing = _visit()
    (data,) = sent_files(most=1)
    held = service()
    with held.readers.lent() as lent:
        picture_bgr = as_bgr(decoded(data, most_pixels=held.settings.pixels))
        began = time.perf_counter()
        predictions = held.sessions.read(session_id, picture_bgr, lent.quick, smoothing_seconds=smoothing)
        milliseconds = (time.perf_counter() - began) * 1000
    _count(predictions)
    height, width = picture_bgr.shape[:2]
    people = [_person(prediction, held.settings.threshold) for prediction in predictions]
    return jsonify(model=lent.model.name, width=width, height=height, faces=people, milliseconds=round(milliseconds, 2))


def _person(prediction: Prediction, threshold: float) -> dict[str, Any]:
    """Returns a reading whose words fit its own numbers: label and unsure lag behind in it, for 0.3 s at most."""
    likeliest = max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    lags = {"unsure": prediction.confidence < threshold, "held": prediction.label != likeliest}
    return prediction.to_json() | lags


def _sent() -> tuple[list[bytes], Faces]:
    """Returns the files and what is to be done with them, of a multipart or a JSON request."""
    if request.is_json:
        body = body_as(PredictRequest)
        return [from_base64(text) for text in body.images], body.faces
    faces = request.form.get("faces", "find")
    if faces not in get_args(Faces):
        raise ConfigError(f"faces cannot be {faces[:40]!r}.", hint=did_you_mean(faces, get_args(Faces)))
    return sent_files(), faces


def _picture_answer(data: bytes, faces: Faces, lent: LentPredictor) -> dict[str, Any]:
    picture = decoded(data, most_pixels=service().settings.pixels)
    predictions = _read(lent.for_picture(picture), picture, faces)
    _count(predictions)
    told = [prediction.to_json() for prediction in predictions]
    for one in told:
        del one["person"]
    return {"width": picture.shape[1], "height": picture.shape[0], "faces": told}


def _read(predictor: FacePredictor, picture: np.ndarray, faces: Faces) -> list[Prediction]:
    return predictor.read(picture) if faces == "find" else predictor.read_given(picture)


def _visit() -> tuple[str, float]:
    """Returns the visit's id and its smoothing in seconds."""
    session_id = request.form.get("session", "")
    if not _SESSION.fullmatch(session_id):
        raise BadUploadError(
            "There is no session in the request.", hint="Send field `session`: 8 to 64 letters, digits."
        )
    text = request.form.get("smoothing", str(SMOOTHING_SECONDS))
    try:
        smoothing = float(text)
    except ValueError:
        smoothing = -1.0
    if not 0 <= smoothing <= _LONGEST_SMOOTHING:
        raise BadUploadError(
            f"smoothing cannot be {text[:40]!r}.", hint=f"It is seconds, 0 to {_LONGEST_SMOOTHING:g}; 0 = off."
        )
    return session_id, smoothing


def _count(predictions: list[Prediction]) -> None:
    figures = service().figures
    figures.pictures.inc()
    for prediction in predictions:
        figures.faces.labels(prediction.label).inc()
