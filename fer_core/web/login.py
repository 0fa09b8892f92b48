"""Who may come in, where there is a token or a password: by a header or by a session, and not by guessing."""

import hashlib
import hmac
import ipaddress
import secrets
import threading
import time
from datetime import timedelta

from flask import Blueprint, Flask, Response, current_app, redirect, render_template, request, session, url_for

from fer_core.web.problems import RequestError

SESSION_HOURS = 12
MOST_FAILURES = 5
"""Of one address in `FORGET_SECONDS`; what comes then is refused, right or wrong."""
FORGET_SECONDS = 300.0
_NEVER = timedelta(days=365)
"""Where nobody signs in, the cookie only says which forms are of which browser."""
_MOST_ADDRESSES = 10_000
_OPEN = frozenset({"login.page", "login.enter", "static", "answers.healthz"})
_ASKED_BY_PROGRAMS = frozenset({"answers", "api", "openapi", "runs_api", "jobs_api"})
_EXTENSION = "fer-login"
_UNAUTHORIZED = {"WWW-Authenticate": "Bearer"}

pages = Blueprint("login", __name__)


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
        session_id = secrets.token_hex(16)
        with self._changing:
            self._sessions = {one: began for one, began in self._sessions.items() if _lasts(began)}
            self._sessions[session_id] = time.monotonic()
        return session_id

    def end_session(self, session_id: str) -> None:
        """Ends a session, also for whoever has a copy of its cookie."""
        with self._changing:
            self._sessions.pop(session_id, None)

    def knows_session(self, session_id: str) -> bool:
        """Returns whether a session of that id has begun and not ended."""
        began = self._sessions.get(session_id)
        return began is not None and _lasts(began)


def lock(app: Flask, sign_in: SignIn, *, https: bool) -> None:
    """Lets only those in who know a secret, where there is one."""
    app.extensions[_EXTENSION] = sign_in
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
    return current_app.extensions[_EXTENSION]


def _check() -> Response | None:
    if request.endpoint in _OPEN or is_signed_in() or has_token():
        return None
    if request.method == "GET" and request.blueprint not in _ASKED_BY_PROGRAMS:
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


def _lasts(began: float) -> bool:
    return time.monotonic() - began < SESSION_HOURS * 3600


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
