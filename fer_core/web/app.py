"""`make_app`: the Flask application, put together. `serving.py` serves it, tests call it."""

import os
import secrets
from collections.abc import Mapping

from flask import Flask
from flask_wtf import CSRFProtect
from itsdangerous import TimestampSigner

from fer_core.paths import Paths
from fer_core.store.clock import Clock, utc_now
from fer_core.web import login, problems, safety, uploads
from fer_core.web.api import health, openapi, predict
from fer_core.web.api import jobs as jobs_api
from fer_core.web.api import runs as runs_api
from fer_core.web.broker import state as broker_state
from fer_core.web.figures import Figures
from fer_core.web.live_sessions import LiveSessions
from fer_core.web.pages import corrections, jobs, live, model, runs, searches, upload
from fer_core.web.predictor_pool import PredictorPool
from fer_core.web.queries.run_list import RunList
from fer_core.web.service import EXTENSION, Service
from fer_core.web.settings import WebSettings, host_names, secrets_of
from fer_core.web.shared_answer import SharedAnswer
from fer_core.web.shown import show_as_people_read

PAGES = (upload.pages, live.pages, runs.pages, searches.pages, jobs.pages, model.pages, corrections.pages)

_BROKER_SECONDS = 2.0
"""So long an answer of the broker's holds: each takes up to two seconds."""


def make_app(
    settings: WebSettings, paths: Paths, *, environ: Mapping[str, str] = os.environ, clock: Clock = utc_now
) -> Flask:
    """Returns the application, its model loaded. Raises ConfigError, ArtifactError.

    It holds a thread that looks for promoted models: `app.extensions["fer"].readers.close()` ends it.
    """
    known_secrets = secrets_of(settings, environ)
    app = Flask("fer_core.web")
    # Anew at each start: forms and sessions of before are refused then, which is said in a sentence.
    app.secret_key = secrets.token_bytes(32)
    # A page may be open for as long as a training takes: its forms hold as long as the session.
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    app.json.sort_keys = False
    uploads.limit_uploads(app, most_bytes=settings.upload_bytes)
    service = _service(settings, paths, environ=environ, clock=clock, secret=app.secret_key)
    app.extensions[EXTENSION] = service
    service.figures.watch(app)
    safety.guard(app, hosts=host_names(settings))
    login.lock(app, login.SignIn(known_secrets), https=settings.https)
    problems.handle_problems(app)
    show_as_people_read(app)
    _register(app)
    return app


def _service(
    settings: WebSettings, paths: Paths, *, environ: Mapping[str, str], clock: Clock, secret: bytes
) -> Service:
    return Service(
        settings=settings,
        paths=paths,
        environ=environ,
        clock=clock,
        readers=PredictorPool(settings, paths),
        sessions=LiveSessions(threshold=settings.threshold),
        runs=RunList(paths),
        figures=Figures(),
        broker_state=SharedAnswer(broker_state, fresh_seconds=_BROKER_SECONDS),
        signer=TimestampSigner(secret, salt="crop"),
    )


def _register(app: Flask) -> None:
    csrf = CSRFProtect(app)
    for blueprint in PAGES:
        app.register_blueprint(blueprint)
    for blueprint in (health.answers, openapi.api, predict.api, runs_api.api, jobs_api.api):
        # No cookie decides there: see `changes` in api/checks.py.
        csrf.exempt(blueprint)
        app.register_blueprint(blueprint)
