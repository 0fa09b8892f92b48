"""`make_app`: the Flask application, put together. `serving.py` serves it, tests call it."""

import os
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from flask import Flask
from flask_wtf import CSRFProtect

from fer_core.paths import Paths
from fer_core.store.files import Clock, utc_now
from fer_core.training.progress import duration
from fer_core.web import openapi, problems, safety, uploads
from fer_core.web.service import Service, service
from fer_core.web.settings import WebSettings, host_names, secrets_of
from fer_core.web.views import batches, corrections, data, faces, jobs, model, runs

PAGES = (
    *(faces.upload, faces.live_page, batches.pages, runs.pages, runs.searches),
    *(jobs.pages, model.pages, data.pages, corrections.pages),
)
CALLS = (faces.device, model.api, openapi.api, faces.api, batches.api, runs.api, jobs.api, data.api)


def make_app(
    settings: WebSettings, paths: Paths, *, environ: Mapping[str, str] = os.environ, clock: Clock = utc_now
) -> Flask:
    """Returns the application, its model loaded. Raises ConfigError, ArtifactError.

    It holds threads that look for promoted models and see to uploads: `service(app).close()` ends it.
    """
    known_secrets = secrets_of(settings, environ)
    app = Flask("fer_core.web")
    # Anew at each start: forms and sessions of before are refused then, which is said in a sentence.
    app.secret_key = secrets.token_bytes(32)
    # A page may be open for as long as a training takes: its forms hold as long as the session.
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    app.json.sort_keys = False
    uploads.limit_uploads(app, most_bytes=settings.upload_bytes)
    Service(app, settings, paths, environ=environ, clock=clock)
    safety.guard(app, hosts=host_names(settings))
    safety.lock(app, safety.SignIn(known_secrets), https=settings.https)
    problems.handle_problems(app)
    for name, write in _FILTERS.items():
        app.add_template_filter(lambda value, write=write: "–" if value in (None, "") else write(value), name)
    app.context_processor(_known_everywhere)
    add_views(app)
    return app


def add_views(app: Flask) -> None:
    """Adds all pages and calls."""
    csrf = CSRFProtect(app)
    for blueprint in PAGES:
        app.register_blueprint(blueprint)
    for blueprint in CALLS:
        csrf.exempt(blueprint)  # no cookie decides there: see `safety.check_change`
        app.register_blueprint(blueprint)


def _value(setting: Any) -> str:
    """Returns a setting's value as short as it can be understood."""
    if setting is None or setting in ([], (), {}):
        return "–"
    if isinstance(setting, bool):
        return "yes" if setting else "no"
    if isinstance(setting, float):
        return f"{setting:.4g}"
    if isinstance(setting, list | tuple):
        return ", ".join(map(_value, setting))
    if isinstance(setting, dict):
        return ", ".join(f"{name}={_value(part)}" for name, part in setting.items())
    return str(setting)


_FILTERS: dict[str, Callable[[Any], str]] = {
    "percent": "{:.1%}".format,
    "timestamp": lambda text: f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M} UTC",
    "duration": duration,
    "number": lambda amount: f"{amount:,}" if isinstance(amount, int) else f"{amount:,.4g}",
    "value": _value,
}
"""How values are written in the templates; '–' where there is none."""


def _known_everywhere() -> dict[str, Any]:
    is_signed_in, pool = safety.is_signed_in(), service().pool
    if safety.is_locked() and not is_signed_in:
        return {"is_signed_in": False}  # a stranger sees the login, and no more than that
    return {"is_signed_in": is_signed_in, "model_name": pool.model.name, "model_problem": pool.problem}
