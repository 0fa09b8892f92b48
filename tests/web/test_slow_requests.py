"""Requests that come in too slowly, or in lines without an end, are ended; what is refused is told as pages tell it."""

import socket
import time

import pytest
import requests

from fer_core.web import serving
from tests.web.conftest import served

SECONDS = 0.5


@pytest.fixture
def quick_site(web_settings, paths, monkeypatch):
    """A server that waits for the head of a request for half a second only."""
    monkeypatch.setattr(serving, "HEADER_SECONDS", SECONDS)
    with served(web_settings, paths, max_upload_mb=1) as site:
        yield site


def connection(site, start: bytes) -> socket.socket:
    """Returns a connection on which a request begins."""
    host, port = site.url.removeprefix("http://").split(":")
    opened = socket.create_connection((host, int(port)), timeout=20)
    opened.sendall(start)
    return opened


def answer_on(opened: socket.socket) -> bytes:
    """Returns an answer in JSON, all of it."""
    answer = b""
    while b"}" not in answer and (more := opened.recv(100_000)):
        answer += more
    return answer


def seconds_until_closed(opened: socket.socket, *, trickle: bytes = b"") -> float:
    """Returns how long the server keeps a connection on which so much is sent every tenth of a second."""
    began = time.monotonic()
    opened.settimeout(0.1)
    while time.monotonic() - began < 20:
        try:
            if trickle:
                opened.sendall(trickle)
            if opened.recv(100_000) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("start", "trickle"),
    [
        (b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"a"),
        (b"", b""),
        (b"POST /api/v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000\r\n\r\n", b"a"),
    ],
    ids=["a slow head", "silence", "a slow body"],
)
def test_who_keeps_a_connection_without_a_request_loses_it(quick_site, start, trickle):
    assert SECONDS * 0.9 < seconds_until_closed(connection(quick_site, start), trickle=trickle) < 5
    assert quick_site.get("/healthz").status_code == 200


def test_a_connection_that_has_been_used_is_kept_and_a_body_that_comes_fast_enough_is_read(quick_site, face):
    session = requests.Session()
    assert session.get(f"{quick_site.url}/healthz", timeout=20).status_code == 200
    length = str(len(face)).encode()
    head = b"POST /api/v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: image/jpeg\r\nContent-Length: "
    opened = connection(quick_site, head + length + b"\r\n\r\n" + face[:-10])
    time.sleep(2 * SECONDS)
    opened.sendall(face[-10:])
    assert b"There is no picture in the request" in answer_on(opened)
    used = next(iter(session.get_adapter("http://").poolmanager.pools._container.values())).pool.queue[-1]
    assert session.get(f"{quick_site.url}/healthz", timeout=20).status_code == 200
    assert used.sock is not None


@pytest.mark.parametrize("endless", [b"0" * 8192, b"1;" + b"x" * 8190, b"0\r\nX: " + b"a" * 30_000])
def test_a_line_without_an_end_between_chunks_is_refused_at_once(quick_site, endless):
    head = b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    opened = connection(quick_site, head + endless)
    answer = answer_on(opened)
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"hint" in answer


def test_a_request_that_is_too_large_is_a_page_for_browsers_and_json_for_programs(quick_site):
    def answer(path: str, accept: str) -> requests.Response:
        return quick_site.post(path, data=bytes(1_100_000), headers={"Accept": accept})

    page = answer("/", "text/html,*/*")
    assert page.status_code == 413
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<h1>That did not work</h1>" in page.text
    assert "at most 1 MB at a time" in page.text
    assert "Content-Security-Policy" in page.headers
    assert "Set-Cookie" not in page.headers, "the session of the browser must not be replaced"
    assert answer("/api/v1/predict", "*/*").json()["hint"].startswith("Send at most 1 MB")
