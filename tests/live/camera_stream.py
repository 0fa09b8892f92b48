"""A camera on the network, made of a clip: an HTTP server of MJPEG (multipart/x-mixed-replace) in its own process.

`/stream.mjpg` shows the clip for ever. The other addresses are cameras with faults, see `ADDRESSES`.
"""

import contextlib
import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2

ADDRESSES = {
    "/stream.mjpg": "the clip, for ever",
    "/damaged.mjpg": "each tenth picture is none",
    "/stalls.mjpg": "ten pictures, then nothing more",
    "/still.mjpg": "the connection is taken and promises a video, which never comes",
    "/hangs": "the connection is taken, and nothing is said",
    "/page.html": "a page, not a video",
    "/secret": "asks for a password",
    "/clip.mp4": "the clip's file",
}
_LONG_SECONDS = 3600.0


class CameraStream:
    """Starts and stops the server; its faults can be switched on while it runs."""

    def __init__(self, clip: Path, rate: float | None = 25.0):
        """`rate` is pictures a second; None: as fast as the client takes them."""
        self._command = [sys.executable, str(Path(__file__)), str(clip), str(rate or 0.0)]

    def __enter__(self) -> "CameraStream":
        self._server = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = int(self._server.stdout.readline())
        self.url = self.address("/stream.mjpg")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stdin.close()
        self._server.wait(10)
        self._server.stdout.close()

    def address(self, path: str) -> str:
        """Returns the address of one of `ADDRESSES`."""
        return f"http://127.0.0.1:{self.port}{path}"

    def drop(self, seconds: float = 1.0) -> None:
        """Closes all connections and refuses new ones for so long; returns at once."""
        self._tell(f"drop {seconds}")

    def refuse(self) -> None:
        """Closes all connections and refuses new ones until `accept`."""
        self.drop(_LONG_SECONDS)

    def accept(self) -> None:
        """Takes connections again."""
        self._tell("accept")

    def _tell(self, command: str) -> None:
        self._server.stdin.write(f"{command}\n")
        self._server.stdin.flush()
        self._server.stdout.readline()


class _Camera(BaseHTTPRequestHandler):
    clip: Path
    jpegs: list[bytes]
    rate: float
    open_connections: set[socket.socket]

    def do_GET(self) -> None:
        self.open_connections.add(self.connection)
        try:
            self._answer()
        except OSError:
            self.close_connection = True
        finally:
            self.open_connections.discard(self.connection)

    def _answer(self) -> None:
        match self.path:
            case "/hangs":
                time.sleep(_LONG_SECONDS)
            case "/page.html":
                self._head(200, "text/html")
                self.wfile.write(b"<h1>Camera</h1>")
            case "/clip.mp4":
                data = self.clip.read_bytes()
                first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
                span = {"Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
                self._head(206, "video/mp4", span | {"Content-Length": str(len(data) - first)})
                self.wfile.write(data[first:])
            case path if path.endswith(".mjpg") and path in ADDRESSES:
                self._send_pictures(path)
            case path:
                self._head(401 if path == "/secret" else 404, "text/plain")

    def _send_pictures(self, path: str) -> None:
        self._head(200, "multipart/x-mixed-replace; boundary=picture")
        due = time.monotonic()
        for number, jpeg in enumerate(itertools.cycle(self.jpegs)):
            if path == "/still.mjpg" or (path == "/stalls.mjpg" and number == 10):
                time.sleep(_LONG_SECONDS)
            data = b"no picture" if path == "/damaged.mjpg" and number % 10 == 5 else jpeg
            size = f"Content-Length: {len(data)}\r\n\r\n".encode()
            self.wfile.write(b"--picture\r\nContent-Type: image/jpeg\r\n" + size + data + b"\r\n")
            due += 1 / self.rate if self.rate else 0.0
            time.sleep(max(0.0, due - time.monotonic()))

    def _head(self, status: int, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": kind} | (more or {})).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class _Server:
    def __init__(self, clip: Path, rate: float):
        self._connections: set[socket.socket] = set()
        parts = {"clip": clip, "jpegs": list(_jpegs(clip)), "rate": rate, "open_connections": self._connections}
        self._camera = type("Camera", (_Camera,), parts)
        self._listener: ThreadingHTTPServer | None = None
        self._reopening = threading.Timer(0, self.accept)
        self.port = 0
        self.accept()

    def drop(self, seconds: str) -> None:
        self._reopening.cancel()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # it has just ended by itself
                connection.shutdown(socket.SHUT_RDWR)
        self._reopening = threading.Timer(float(seconds), self.accept)
        self._reopening.daemon = True
        self._reopening.start()

    def accept(self) -> None:
        self._reopening.cancel()
        if self._listener is None:
            self._listener = ThreadingHTTPServer(("127.0.0.1", self.port), self._camera)
            self.port = self._listener.server_port
            threading.Thread(target=self._listener.serve_forever, args=(0.01,), daemon=True).start()


def _jpegs(clip: Path) -> Iterator[bytes]:
    capture = cv2.VideoCapture(str(clip))
    while (answer := capture.read())[0]:
        yield cv2.imencode(".jpg", answer[1])[1].tobytes()


if __name__ == "__main__":
    server = _Server(Path(sys.argv[1]), float(sys.argv[2]))
    print(server.port, flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        getattr(server, command)(*numbers)
        print("done", flush=True)
