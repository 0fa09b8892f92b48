"""What every request is checked for before it is served: who made it, and where there is a token or a password, whether
it comes with that, by a header or by a session, and not by guessing. And the headers that every answer has."""

import hashlib
import hmac
import ipaddress
import re
import secrets
import threading
import time
from collections.abc import Iterable
from datetime import timedelta

from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request, session, url_for
from werkzeug.exceptions import UnsupportedMediaType

from fer_core.web.problems import RequestError, answer, wants_json

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
DEVICE_POLICY = CONTENT_SECURITY_POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'")
"""Of the pages that read on the device, and of their worker: WebAssembly counts as a script that is made there."""
REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'"
"""Of a study's report, which names files of others: it has styles, and nothing else that a browser would do."""
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
BYTES = "application/octet-stream"
SESSION_HOURS = 12
MOST_FAILURES = 5
"""Of one address in `FORGET_SECONDS`; what comes then is refused, right or wrong."""
FORGET_SECONDS = 300.0
_NEVER = timedelta(days=365)
"""Where nobody signs in, the cookie only says which forms are of which browser."""
_MOST_ADDRESSES = 10_000
_OPEN = frozenset({"login.page", "login.enter", "static", "answers.healthz"})
_ON_DEVICE = {("upload.index", None), ("live.page", None), ("static", "device/worker.js")}
_UNAUTHORIZED = {"WWW-Authenticate": "Bearer"}

pages = Blueprint("login", __name__)


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
        is_elsewhere = request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site")
        is_foreign = is_elsewhere or ("Origin" in request.headers and not _is_of_own_origin())
        if request.method in ("POST", "PUT", "PATCH", "DELETE") and is_foreign:
            hint = _OWN_PAGE.format(request.host[:100])
            raise RequestError(403, "This request was made by a page from elsewhere.", hint=hint)
        return None

    @app.after_request
    def add_headers(response: Response) -> Response:
        if (request.endpoint, (request.view_args or {}).get("filename")) in _ON_DEVICE:
            response.headers["Content-Security-Policy"] = DEVICE_POLICY
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def check_change() -> None:
    """Refuses a call of the API that changes something, but has no JSON (PUT: bytes), or no own Origin and no token.

    No cookie alone decides there.
    """
    is_as_said = request.mimetype == BYTES if request.method == "PUT" else request.is_json
    if not is_as_said and request.method != "DELETE":
        raise UnsupportedMediaType
    if not _is_of_own_origin() and not has_token():
        hint = f"Send `Origin: {request.host_url.rstrip('/')}`, or the token: `Authorization: Bearer TOKEN`."
        problem = "This call changes something, and came neither from this server's page nor with the token."
        raise RequestError(403, problem, hint=hint)


def _is_of_own_origin() -> bool:
    """Behind a proxy that speaks https, the scheme here is another one; host and port are what must be the same."""
    scheme, _, host = request.headers.get("Origin", "").rstrip("/").partition("://")
    return scheme in ("http", "https") and host.lower() == request.host.lower()


