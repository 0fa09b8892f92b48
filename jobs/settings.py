"""Where the broker is, and the few settings of the server that come from the environment. Imports no Celery."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from fer_core.errors import ConfigError, JobError, did_you_mean
from fer_core.paths import Paths
from jobs.broker_address import check_address

QUEUES = ("gpu.high", "gpu", "cpu")
"""In the order in which a worker that listens to all of them takes from them."""

QUEUE_OF_TASK = {"tune": "gpu", "trial": "gpu", "train": "gpu", "retrain": "gpu", "evaluate": "cpu", "gc": "cpu"}
"""Where a job waits that names no queue."""

VISIBILITY_SECONDS = 8 * 86_400.0
"""Redis gives a message to another worker after this time. Claims make that harmless, so it only has to be long."""

_QUEUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}")


@dataclass(frozen=True)
class JobSettings:
    """What the Celery app is set up with."""

    broker_url: str
    queues: tuple[str, ...] = QUEUES
    visibility_seconds: float = VISIBILITY_SECONDS

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], paths: Paths) -> "JobSettings":
        """Returns the settings of $FER_BROKER_URL, $FER_QUEUES and $FER_VISIBILITY_SECONDS. Raises ConfigError."""
        return cls(
            broker_url=broker_url(environ, paths),
            queues=queues(environ),
            visibility_seconds=_visibility_seconds(environ),
        )


def broker_url(environ: Mapping[str, str], paths: Paths) -> str:
    """Returns $FER_BROKER_URL, else that of the server which `python -m jobs up` started, else that of its socket.

    Raises ConfigError for one of another kind of broker, or that would be misunderstood.
    """
    url = environ.get("FER_BROKER_URL") or _recorded_url(paths.state) or socket_url(paths.state / "redis.sock")
    check_address(url)
    scheme = url.partition("://")[0]
    if scheme == "unix":  # as redis-cli and other clients write it
        return f"redis+socket{url.removeprefix('unix')}"
    if scheme == "rediss" and "ssl_cert_reqs" not in url:
        # Celery refuses a rediss:// without it.
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"
    return url


def socket_url(path: Path) -> str:
    """Returns the broker URL of a Redis that listens on a unix socket."""
    return f"redis+socket://{quote(str(path.resolve()))}?virtual_host=0"


def queues(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Returns the names of all queues: our own, and those of $FER_QUEUES. Raises ConfigError for what is no name."""
    more = [name.strip() for name in environ.get("FER_QUEUES", "").split(",") if name.strip()]
    for name in more:
        if not _QUEUE_NAME.fullmatch(name):
            raise ConfigError(
                f"$FER_QUEUES names {name!r}, which is no queue.",
                hint="Names have letters, digits, '-', '_' and '.' only, with commas between them.",
            )
    return tuple(dict.fromkeys((*QUEUES, *more)))


def check_queue(name: str, environ: Mapping[str, str]) -> None:
    """Raises JobError for a queue that there is not: a message there would wait for ever."""
    known = queues(environ)
    if name not in known:
        raise JobError(f"There is no queue {name!r}.", hint=f"{did_you_mean(name, known)} $FER_QUEUES adds more.")


def _recorded_url(state: Path) -> str | None:
    try:
        url = json.loads((state / "broker.json").read_bytes())["url"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return url if isinstance(url, str) else None


def _visibility_seconds(environ: Mapping[str, str]) -> float:
    text = environ.get("FER_VISIBILITY_SECONDS")
    if not text:
        return VISIBILITY_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 1e9:
        raise ConfigError(
            f"$FER_VISIBILITY_SECONDS is {text!r}.", hint="It is a number of seconds from 1 on; leave it unset."
        )
    return seconds
