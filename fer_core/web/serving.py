"""The production server (waitress) around the application, and what it refuses before that sees it.

What is too much, too slow or no HTTP is answered like every other error: as JSON to programs, as a page to browsers.
"""

import contextlib
import ctypes
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import waitress
from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import BaseWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import BadRequest

from fer_core.cli.command_line import send_native_messages_to
from fer_core.errors import ConfigError
from fer_core.paths import Paths
from fer_core.web.app import make_app
from fer_core.web.problems import answer_of_status
from fer_core.web.service import service
from fer_core.web.settings import WebSettings, password_warning

HEADER_SECONDS = 10.0
"""So long may the head of a request take. Who sends a byte now and then would hold a connection for ever otherwise."""
SLOWEST_BYTES_PER_SECOND = 500
"""Of a body, as Apache's mod_reqtimeout has it."""
_LONGEST_LINE = 1024
"""Between the chunks of a body: waitress would copy and search all of a line again with every packet of it."""
_LONGEST_TRAILER = 16 * 1024
_OTHER_THREADS = 8
"""For pages while all that may wait are waiting, and to say so to whoever comes then."""
_INCOMING_BYTES = 4 * 2**30
"""Of requests that come in at the same time. They are held in memory, also those of whoever has not signed in."""
_CONNECTIONS = 1000
_IDLE_SECONDS = 60
_MALLOPT = {
    -8: 2,  # M_ARENA_MAX: each thread's own heap would keep what its largest request took, 200 MB in all
    -3: 4 * 2**20,  # M_MMAP_THRESHOLD: smaller blocks are not taken from the system anew in every request,
    -1: 16 * 2**20,  # M_TRIM_THRESHOLD: nor given back after it, which costs 2 of 10 ms
}


class Serving(NamedTuple):
    """A server that listens, and what it serves."""

    server: BaseWSGIServer
    app: Flask

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        one = (getattr(self.server, "effective_host", ""), getattr(self.server, "effective_port", 0))
        # There are several where a name stands for several addresses.
        host, port = getattr(self.server, "effective_listen", [one])[0]
        name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, f"[{host}]" if ":" in host else host)
        return f"http://{name}:{port}"


def serve(settings: WebSettings, paths: Paths) -> None:
    """Serves until a signal ends it. Raises ConfigError, ArtifactError."""
    # What decoders say of broken pictures on file descriptor 2: whoever sends them could fill the log.
    send_native_messages_to(Path(os.devnull))
    # The pictures are what goes side by side, not the parts of one.
    cv2.setNumThreads(1)
    with contextlib.suppress(OSError, AttributeError):  # where there is another C library
        for setting, value in _MALLOPT.items():
            ctypes.CDLL(None).mallopt(setting, value)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is answered with 503
    with serving(settings, paths) as started:
        if warning := password_warning(settings.password_file):
            print(warning, file=sys.stderr, flush=True)
        print(f"Serving on {started.url} – Ctrl-C ends it.", file=sys.stderr, flush=True)
        started.server.run()


@contextlib.contextmanager
def serving(settings: WebSettings, paths: Paths, *, environ: Mapping[str, str] = os.environ) -> Iterator[Serving]:
    """Yields a server that listens; its `run()` serves. Raises ConfigError, ArtifactError."""
    app = make_app(settings, paths, environ=environ)
    server = _listening(app, settings)
    _refuse_as_the_pages_do(server, app)
    try:
        yield Serving(server, app)
    finally:
        service(app).close()
        server.close()


def _listening(app: Flask, settings: WebSettings) -> BaseWSGIServer:
    threads = settings.predictor_count + settings.waiting + _OTHER_THREADS
    # So many that their requests fit into memory, but one for each thread.
    connections = max(min(_CONNECTIONS, _INCOMING_BYTES // settings.upload_bytes), threads)
    try:
        return waitress.create_server(
            app,
            host=settings.host,
            port=settings.port,
            threads=threads,
            connection_limit=connections,
            channel_timeout=_IDLE_SECONDS,
            asyncore_use_poll=True,  # select() knows no more than 1,024 files
            max_request_body_size=settings.upload_bytes + 1,  # waitress takes what is smaller than that
            trusted_proxy=settings.proxy,
            trusted_proxy_headers={"x-forwarded-for", "x-forwarded-proto"} if settings.proxy else set(),
            clear_untrusted_proxy_headers=True,
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


class _Parser(HTTPRequestParser):
    """One request as it comes in."""

    def __init__(self, adj: Any):
        super().__init__(adj)
        self.began = time.monotonic()

    def received(self, data: bytes) -> int:
        """Takes more of the request, and returns how many bytes of `data` belong to it."""
        consumed = super().received(data)
        line, trailer = (getattr(self.body_rcv, name, b"") for name in ("control_line", "trailer"))
        if not self.completed and (len(line) > _LONGEST_LINE or len(trailer) > _LONGEST_TRAILER):
            self.error = BadRequest("The lines between the chunks are too long")
            self.completed = True
        return consumed

    @property
    def is_late(self) -> bool:
        """Whether it comes in more slowly than it may."""
        allowed = HEADER_SECONDS
        if self.headers_finished:
            allowed += self.body_bytes_received / SLOWEST_BYTES_PER_SECOND
        return time.monotonic() - self.began > allowed


class _Refusal(ErrorTask):
    """Answers a request that could not be read to its end."""

    app: Flask

    def execute(self) -> None:
        """Writes the answer, and closes the connection after it."""
        error, headers = self.request.error, getattr(self.request, "headers", {})
        accepted = {"Accept": headers.get("ACCEPT", "")}
        with self.app.test_request_context(getattr(self.request, "path", "/"), headers=accepted):
            answer = self.app.process_response(answer_of_status(error.code, error.reason))
        body = answer.get_data()
        self.status = f"{error.code} {error.reason}"
        # The request's own session was not read, and must not be replaced.
        left_out = ("Content-Length", "Set-Cookie")
        self.response_headers += [header for header in answer.headers if header[0] not in left_out]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    parser_class = _Parser

    def readable(self) -> bool:
        """Returns whether more of the request is to be read. Closes what is late: waitress asks once a second."""
        if self._is_late():
            self.will_close = True
        return super().readable()

    def _is_late(self) -> bool:
        request = self.request
        if self.requests:  # while one is being answered, nothing of the next one is read
            if request is not None:
                request.began = time.monotonic()
            return False
        if request is not None:
            return request.is_late
        has_sent_nothing = self.last_activity == self.creation_time
        return has_sent_nothing and time.time() - self.creation_time > HEADER_SECONDS


def _refuse_as_the_pages_do(server: BaseWSGIServer, app: Flask) -> None:
    """Has a server, or the several behind one name, answer so, and close what comes in too slowly."""
    refusal = type("Refusal", (_Refusal,), {"app": app})
    channel = type("Channel", (_Channel,), {"error_task_class": refusal})
    for one in getattr(server, "map", {"": server}).values():
        if hasattr(one, "channel_class"):
            one.channel_class = channel
