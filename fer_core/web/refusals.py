"""What the server (waitress) refuses before the application sees it: told as JSON, like every other error."""

import json
from typing import Any

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask

_HINTS = {
    413: "Send less at a time, or a smaller picture.",
    431: "Send fewer or shorter headers.",
}
_HINT = "Send a request as HTTP/1.1 says."


class _Refusal(ErrorTask):
    """Answers a request that could not be read to its end."""

    def execute(self) -> None:
        """Writes the answer, and closes the connection after it."""
        error = self.request.error
        self.status = f"{error.code} {error.reason}"
        body = json.dumps({"error": f"{error.reason}.", "hint": _HINTS.get(error.code, _HINT)}).encode()
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):
    error_task_class = _Refusal


def refuse_in_json(server: Any) -> None:
    """Has a waitress server, or the several behind one name, answer so."""
    for one in getattr(server, "map", {"": server}).values():
        if hasattr(one, "channel_class"):
            one.channel_class = _Channel
