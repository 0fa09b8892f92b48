"""Why a stream did not open. OpenCV only says that it did not, so the host is asked once more, in plain words."""

import base64
import http.client
import socket
from urllib.parse import SplitResult, unquote, urlsplit

from fer_core.errors import SourceError

_SECONDS = 1.0
_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322, "rtmp": 1935}


def why_refused(url: str, title: str) -> SourceError:
    """Returns the error that says what is wrong with a stream which OpenCV could not open; `title` names it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError as error:
        return SourceError(f"{title} is no address: {error}.", hint="An address: http://192.168.1.20:8080/video")
    if not host or not port:
        return _no_video(title)
    try:
        socket.create_connection((host, port), timeout=_SECONDS).close()
    except socket.gaierror:
        return SourceError(f"{title}: there is no host named {host}.", hint="Is the address right, and the network up?")
    except ConnectionRefusedError:
        return SourceError(
            f"{title}: {host} refuses connections on port {port}.",
            hint="Is the camera's server running, and is this its port?",
        )
    except OSError as error:
        reason = error.strerror or "no answer"
        return SourceError(f"{title}: {host} cannot be reached ({reason}).", hint="Is it on, and in this network?")
    return _why_http_refused(parts, title) if parts.scheme.lower() in ("http", "https") else _no_video(title)


def _why_http_refused(parts: SplitResult, title: str) -> SourceError:
    try:
        status, reason, kind = _http_answer(parts)
    except TimeoutError:
        return SourceError(
            f"{title} takes the connection, but sends nothing.", hint="Is it the address of the video itself?"
        )
    except (OSError, http.client.HTTPException) as error:
        return SourceError(f"{title} does not answer as a web server ({error}).", hint="Is it rtsp:// or https://?")
    if status == 401:
        return SourceError(f"{title} asks for a password.", hint="Write it as http://user:password@host/…")
    if status >= 400:
        return SourceError(f"{title} answers {status} {reason}.", hint="Is the path of the address right?")
    if kind.startswith(("multipart/", "video/")):
        return SourceError(
            f"{title} promises a video ({kind}), but sends none that can be read.", hint="Is the camera itself running?"
        )
    return _no_video(title, f" ({kind})" if kind else "")


def _http_answer(parts: SplitResult) -> tuple[int, str, str]:
    """Returns status, reason and content type; nothing of the content is read."""
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    connection = kinds[parts.scheme.lower()](parts.hostname, parts.port, timeout=_SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request("GET", path, headers=_authorization(parts))
        answer = connection.getresponse()
        return answer.status, answer.reason, answer.getheader("Content-Type", "").partition(";")[0]
    finally:
        connection.close()


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _no_video(title: str, found: str = "") -> SourceError:
    return SourceError(
        f"{title} sends no video that can be read{found}.",
        hint="Give the address of the stream itself, not of a page that shows it.",
    )
