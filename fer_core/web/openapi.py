"""/api/v1/openapi.json: what the API understands and answers, made from its views and the models that check them."""

import re
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify, make_response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fer_core.store.files import plain
from fer_core.web import answers
from fer_core.web.safety import check_change, is_locked
from fer_core.web.service import service
from fer_core.web.settings import WebSettings
from fer_core.web.uploads import LARGEST_TOGETHER, MOST_PICTURES

api = Blueprint("openapi", __name__, url_prefix="/api/v1")

_FILE = {"type": "string", "contentMediaType": "application/octet-stream", "contentEncoding": "binary"}
_ID = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]*$", "maxLength": 120}
_ABOUT = (
    "Reads emotions in faces, and shows and steers trainings. Errors are JSON: `error` says what is wrong, `hint` what "
    "to do. Calls that change something need `Content-Type: application/json`, and the token or this server's Origin. "
    "A request may have {count} pictures, {megabytes:g} MB and {together:g} megapixels in all, {each:g} in each "
    "picture; those of 16 bits count twice. Larger ones are refused (413)."
)
_SCHEMES = {"token": {"type": "http", "scheme": "bearer", "description": "What --token or --password-file says."}}
_REASONS = {
    400: "What was sent cannot be used.",
    401: "The token is missing.",
    403: "The call comes from elsewhere.",
    404: "There is nothing of that name.",
    409: "Not now: the frame before is still being read, or what was sent does not go on there.",
    413: "The request, a picture in it, or all of them together are too large.",
    415: "The body is of another type than the call takes.",
    429: "Too many wrong tokens came from this address.",
    507: "There is no room for it.",
    503: "Too many pictures wait; Retry-After says when to come again.",
}


@api.get("/openapi.json")
def document() -> dict[str, Any]:
    """The OpenAPI document."""
    return openapi_document(current_app, service().settings, is_locked=is_locked())


def openapi_document(app: Flask, settings: WebSettings, *, is_locked: bool) -> dict[str, Any]:
    """Returns the document of an application's calls with this server's limits; with a lock, they need the token."""
    paths: dict[str, Any] = {}
    for rule in app.url_map.iter_rules():
        call = getattr(app.view_functions[rule.endpoint], "openapi", None)
        if call is not None:
            (verb,) = rule.methods - {"HEAD", "OPTIONS"}
            named = [{"name": name, "in": "path", "required": True, "schema": _ID} for name in rule.arguments]
            named += call.get("parameters", [])
            paths.setdefault(re.sub("<(.+?)>", r"{\1}", rule.rule), {})[verb.lower()] = call | (
                {"parameters": named} if named else {}
            )
    about = _ABOUT.format(
        count=MOST_PICTURES,
        megabytes=settings.max_upload_mb,
        each=settings.max_megapixels,
        together=LARGEST_TOGETHER * settings.max_megapixels,
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Facial emotions", "version": "1", "description": about},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": _SCHEMES},
    } | ({"security": [{"token": []}]} if is_locked else {})


def describes(
    answer: type[BaseModel] | None,
    *,
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | dict[str, Any] | None = None,
    status: int = 200,
    problems: Sequence[int] = (),
    is_open: bool = False,
) -> Callable[[Callable], Callable]:
    """Makes a view a call of the API: what it returns becomes JSON, and the document says so; its docstring sums it up.

    Args:
        answer: what it answers with; None: the text for Prometheus.
        query: what may stand behind the ? of its address.
        body: the model of a JSON body, or what `json_content` and `form_content` return.
        problems: the statuses that it may refuse with, beside those for a missing token; 403 says that it changes
            something, and has that checked.
        is_open: whether it needs no token.
    """
    text = {"description": "As asked.", "content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}}
    responses = {str(status): text if answer is None else _answer("As asked.", answer)}
    refusals = () if is_open else (*problems, 401, 429)
    responses |= {str(code): _answer(_REASONS[code], answers.Problem) for code in refusals}
    call: dict[str, Any] = {"responses": responses}
    if query:
        schema = query.model_json_schema()
        call["parameters"] = [
            {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": one}
            for name, one in schema["properties"].items()
        ]
    if body:
        call["requestBody"] = {"required": True, "content": json_content(body) if isinstance(body, type) else body}
    if is_open:
        call["security"] = []

    def mark(view: Callable) -> Callable:
        @wraps(view)
        def answered(**named: str) -> Response:
            if 403 in problems:
                check_change()
            found = view(**named)
            return found if isinstance(found, Response) else make_response(jsonify(plain(found)), status)

        answered.openapi = {"summary": view.__doc__, **call}
        return answered

    return mark


def json_content(model: type[BaseModel] | None) -> dict[str, Any]:
    """Returns a JSON body as `describes` takes it; None for any object."""
    return {"application/json": {"schema": _ref(model) if model else {"type": "object"}}}


def form_content(model: type[BaseModel], *, most_files: int) -> dict[str, Any]:
    """Returns a form with pictures, `most_files` of them, as `describes` takes it."""
    files = {"type": "array", "items": _FILE, "minItems": 1, "maxItems": most_files}
    schema = model.model_json_schema()
    schema["properties"]["image"] = _FILE if most_files == 1 else files
    schema["required"] = ["image", *schema.get("required", ())]
    return {"multipart/form-data": {"schema": schema}}


def _answer(about: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": about, "content": {"application/json": {"schema": _ref(model)}}}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _schemas() -> dict[str, Any]:
    models = [one for one in vars(answers).values() if isinstance(one, type) and issubclass(one, BaseModel)]
    public = [one for one in models if not one.__name__.startswith("_") and one is not BaseModel]
    _, schema = models_json_schema([(one, "validation") for one in public], ref_template="#/components/schemas/{model}")
    return schema["$defs"]
