"""Errors as answers: for the API as JSON, for a browser as a page. Both say what is wrong and what to do."""

import logging

from flask import Flask, Response, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

from fer_core.errors import FerError, NotFoundError
from fer_core.store.files import DiskFullError
from fer_core.web.api.checks import NotAllowedError
from fer_core.web.live_sessions import BusySessionError
from fer_core.web.login import NotSignedInError, TooManyFailuresError
from fer_core.web.predictor_pool import OverloadedError
from fer_core.web.safety import ForeignOriginError, UnknownHostError
from fer_core.web.service import service
from fer_core.web.uploads import TooLargeError

RETRY_SECONDS = 1
_STATUS: dict[type[FerError], int] = {
    UnknownHostError: 400,
    NotSignedInError: 401,
    ForeignOriginError: 403,
    NotFoundError: 404,
    NotAllowedError: 403,
    BusySessionError: 409,
    TooLargeError: 413,
    TooManyFailuresError: 429,
    OverloadedError: 503,
    DiskFullError: 507,
}
_HINTS = {
    400: "Check what was sent; /api/v1/openapi.json says what is understood.",
    404: "Check the address; the menu of the page leads everywhere.",
    405: "The header Allow says which methods there are.",
    415: "Set the header Content-Type to what the body is.",
    431: "Send fewer or shorter headers.",
    500: "This is a bug of ours. The server's output has the traceback; please report it.",
}

log = logging.getLogger(__name__)


def handle_problems(app: Flask) -> None:
    """Makes every error an answer."""
    app.register_error_handler(FerError, _of_ours)
    app.register_error_handler(CSRFError, _of_csrf)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, _of_a_bug)


def status_of(error: FerError) -> int:
    """Returns the HTTP status for an error of ours: 400 unless it has one of its own."""
    return next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 400)


def answer_of_status(code: int, name: str) -> Response:
    """Returns the answer to a request that HTTP itself has a status and a name for."""
    hint = _HINTS.get(code, "Send a request as HTTP/1.1 says.")
    if code == 413:
        hint = f"Send at most {service().settings.max_upload_mb:g} MB at a time, or smaller pictures."
    return _answer(f"{name}.", hint, code)


def _of_ours(error: FerError) -> Response:
    if isinstance(error, UnknownHostError) and not wants_json():
        # Whoever comes under another name gets no page of ours, and no cookie.
        return Response(f"{error}\n{error.hint}\n", status_of(error), mimetype="text/plain")
    response = _answer(str(error), error.hint, status_of(error))
    if isinstance(error, OverloadedError):
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    if isinstance(error, TooManyFailuresError):
        response.headers["Retry-After"] = str(int(error.seconds) + 1)
    if isinstance(error, NotSignedInError):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _of_csrf(error: CSRFError) -> Response:
    return _answer(f"The form cannot be trusted: {error.description}", "Reload the page, and send it again.", 400)


def _of_http(error: HTTPException) -> Response:
    code = error.code or 500
    if code < 400:
        return error.get_response()
    response = answer_of_status(code, error.name)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _of_a_bug(error: Exception) -> Response:
    log.exception("%s %s failed.", request.method, request.path, exc_info=error)
    return _answer("Something went wrong here.", _HINTS[500], 500)


def _answer(problem: str, hint: str, status: int) -> Response:
    if wants_json():
        return make_response(jsonify(error=problem, hint=hint), status)
    return make_response(render_template("problem.html", problem=problem, hint=hint, status=status), status)


def wants_json() -> bool:
    """Returns whether the request comes from a program or a script, which is told in JSON what people see as pages."""
    is_api = request.path.startswith("/api/") or request.path in ("/healthz", "/metrics")
    return is_api or not request.accept_mimetypes.accept_html or request.is_json
