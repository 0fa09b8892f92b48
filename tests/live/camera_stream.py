"""A camera on the network, made of a clip: an HTTP server of MJPEG (multipart/x-mixed-replace) in its own process.

`/stream.mjpg` shows the clip for ever. The other addresses are cameras with faults, see `ADDRESSES`.
"""

import itertools
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

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


class _Server:
    def __init__(self, clip: Path, rate: float):
        self._clip, self._rate = clip, rate
        self._jpegs = list(_jpegs(clip))
        self._connections: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._reopening: threading.Timer | None = None
        self.accept()

    def obey(self, command: str, *numbers: str) -> None:
        getattr(self, command)(*map(float, numbers))

    def drop(self, seconds: float) -> None:
        # Closing alone does not wake the thread that waits in accept().
        _hang_up(self._listener)
        for connection in list(self._connections):
            _hang_up(connection)
        self._reopening = threading.Timer(seconds, self.accept)
        self._reopening.daemon = True
        self._reopening.start()

    def accept(self) -> None:
        if self._reopening is not None:
            self._reopening.cancel()
        if self._listener.fileno() < 0:
            self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        self._connections.add(connection)
        try:
            with connection.makefile("rb") as request:
                path = request.readline().split()[1].decode()
                headers = dict(_header_lines(request))
            self._send(connection, path, headers)
        except (OSError, IndexError):
            pass
        finally:
            self._connections.discard(connection)
            _hang_up(connection)

    def _send(self, connection: socket.socket, path: str, headers: dict[str, str]) -> None:
        if path == "/hangs":
            time.sleep(_LONG_SECONDS)
        elif path == "/page.html":
            connection.sendall(_head("200 OK", "text/html") + b"<h1>Camera</h1>")
        elif path == "/secret":
            connection.sendall(_head("401 Unauthorized", "text/plain"))
        elif path == "/clip.mp4":
            self._send_file(connection, headers.get("range", "bytes=0-"))
        elif path.endswith(".mjpg") and path in ADDRESSES:
            self._send_pictures(connection, path)
        else:
            connection.sendall(_head("404 Not Found", "text/plain"))

    def _send_file(self, connection: socket.socket, span: str) -> None:
        data = self._clip.read_bytes()
        first = int(span.removeprefix("bytes=").partition("-")[0])
        where = f"Content-Range: bytes {first}-{len(data) - 1}/{len(data)}\r\nContent-Length: {len(data) - first}\r\n"
        connection.sendall(_head("206 Partial Content", "video/mp4", where) + data[first:])

    def _send_pictures(self, connection: socket.socket, path: str) -> None:
        connection.sendall(_head("200 OK", "multipart/x-mixed-replace; boundary=picture"))
        due = time.monotonic()
        for number, jpeg in enumerate(itertools.cycle(self._jpegs)):
            if path == "/still.mjpg" or (path == "/stalls.mjpg" and number == 10):
                time.sleep(_LONG_SECONDS)
            data = b"no picture" if path == "/damaged.mjpg" and number % 10 == 5 else jpeg
            size = f"Content-Length: {len(data)}\r\n\r\n".encode()
            connection.sendall(b"--picture\r\nContent-Type: image/jpeg\r\n" + size + data + b"\r\n")
            due += 1 / self._rate if self._rate else 0.0
            time.sleep(max(0.0, due - time.monotonic()))


def _jpegs(clip: Path) -> Iterator[bytes]:
    capture = cv2.VideoCapture(str(clip))
    while True:
        is_read, picture_bgr = capture.read()
        if not is_read:
            return
        yield cv2.imencode(".jpg", picture_bgr)[1].tobytes()


def _header_lines(request: BinaryIO) -> Iterator[tuple[str, str]]:
    while line := request.readline().decode().strip():
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def _head(status: str, kind: str, more: str = "") -> bytes:
    return f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\n{more}\r\n".encode()


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
    finally:
        connection.close()


def _main() -> None:
    server = _Server(Path(sys.argv[1]), float(sys.argv[2]))
    print(server.port, flush=True)
    for line in sys.stdin:
        server.obey(*line.split())
        print("done", flush=True)


if __name__ == "__main__":
    _main()
