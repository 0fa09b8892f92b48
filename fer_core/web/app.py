"""`make_app`: the Flask application, put together. `serving.py` serves it, tests call it."""

import os
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import Flask
from flask_wtf import CSRFProtect
from itsdangerous import TimestampSigner

from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now
from fer_core.training.report import duration
from fer_core.web import login, openapi, problems, safety, uploads
from fer_core.web.job_detail import broker_state
from fer_core.web.live_sessions import LiveSessions
from fer_core.web.predictor_pool import PredictorPool
from fer_core.web.run_list import RunList
from fer_core.web.service import Service, SharedAnswer, service
from fer_core.web.settings import WebSettings, host_names, secrets_of
from fer_core.web.views import corrections, faces, jobs, model, runs

PAGES = (faces.upload, faces.live_page, runs.pages, runs.searches, jobs.pages, model.pages, corrections.pages)
CALLS = (model.api, openapi.api, faces.api, runs.api, jobs.api)

_BROKER_SECONDS = 2.0
"""So long an answer of the broker's holds: each takes up to two seconds."""


def make_app(
    settings: WebSettings, paths: Paths, *, environ: Mapping[str, str] = os.environ, clock: Clock = utc_now
) -> Flask:
    """Returns the application, its model loaded. Raises ConfigError, ArtifactError.

    It holds a thread that looks for promoted models: `service(app).readers.close()` ends it.
    """
    known_secrets = secrets_of(settings, environ)
    app = Flask("fer_core.web")
    # Anew at each start: forms and sessions of before are refused then, which is said in a sentence.
    app.secret_key = secrets.token_bytes(32)
    # A page may be open for as long as a training takes: its forms hold as long as the session.
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    app.json.sort_keys = False
    uploads.limit_uploads(app, most_bytes=settings.upload_bytes)
    Service(
        settings=settings,
        paths=paths,
        environ=environ,
        clock=clock,
        readers=PredictorPool(settings, paths),
        sessions=LiveSessions(threshold=settings.threshold),
        runs=RunList(paths),
        broker_state=SharedAnswer(broker_state, fresh_seconds=_BROKER_SECONDS),
        signer=TimestampSigner(app.secret_key, salt="crop"),
    ).install(app)
    safety.guard(app, hosts=host_names(settings))
    login.lock(app, login.SignIn(known_secrets), https=settings.https)
    problems.handle_problems(app)
    for show in (percent, timestamp, number, value):
        app.add_template_filter(show)
    app.add_template_filter(lambda seconds: "–" if seconds is None else duration(seconds), "duration")
    app.context_processor(_known_everywhere)
    add_views(app)
    return app


def add_views(app: Flask) -> None:
    """Adds all pages and calls."""
    csrf = CSRFProtect(app)
    for blueprint in PAGES:
        app.register_blueprint(blueprint)
    for blueprint in CALLS:
        csrf.exempt(blueprint)  # no cookie decides there: see `safety.changes`
        app.register_blueprint(blueprint)


def percent(fraction: float | None) -> str:
    """Returns a fraction 0..1 as per cent with one decimal, '–' where there is none."""
    return "–" if fraction is None else f"{fraction:.1%}"


def timestamp(text: str | None) -> str:
    """Returns a point in time as people write it: 2026-01-31 14:02 UTC."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC" if text else "–"


def number(amount: float | None) -> str:
    """Returns a number with thousands separated, or with four digits that count."""
    if amount is None:
        return "–"
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.4g}"


def value(setting: Any) -> str:
    """Returns a setting's value as short as it can be understood."""
    if isinstance(setting, bool):
        return "yes" if setting else "no"
    if isinstance(setting, float):
        return f"{setting:.4g}"
    if isinstance(setting, list | tuple):
        return ", ".join(map(value, setting)) or "–"
    if isinstance(setting, dict):
        return ", ".join(f"{name}={value(part)}" for name, part in setting.items()) or "–"
    return "–" if setting is None else str(setting)


def _known_everywhere() -> dict[str, Any]:
    known: dict[str, Any] = {"is_signed_in": login.is_signed_in()}
    if login.is_locked() and not known["is_signed_in"]:
        return known  # a stranger sees the login, and no more than that
    readers = service().readers
    return known | {"model_name": readers.model.name, "model_problem": readers.problem}
