"""Writing files so that a kill at any instant leaves the old content or the new: a temporary name, fsync, rename.

Temporary names say which process made them, so that what a killed one left can be told from what a living one writes.
"""

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from fer_core.errors import DISK_IS_FULL, ArtifactError, FerError
from fer_core.paths import checked_status
from fer_core.resources import file_lock, sync

_LEFTOVER = re.compile(r"^\..*\.(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}\.part(\.\w+)?$")
_FOREIGN_LEFTOVER_SECONDS = 24 * 3600
_MEND = "Restore it, or give another one."
_LARGEST_STATE = 64 * 2**20
"""Bytes. The longest metrics.jsonl of a training of thousands of epochs has some megabytes."""
_DEEPEST_JSON = 60
_HARD_LINKS_UNKNOWN = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


class DiskFullError(FerError):
    """There is no room for a file; what was there before is kept."""


@contextlib.contextmanager
def replacing(path: Path, *, put: Callable[[Path, Path], object] = Path.replace) -> Iterator[Path]:
    """Yields a temporary path of the same suffix beside `path`; what is written there becomes `path` in one instant.

    After an error `path` is as it was and the temporary file is gone. Raises DiskFullError, and what `put` raises.
    """
    temporary = temporary_beside(path)
    try:
        with full_disk_named(path):
            yield temporary
            sync(temporary)
            put(temporary, path)
            sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes | str) -> None:
    """Writes a whole file (text as UTF-8). Raises DiskFullError."""
    with replacing(path) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def create_atomically(path: Path, data: bytes | str) -> None:
    """Writes a whole file under a name that is free; of several processes that want one name, one gets it.

    Raises FileExistsError if the name is taken, DiskFullError.
    """
    with replacing(path, put=_link) as temporary:
        temporary.write_bytes(data.encode() if isinstance(data, str) else data)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, keys in their order; NaN and infinity become null. Raises DiskFullError."""
    write_atomically(path, json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Returns the content of a JSON file; `what` names it in the error. Raises ArtifactError if missing or torn."""
    try:
        return parse_json(read_whole(path))
    except FileNotFoundError:
        raise ArtifactError(f"There is no {what}: {path} is missing.", hint="Check the path.") from None
    except OSError as error:
        raise ArtifactError(f"The {what} cannot be read: {path}: {error.strerror}.", hint=_MEND) from error
    except ValueError as error:
        raise ArtifactError(f"The {what} cannot be read: {path} is not whole JSON ({error}).", hint=_MEND) from error


def read_whole(path: Path) -> bytes:
    """Returns the content of a state file. Raises OSError, also for what is no regular file, or far too large for one.

    A pipe would be waited for without end, and a device may never end.
    """
    checked_status(path)
    with path.open("rb") as file:
        content = file.read(_LARGEST_STATE + 1)
    if len(content) > _LARGEST_STATE:
        raise OSError(errno.EINVAL, f"it has more than {_LARGEST_STATE // 2**20} MB", str(path))
    return content


def parse_json(content: bytes | str) -> Any:
    """Returns what JSON says. Raises ValueError, also for NaN, infinity, and nesting that no file of ours has.

    Whatever is done with values that are nested deeper would end in a RecursionError.
    """
    try:
        value = json.loads(content, parse_constant=_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    level = [value]
    for _ in range(_DEEPEST_JSON):
        values = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list))
        level = [part for parts in values for part in parts]
        if not level:
            return value
    raise ValueError("it is nested too deep")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} in it is no number")
    return value


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's content as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def plain(value: Any) -> Any:
    """Returns a value as JSON knows it: NumPy's and pydantic's as Python's, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump())
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def in_folder(name: str) -> property:
    """Returns the path of that name in the `folder` of what has it: a run, a job, a search."""
    return property(lambda owner: owner.folder / name)


def temporary_beside(path: Path) -> Path:
    """Returns a hidden, unused name in the folder of `path`, with its suffix (by which Keras chooses a format)."""
    owner = f"{_host_mark()}-{os.getpid()}-{secrets.token_hex(4)}"
    return path.with_name(f".{path.name.removesuffix(path.suffix)}.{owner}.part{path.suffix}")


def sweep(folder: Path) -> None:
    """Removes the temporary files and folders that killed processes left in `folder`."""
    for entry in list(folder.iterdir()) if folder.is_dir() else ():
        match = _LEFTOVER.match(entry.name)
        if match is None or not _is_abandoned(entry, match):
            continue
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


@contextlib.contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Turns the many errors of a full disk into a DiskFullError that says how much room there is."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        # HDF5 reports the errno in its text only, and as a RuntimeError when it happens while closing.
        in_text = any(f"errno = {number}," in str(error) for number in DISK_IS_FULL)
        if not in_text and getattr(error, "errno", None) not in DISK_IS_FULL:
            raise
        free = shutil.disk_usage(path.parent).free / 2**20
        raise DiskFullError(
            f"No room to write {path}: {free:,.1f} MB are free there. What was saved before is kept.",
            hint="Make room on that disk; a training goes on with `python train_emotion_model.py --resume latest`.",
        ) from error


def _link(temporary: Path, path: Path) -> None:
    try:
        os.link(temporary, path)
    except OSError as error:
        if error.errno not in _HARD_LINKS_UNKNOWN:
            raise
        with file_lock(path.with_name(".names.lock")):
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
            temporary.replace(path)


def _is_abandoned(entry: Path, match: re.Match[str]) -> bool:
    if match["host"] == _host_mark():
        return not psutil.pid_exists(int(match["pid"]))
    with contextlib.suppress(FileNotFoundError):
        return time.time() - entry.stat().st_mtime > _FOREIGN_LEFTOVER_SECONDS
    return False


def _host_mark() -> str:
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Returns the time now, in UTC."""
    return datetime.now(UTC)


def utc_text(timestamp: datetime) -> str:
    """Returns a moment as JSON files have it: 2026-01-31T14:02:12.345Z."""
    return timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
