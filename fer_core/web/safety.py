"""What every request is checked for before it is served, and the headers that every answer has."""

import re
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

from flask import Flask, Response, request
from werkzeug.exceptions import UnsupportedMediaType

from fer_core.web.login import has_token
from fer_core.web.problems import RequestError, answer

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}
_OWN_PAGE = (
    "Use the page of this server itself. Behind a proxy, have that send the browser's own Host header, with its port "
    "(nginx: `proxy_set_header Host $http_host;`); here it was {}."
)
_CHANGING = ("POST", "PUT", "PATCH", "DELETE")


def guard(app: Flask, *, hosts: Iterable[str]) -> None:
    """Refuses requests under other names than `hosts`, and those that pages from elsewhere make; adds the headers."""
    known = frozenset(hosts)

    @app.before_request
    def check() -> Response | None:
        name = re.sub(r":\d*$", "", request.host.lower())
        if name not in known:
            hint = "Start it with --allow-host NAME, or use the address that it printed when it started."
            # Whoever comes under another name gets no page of ours, and no cookie.
            return answer(f"This server is not known as {name[:100]!r}.", hint, 400, page="")
        if request.method in _CHANGING and _is_foreign():
            hint = _OWN_PAGE.format(request.host[:100])
            raise RequestError(403, "This request was made by a page from elsewhere.", hint=hint)
        return None

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def changes(view: Callable) -> Callable:
    """Marks a view of the API that changes something: it needs JSON, and the Origin of our own page or the token.

    No cookie alone decides there.
    """

    @wraps(view)
    def checked(*arguments: Any, **named: Any) -> Any:
        if not request.is_json:
            raise UnsupportedMediaType
        if not _is_of_own_origin() and not has_token():
            own = request.host_url.rstrip("/")
            raise RequestError(
                403,
                "This call changes something, and came neither from this server's page nor with the token.",
                hint=f"Send `Origin: {own}`, or the token: `Authorization: Bearer TOKEN`.",
            )
        return view(*arguments, **named)

    return checked


def _is_foreign() -> bool:
    """Whether the browser says that a page from elsewhere made this request."""
    is_elsewhere = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
    return is_elsewhere or ("Origin" in request.headers and not _is_of_own_origin())


def _is_of_own_origin() -> bool:
    """Behind a proxy that speaks https, the scheme here is another one; host and port are what must be the same."""
    scheme, _, host = request.headers.get("Origin", "").rstrip("/").partition("://")
    return scheme in ("http", "https") and host.lower() == request.host.lower()
