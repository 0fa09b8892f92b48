"""How much memory a job may use. One that needs more is ended with a sentence, before the system ends something.

Counted is what its processes have for themselves. Address space is not: CUDA, TensorFlow and JAX reserve a multiple of
what they use. Nor are files that are mapped, as the decoded images are: the system takes them back when it is short.
"""

import contextlib
import os
import re
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

import psutil

from fer_core.errors import ConfigError
from fer_core.resources import memory_bytes

SETTING = "FER_JOB_MEMORY"
DEFAULT = "90%"
"""Of the machine's memory, or of the container's or service's where that has a limit of its own."""
POLL_SECONDS = 0.2

_FAMILY_POLLS = 10
"""So many looks at the processes that are known come before one for new ones."""
_ENDED_FIRST = "500"
"""Where the system is short of memory all the same, it ends a trainer before the worker or Redis."""
_UNITS = {"%": 0, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*(%|[KMGT])i?B?", re.IGNORECASE)
_STATUS = re.compile(r"^(RssAnon|RssShmem|VmSwap):\s+(\d+) kB", re.MULTILINE)
_PROC = Path("/proc")


class MemoryWatch:
    """Watches the process that leads a group, and all that it has started; kills the group when it needs too much."""

    def __init__(self, pid: int, limit_bytes: int):
        self._pid, self._limit = pid, limit_bytes
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)
        self.message = ""
        """What is to be told of a job that was ended for this; empty otherwise."""

    def __enter__(self) -> "MemoryWatch":
        with contextlib.suppress(OSError):
            (_PROC / str(self._pid) / "oom_score_adj").write_text(_ENDED_FIRST)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        family: list[int] = []
        queries = 0
        while not self._is_over.wait(POLL_SECONDS):
            if queries % _FAMILY_POLLS == 0:
                family = _family(self._pid)
            queries += 1
            if used_bytes(family) > self._limit:
                self.message = _sentence(self._limit)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._pid, signal.SIGKILL)
                return


def memory_limit(environ: Mapping[str, str] = os.environ) -> int:
    """Returns how many bytes a job's processes may use together: $FER_JOB_MEMORY (90%, 12GB). Raises ConfigError."""
    text = environ.get(SETTING) or DEFAULT
    found = _AMOUNT.fullmatch(text.strip())
    number = float(found[1]) if found else 0.0
    is_share = found is not None and found[2] == "%"
    if found is None or number <= 0 or (is_share and number > 100):
        raise ConfigError(f"${SETTING} is {text!r}, no amount of memory.", hint="It is, for example, 90% or 12GB.")
    return int(number / 100 * memory_bytes() if is_share else number * _UNITS[found[2].upper()])


def used_bytes(pids: list[int]) -> int:
    """Returns what these processes have for themselves, in memory or swapped out; those that are gone have nothing."""
    parts = [_status(pid) for pid in pids]
    own = sum(part.get("RssAnon", 0) + part.get("VmSwap", 0) for part in parts)
    return own + max((part.get("RssShmem", 0) for part in parts), default=0)  # which they may share


def _status(pid: int) -> dict[str, int]:
    with contextlib.suppress(OSError):
        text = (_PROC / str(pid) / "status").read_text()
        return {name: int(kib) * 1024 for name, kib in _STATUS.findall(text)}
    return {}


def _family(pid: int) -> list[int]:
    with contextlib.suppress(psutil.Error):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return [pid]


def _sentence(limit: int) -> str:
    text = f"It needed more than {limit / 1e9:.1f} GB of memory, of the {memory_bytes() / 1e9:.1f} GB that are here."
    return f"{text}\nGive it less at once (batch_size, fewer or smaller images), or set ${SETTING} higher."
