"""The production server (waitress) around the application, and what is said when it starts."""

import contextlib
import logging
import sys
from collections.abc import Iterator

import cv2
import waitress
from flask import Flask
from waitress.server import BaseWSGIServer

from fer_core.errors import ConfigError
from fer_core.places import Places
from fer_core.web.app import make_app
from fer_core.web.service import EXTENSION
from fer_core.web.settings import WebSettings

_OTHER_THREADS = 8
"""For pages while all that may wait are waiting, and to say so to whoever comes then."""
_CONNECTIONS = 1000
_IDLE_SECONDS = 60


def serve(settings: WebSettings, places: Places) -> None:
    """Serves until a signal ends it. Raises ConfigError, ArtifactError."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is answered with 503
    with serving(settings, places) as server:
        print(f"Serving on {address(server)} – Ctrl-C ends it.", file=sys.stderr, flush=True)
        server.run()


@contextlib.contextmanager
def serving(settings: WebSettings, places: Places) -> Iterator[BaseWSGIServer]:
    """Yields a server that listens; `run()` serves. Raises ConfigError, ArtifactError."""
    # The pictures are what goes side by side, not the parts of one.
    cv2.setNumThreads(1)
    app = make_app(settings, places)
    server = _listening(app, settings)
    try:
        yield server
    finally:
        app.extensions[EXTENSION].readers.close()
        server.close()


def address(server: BaseWSGIServer) -> str:
    """Returns the address to open in a browser."""
    host = server.effective_host
    name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{name}:{server.effective_port}"


def _listening(app: Flask, settings: WebSettings) -> BaseWSGIServer:
    try:
        return waitress.create_server(
            app,
            host=settings.host,
            port=settings.port,
            threads=settings.reader_count + settings.waiting + _OTHER_THREADS,
            connection_limit=_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            max_request_body_size=settings.upload_bytes,
            # Bodies stay in memory: nothing of an upload is written anywhere.
            inbuf_overflow=settings.upload_bytes + 1,
            outbuf_overflow=256 * 2**20,
            ident=None,
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"{settings.host}:{settings.port} cannot be listened on: {reason}.",
            hint="Another program may use the port: give another --port, or 0 for a free one.",
        ) from None
