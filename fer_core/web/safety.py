"""What every request is checked for before it is served, and the headers that every answer has."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from flask import Flask, Response, request

from fer_core.errors import FerError

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
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


class UnknownHostError(FerError):
    """The Host header is none that the server was told."""


class ForeignOriginError(FerError):
    """The request was made by a page from elsewhere."""


def guard(app: Flask, *, hosts: Iterable[str]) -> None:
    """Refuses requests under other names than `hosts`, and those that pages from elsewhere make; adds the headers."""
    known = frozenset(hosts)

    @app.before_request
    def check() -> None:
        _check_host(request.host, known)
        if request.method in _CHANGING and is_foreign():
            raise ForeignOriginError(
                "This request was made by a page from elsewhere.", hint=_OWN_PAGE.format(request.host[:100])
            )

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def is_foreign() -> bool:
    """Returns whether the browser says that a page from elsewhere made this request."""
    if request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        return True
    origin = request.headers.get("Origin")
    return origin is not None and not _is_own(origin)


def is_same_origin() -> bool:
    """Returns whether the browser says that a page of ours made this request."""
    origin = request.headers.get("Origin")
    return origin is not None and _is_own(origin)


def _is_own(origin: str) -> bool:
    """Behind a proxy that speaks https, the scheme here is another one; host and port are what must be the same."""
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == request.host.lower()


def _check_host(host: str, known: frozenset[str]) -> None:
    name = re.sub(r":\d*$", "", host.lower())
    if name not in known:
        raise UnknownHostError(
            f"This server is not known as {name[:100]!r}.",
            hint="Start it with --allow-host NAME, or use the address that it printed when it started.",
        )