class SignIn:
    """Knows the digests of the secrets, who has signed in, and who has tried wrong ones."""

    def __init__(self, known: tuple[str, ...]):
        self._digests = [_digest(secret) for secret in known]
        self._sessions: dict[str, float] = {}
        self._failures: dict[str, list[float]] = {}
        self._changing = threading.Lock()

    @property
    def is_locked(self) -> bool:
        """Whether there is anything to know."""
        return bool(self._digests)

    def opens(self, secret: str, address: str) -> bool:
        """Returns whether this is one of the secrets. Raises RequestError (429) for an address that guesses."""
        network, now = _network_of(address), time.monotonic()
        with self._changing:
            recent = [failed for failed in self._failures.pop(network, ()) if now - failed < FORGET_SECONDS]
            # All are compared, and digests of one length, so that the time says nothing.
            is_right = sum(hmac.compare_digest(_digest(secret), digest) for digest in self._digests) > 0
            is_stopped = len(recent) >= MOST_FAILURES
            if recent or not is_right:
                self._failures[network] = recent if is_right or is_stopped else [*recent, now]
            if len(self._failures) > _MOST_ADDRESSES:
                del self._failures[next(iter(self._failures))]
        if is_stopped:
            seconds = FORGET_SECONDS - (now - recent[0])
            hint, headers = f"Try again in {seconds:.0f} seconds.", {"Retry-After": str(int(seconds) + 1)}
            raise RequestError(429, "There were too many wrong passwords or tokens.", hint=hint, headers=headers)
        return is_right

    def begin_session(self) -> str:
        """Returns the id of a new session, which lasts for `SESSION_HOURS` or until `end_session`."""
        session_id, now = secrets.token_hex(16), time.monotonic()
        with self._changing:
            lasting = {one: end for one, end in self._sessions.items() if end > now}
            self._sessions = lasting | {session_id: now + SESSION_HOURS * 3600}
        return session_id

    def end_session(self, session_id: str) -> None:
        """Ends a session, also for whoever has a copy of its cookie."""
        with self._changing:
            self._sessions.pop(session_id, None)

    def knows_session(self, session_id: str) -> bool:
        """Returns whether a session of that id has begun and not ended."""
        return self._sessions.get(session_id, 0.0) > time.monotonic()


def lock(app: Flask, sign_in: SignIn, *, https: bool) -> None:
    """Lets only those in who know a secret, where there is one."""
    app.extensions["fer-login"] = sign_in
    app.config.update(
        SESSION_COOKIE_NAME="fer_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Strict",
        SESSION_COOKIE_SECURE=https,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_HOURS) if sign_in.is_locked else _NEVER,
        SESSION_REFRESH_EACH_REQUEST=False,
    )
    app.register_blueprint(pages)
    if sign_in.is_locked:
        app.before_request(_check)


def is_locked() -> bool:
    """Returns whether this application asks for a token or password."""
    return _sign_in().is_locked


def has_token() -> bool:
    """Returns whether the request has the token in its Authorization header. Raises RequestError (429)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not is_locked():
        return False
    return _sign_in().opens(token.strip(), request.remote_addr or "")


def is_signed_in() -> bool:
    """Returns whether the request comes with a session that began with a right password."""
    return _sign_in().knows_session(session.get("signed_in", ""))


def _sign_in() -> SignIn:
    return current_app.extensions["fer-login"]


def _check() -> Response | None:
    if request.endpoint in _OPEN or is_signed_in() or has_token():
        return None
    if request.method == "GET" and not wants_json():
        return redirect(url_for("login.page", next=request.full_path.rstrip("?")))
    hint = "Send the header `Authorization: Bearer TOKEN`, or sign in."
    raise RequestError(401, "This needs the token or the password.", hint=hint, headers=_UNAUTHORIZED)


@pages.get("/login")
def page() -> str:
    """The form that asks for the password."""
    return render_template("login.html", next=_own_path(request.args.get("next", "")), problem="")


@pages.post("/login")
def enter() -> Response | tuple[str, int, dict[str, str]]:
    """Begins a session where the password is right."""
    target = _own_path(request.form.get("next", ""))
    if not _sign_in().opens(request.form.get("password", ""), request.remote_addr or ""):
        return render_template("login.html", next=target, problem="That is not the password."), 401, _UNAUTHORIZED
    session.clear()
    session["signed_in"] = _sign_in().begin_session()
    session.permanent = True
    return redirect(target)


@pages.post("/logout")
def leave() -> Response:
    """Ends the session."""
    _sign_in().end_session(session.get("signed_in", ""))
    session.clear()
    return redirect(url_for("login.page"))


def _own_path(text: str) -> str:
    """Returns a path of this server: nobody is to be sent elsewhere after signing in."""
    is_own = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if is_own else "/"


def _network_of(address: str) -> str:
    """Returns who guesses: an address, or of IPv6 the /64 that one customer has 2**64 addresses of."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    return str(found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
