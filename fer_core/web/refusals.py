"""What the server (waitress) refuses before the application sees it: too much, too slow, or no HTTP.

Told like every other error: as JSON to programs, as a page to browsers.
"""

import time
from typing import Any

from flask import Flask
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask
from waitress.utilities import BadRequest

from fer_core.web.problems import answer_of_status

HEADER_SECONDS = 10.0
"""So long may the head of a request take. Who sends a byte now and then would hold a connection for ever otherwise."""
SLOWEST_BYTES_PER_SECOND = 500
"""Of a body, as Apache's mod_reqtimeout has it."""
_LONGEST_LINE = 1024
"""Between the chunks of a body: waitress would copy and search all of a line again with every packet of it."""
_LONGEST_TRAILER = 16 * 1024


class _Parser(HTTPRequestParser):
    """One request as it comes in. Knows when it began, and how long the lines between its chunks may be."""

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
        told = {"Accept": headers.get("ACCEPT", "")}
        with self.app.test_request_context(getattr(self.request, "path", "/"), headers=told):
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
        """Asked at least once a second: whether more of the request is to be read. Closes what is late."""
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


def refuse_as_the_pages_do(server: Any, app: Flask) -> None:
    """Has a waitress server, or the several behind one name, answer so, and close what comes in too slowly."""
    refusal = type("Refusal", (_Refusal,), {"app": app})
    channel = type("Channel", (_Channel,), {"error_task_class": refusal})
    for one in getattr(server, "map", {"": server}).values():
        if hasattr(one, "channel_class"):
            one.channel_class = channel
