"""`--on-change`: what is shown of the people in view goes to a web address or a program when it changes, as JSON."""

import contextlib
import http.client
import json
import queue
import shlex
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from typing import Any

from fer_core.errors import SourceError
from fer_core.live.frame import Shown, Sink
from fer_core.live.video import without_password

DEBOUNCE_SECONDS = 0.5
"""What is shown must have been the same for so long: what comes and goes within it is not sent."""
ANSWER_SECONDS = 10.0
"""The longest that a program or an address may take over a change."""


class OnChange(Sink):
    """Sends each lasting change, from a thread of its own: the picture never waits for who acts on it.

    Of a camera, only the newest change waits while another one is being sent; of a video, all are sent.
    """

    def __init__(self, target: str, *, is_live: bool, report: Callable[[str], None]):
        """`target`: http(s)://…, which gets a POST, or a command, which gets a line on stdin, and no shell.

        `report` gets a sentence when sending begins to fail. Raises SourceError for a command that there is not.
        """
        self._send = _poster(target) if target.startswith(("http://", "https://")) else _runner(target)
        self._name, self._is_live, self._report = without_password(target), is_live, report
        self._sent: tuple = ()
        self._candidate: tuple = ()
        self._since = 0.0
        self._changes: queue.Queue[dict[str, Any] | None] = queue.Queue(1)
        self._thread = threading.Thread(target=self._deliver, name="on change", daemon=True)
        self._thread.start()

    def write(self, shown: Shown) -> None:
        """Sends who is in view, with what label, once that is new and has lasted."""
        state = tuple(sorted((one.person or 0, one.label, one.unsure) for one in shown.predictions))
        if state != self._candidate:
            self._candidate, self._since = state, shown.frame.seconds
        if state == self._sent or shown.frame.seconds - self._since < DEBOUNCE_SECONDS:
            return
        before, self._sent = {person: label for person, label, _ in self._sent}, state
        change = shown.to_json()
        change["faces"] = [face | {"previous": before.get(face["person"])} for face in change["faces"]]
        if self._is_live:
            with contextlib.suppress(queue.Empty):
                self._changes.get_nowait()
        self._changes.put(change)

    def close(self) -> None:
        """Waits until what has changed is sent. May be called again."""
        if self._thread.is_alive():
            self._changes.put(None)
            self._thread.join(2 * ANSWER_SECONDS)

    def _deliver(self) -> None:
        has_failed = False
        while (change := self._changes.get()) is not None:
            try:
                self._send((json.dumps(change) + "\n").encode())
                has_failed = False
            except (OSError, ValueError, subprocess.SubprocessError, http.client.HTTPException) as error:
                if not has_failed:
                    self._report(f"--on-change {self._name}: {error}")
                has_failed = True


def _poster(url: str) -> Callable[[bytes], None]:
    def post(body: bytes) -> None:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):
            pass

    return post


def _runner(command: str) -> Callable[[bytes], None]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise SourceError(f"--on-change {command!r} is no command: {error}.", hint="Close its quotes.") from None
    if not words or shutil.which(words[0]) is None:
        hint = "Give http://… or a program with its arguments; it gets JSON on stdin."
        raise SourceError(f"--on-change: there is no program {' '.join(words[:1])!r}.", hint=hint)

    def run(body: bytes) -> None:
        subprocess.run(words, input=body, timeout=ANSWER_SECONDS, check=True, stdout=subprocess.DEVNULL)

    return run
