"""/api/v1/openapi.json: what the API understands and answers, made from the models that check it."""

from typing import Any

from flask import Blueprint, Response, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fer_core.web.api import answers
from fer_core.web.figures import CONTENT_TYPE
from fer_core.web.login import is_locked
from fer_core.web.service import service
from fer_core.web.settings import WebSettings
from fer_core.web.uploads import LARGEST_TOGETHER, MOST_PICTURES

api = Blueprint("openapi", __name__, url_prefix="/api/v1")

_FILE = {"type": "string", "contentMediaType": "application/octet-stream", "contentEncoding": "binary"}
_ID = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": 120}


@api.get("/openapi.json")
def document() -> Response:
    """The OpenAPI document."""
    return jsonify(openapi_document(service().settings, is_locked=is_locked()))


def openapi_document(settings: WebSettings, *, is_locked: bool) -> dict[str, Any]:
    """Returns the document with this server's limits; with a lock, calls need the token."""
    limits = _LIMITS.format(
        count=MOST_PICTURES,
        megabytes=settings.max_upload_mb,
        each=settings.max_megapixels,
        together=LARGEST_TOGETHER * settings.max_megapixels,
    )
    security = {"security": [{"token": []}]} if is_locked else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Facial emotions", "version": "1", "description": _ABOUT + limits},
        "servers": [{"url": "/"}],
        "paths": {path: {verb: call() for verb, call in calls.items()} for path, calls in _PATHS.items()},
        "components": {"schemas": _schemas(), "securitySchemes": _SCHEMES},
        **security,
    }


_ABOUT = (
    "Reads emotions in faces, and shows and steers trainings. Errors are JSON: `error` says what is wrong, `hint` what "
    "to do. Calls that change something need `Content-Type: application/json`, and the token or this server's Origin."
)
_LIMITS = (
    " A request may have {count} pictures, {megabytes:g} MB and {together:g} megapixels in all, {each:g} in each "
    "picture; those of 16 bits count twice. Larger ones are refused (413)."
)
_SCHEMES = {"token": {"type": "http", "scheme": "bearer", "description": "What --token or --password-file says."}}


def _predict() -> dict[str, Any]:
    return _call(
        "The faces in pictures.",
        answers.PredictAnswer,
        body={
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {"type": "array", "items": _FILE, "minItems": 1, "maxItems": MOST_PICTURES},
                        "faces": {"type": "string", "enum": ["find", "given"], "default": "find"},
                    },
                }
            },
            "application/json": {"schema": _ref(answers.PredictRequest)},
        },
        problems=(400, 413, 415, 503),
    )


def _live() -> dict[str, Any]:
    return _call(
        "The people in one frame of a camera: followed, and steadied, from frame to frame of a session.",
        answers.LiveAnswer,
        body={
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image", "session"],
                    "properties": {
                        "image": _FILE,
                        "session": {"type": "string", "pattern": "^[A-Za-z0-9-]{8,64}$"},
                        "smoothing": {"type": "number", "minimum": 0, "maximum": 10, "default": 0.5},
                    },
                }
            }
        },
        problems=(400, 409, 413, 415, 503),
    )


def _new_job() -> dict[str, Any]:
    body = {"application/json": {"schema": _ref(answers.JobRequest)}}
    return _call("Sends a job.", answers.JobDetailAnswer, body=body, status=201, problems=(400, 403, 413, 415))


def _change(about: str) -> Any:
    return lambda: _call(
        about,
        answers.JobDetailAnswer,
        body={"application/json": {"schema": {"type": "object"}}},
        parameters=("name",),
        status=202,
        problems=(400, 403, 404, 413, 415),
    )


def _get(about: str, model: type[BaseModel], *parameters: str) -> Any:
    problems = (400, 404) if parameters else ()
    return lambda: _call(about, model, parameters=parameters, problems=problems)


def _health() -> dict[str, Any]:
    """Open to everybody."""
    answer = _answer("As asked.", answers.HealthAnswer)
    return {"summary": "Whether the server answers.", "responses": {"200": answer}, "security": []}


def _metrics() -> dict[str, Any]:
    text = {"description": "As asked.", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}
    problems = {str(code): _answer(_REASONS[code], answers.Problem) for code in (401, 429)}
    return {"summary": "Figures for Prometheus.", "responses": {"200": text, **problems}}


_PATHS: dict[str, dict[str, Any]] = {
    "/api/v1/predict": {"post": _predict},
    "/api/v1/live": {"post": _live},
    "/api/v1/runs": {"get": _get("All trainings, the newest first.", answers.RunsAnswer)},
    "/api/v1/runs/{run_id}": {"get": _get("One training.", answers.RunDetailAnswer, "run_id")},
    "/api/v1/searches/{search_id}": {"get": _get("One search.", answers.SearchAnswer, "search_id")},
    "/api/v1/jobs": {"get": _get("The jobs, open ones first.", answers.JobsAnswer), "post": _new_job},
    "/api/v1/jobs/{name}": {"get": _get("A job, by its id or that of its run.", answers.JobDetailAnswer, "name")},
    "/api/v1/jobs/{name}/cancel": {"post": _change("Asks a job to end.")},
    "/api/v1/jobs/{name}/resume": {"post": _change("Goes on with a job that failed or was cancelled.")},
    "/api/v1/workers": {"get": _get("Whether the broker answers, and who listens.", answers.WorkersAnswer)},
    "/healthz": {"get": _health},
    "/metrics": {"get": _metrics},
}


def _call(
    about: str,
    model: type[BaseModel],
    *,
    body: dict[str, Any] | None = None,
    parameters: tuple[str, ...] = (),
    status: int = 200,
    problems: tuple[int, ...] = (),
) -> dict[str, Any]:
    call: dict[str, Any] = {"summary": about, "responses": {str(status): _answer("As asked.", model)}}
    for code in (*problems, 401, 429):
        call["responses"][str(code)] = _answer(_REASONS[code], answers.Problem)
    if parameters:
        call["parameters"] = [{"name": name, "in": "path", "required": True, "schema": _ID} for name in parameters]
    if body:
        call["requestBody"] = {"required": True, "content": body}
    return call


_REASONS = {
    400: "What was sent cannot be used.",
    401: "The token is missing.",
    403: "The call comes from elsewhere.",
    404: "There is nothing of that name.",
    409: "The frame before is still being read.",
    413: "The request, a picture in it, or all of them together are too large.",
    415: "The body is of another type than the call takes.",
    429: "Too many wrong tokens came from this address.",
    503: "Too many pictures wait; Retry-After says when to come again.",
}


def _answer(about: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": _ref(model)}}}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _schemas() -> dict[str, Any]:
    models = [one for one in vars(answers).values() if isinstance(one, type) and issubclass(one, BaseModel)]
    public = [one for one in models if not one.__name__.startswith("_") and one is not BaseModel]
    _, schema = models_json_schema([(one, "validation") for one in public], ref_template="#/components/schemas/{model}")
    return schema["$defs"]
