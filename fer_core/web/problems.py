"""Errors as answers: for programs as JSON, for browsers as a page. Both say what is wrong and what to do."""

import logging
from collections.abc import Mapping

from flask import Flask, Response, current_app, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from fer_core.errors import FerError, NotFoundError, missing_package
from fer_core.store.files import DiskFullError

_HINTS = {
    400: "Check what was sent; /api/v1/openapi.json says what is understood.",
    404: "Check the address; the menu of the page leads everywhere.",
    405: "The header Allow says which methods there are.",
    413: "Send at most {:.4g} MB at a time, or smaller pictures.",
    415: "Set the header Content-Type to what the body is.",
    431: "Send fewer or shorter headers.",
    500: "This is a bug of ours. The server's output has the traceback; please report it.",
}

log = logging.getLogger(__name__)


class RequestError(FerError):
    """A request that is refused, with the HTTP status and the headers of the answer."""

    def __init__(self, status: int, message: str, *, hint: str, headers: Mapping[str, str] | None = None):
        super().__init__(message, hint=hint)
        self.status, self.headers = status, dict(headers or {})


def handle_problems(app: Flask) -> None:
    """Makes every error an answer."""
    app.register_error_handler(FerError, _of_ours)
    app.register_error_handler(ModuleNotFoundError, lambda error: _of_ours(missing_package(error)))
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_a_bug)


def status_of(error: FerError) -> int:
    """Returns the HTTP status for an error of ours."""
    if isinstance(error, RequestError):
        return error.status
    return 404 if isinstance(error, NotFoundError) else 507 if isinstance(error, DiskFullError) else 400


def answer(problem: str, hint: str, status: int, *, page: str = "problem.html") -> Response:
    """Returns an error as JSON or, for a browser, as a page; `page` '' makes that plain text."""
    if wants_json():
        return make_response(jsonify(error=problem, hint=hint), status)
    if not page:
        return Response(f"{problem}\n{hint}\n", status, mimetype="text/plain")
    return make_response(render_template(page, problem=problem, hint=hint, status=status), status)


def answer_of_status(code: int, name: str) -> Response:
    """Returns the answer to a request that HTTP itself has a status and a name for."""
    hint = _HINTS.get(code, "Send a request as HTTP/1.1 says.")
    return answer(f"{name}.", hint.format(current_app.config["MAX_CONTENT_LENGTH"] / 2**20), code)


def wants_json() -> bool:
    """Returns whether the request comes from a program or a script, which is told in JSON what people see as pages."""
    is_api = request.path.startswith(("/api/", "/device/")) or request.path in ("/healthz", "/metrics")
    return is_api or not request.accept_mimetypes.accept_html or request.is_json


def _of_ours(error: FerError) -> Response:
    response = answer(str(error), error.hint, status_of(error))
    response.headers.update(getattr(error, "headers", {}))
    return response


def _of_http(error: HTTPException) -> Response:
    code = error.code or 500
    if code < 400:
        return error.get_response()
    if isinstance(error, CSRFError):
        return answer(f"The form cannot be trusted: {error.description}", "Reload the page, and send it again.", code)
    response = answer_of_status(code, error.name)
    response.headers.update((name, value) for name, value in error.get_headers() if name in ("Allow", "Retry-After"))
    return response


def _of_a_bug(error: Exception) -> Response:
    log.exception("%s %s failed.", request.method, request.path, exc_info=error)
    return answer("Something went wrong here.", _HINTS[500], 500)
