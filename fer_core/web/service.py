"""`Service`: what the views of one application work with. Nothing else is kept between requests."""

from collections.abc import Mapping
from dataclasses import dataclass

from flask import current_app
from itsdangerous import TimestampSigner

from fer_core.paths import Paths
from fer_core.store.clock import Clock
from fer_core.web.figures import Figures
from fer_core.web.live_sessions import LiveSessions
from fer_core.web.predictor_pool import PredictorPool
from fer_core.web.queries.run_list import RunList
from fer_core.web.settings import WebSettings
from fer_core.web.shared_answer import SharedAnswer

EXTENSION = "fer"


@dataclass(frozen=True)
class Service:
    """What the views of one application work with."""

    settings: WebSettings
    paths: Paths
    environ: Mapping[str, str]
    clock: Clock
    readers: PredictorPool
    sessions: LiveSessions
    runs: RunList
    figures: Figures
    broker_state: SharedAnswer
    """What `fer_core.web.broker.state` says."""
    signer: TimestampSigner
    """Of the crops that a result page may send back."""


def service() -> Service:
    """Returns the service of the application that answers the request."""
    return current_app.extensions[EXTENSION]
