"""Whether a broker takes jobs, and what is wrong where it does not: told within seconds, by name. Imports no Celery.

Celery and Kombu wait half a minute for every answer, several times, and cannot do with less: a worker's connection is
silent while nothing is to be done. So a connection of its own asks here, before theirs is made.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from redis import Redis, SSLConnection, UnixDomainSocketConnection
from redis import exceptions as redis_errors
from redis.backoff import NoBackoff
from redis.connection import Connection, ConnectionPool
from redis.retry import Retry

from fer_core.job.broker_address import BrokerAwayError, hidden_password

ANSWER_SECONDS = 1.0
"""For connecting, and for each answer; there are two. Redis answers within milliseconds, also on a busy machine."""

PROBE_KEY = "fer.probe"
"""Written to see whether the server takes writes; it is gone after a second."""

_STARTS = "`python -m jobs up` starts one here; $FER_BROKER_URL names another. What was submitted is kept."

_REFUSALS = (
    (r"WRONGPASS|invalid username-pass", "refuses this user name or password", "Look at $FER_BROKER_URL."),
    (
        r"NOAUTH|uthentication required",
        "asks for a password",
        "$FER_BROKER_URL takes one: redis://:PASSWORD@HOST:6379/0.",
    ),
    (r"without any password", "has no password, but one is given", "Take the password out of $FER_BROKER_URL."),
    (
        r"READONLY|read.only replica",
        "is a replica: it takes no jobs",
        "$FER_BROKER_URL must name its primary.",
    ),
    (r"MASTERDOWN", "is a replica without its primary", "$FER_BROKER_URL must name its primary."),
    (r"MISCONF", "takes no writes, since it cannot save its data (MISCONF)", "Is its disk full? Its log says more."),
    (r"NOREPLICAS|good replicas", "takes no writes without replicas (min-replicas-to-write)", "Are they running?"),
    (r"OOM|used memory", "takes no writes: its memory (maxmemory) is full", "Give it more: CONFIG SET maxmemory."),
    (r"LOADING|loading the dataset", "still reads its data", "Try again in a moment."),
    (r"NOPERM|no permissions", "does not let this user write", "docs/scaling.md has the rights that one needs."),
)
"""What Redis says, what that means, and what to do. The client takes the code off some answers."""


def check_broker(url: str, *, seconds: float = ANSWER_SECONDS) -> None:
    """Raises BrokerAwayError, within some seconds, if the broker at this (checked) address takes no jobs now."""
    with _client(url, seconds) as client:
        _asked(url, client.ping, silence=f"accepts connections, but has not answered for {seconds:g} s")
        paused = f"answers, but has taken no write for {seconds:g} s: it is paused (CLIENT PAUSE)"
        _asked(url, lambda: client.set(PROBE_KEY, "", px=1000), silence=paused)


def broker_away(url: str, error: Exception) -> BrokerAwayError:
    """Returns what is said of a broker that does not do what is asked, without its password."""
    said = str(error)
    for words, meaning, todo in _REFUSALS:
        if re.search(words, said):
            return BrokerAwayError(f"The broker {hidden_password(url)} {meaning}.", hint=todo)
    return BrokerAwayError(f"The broker {hidden_password(url)} cannot be reached ({said}).", hint=_STARTS)


def _asked(url: str, ask: Callable[[], Any], *, silence: str) -> None:
    try:
        ask()
    except redis_errors.TimeoutError as error:
        if "connecting" in str(error):
            raise broker_away(url, error) from None
        raise BrokerAwayError(f"The broker {hidden_password(url)} {silence}.", hint=_STARTS) from None
    except (redis_errors.RedisError, OSError) as error:
        raise broker_away(url, error) from None


def _client(url: str, seconds: float) -> Redis:
    """Returns a client that tries everything once. The options of the address are those that Kombu knows, too."""
    parts = urlsplit(url)
    options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    login = {"username": parts.username, "password": parts.password}
    given = {name: unquote(value) for name, value in login.items() if value} | {
        name: options[name] for name in login if name in options
    }
    once = {"socket_timeout": seconds, "retry": Retry(NoBackoff(), 0), "protocol": 2}
    if "socket" in parts.scheme:
        place = {"connection_class": UnixDomainSocketConnection, "path": unquote(parts.path)}
        database = options.get("virtual_host", "")
    else:
        place = {"host": parts.hostname or "localhost", "port": parts.port or 6379, "socket_connect_timeout": seconds}
        place |= {"connection_class": SSLConnection} | _tls(options) if parts.scheme == "rediss" else {}
        database = options.get("virtual_host", parts.path)
    number = int(database.strip("/") or 0)
    kind = place.pop("connection_class", Connection)
    return Redis(connection_pool=ConnectionPool(connection_class=kind, db=number, **place, **given, **once))


def _tls(options: dict[str, str]) -> dict[str, str]:
    """Celery takes the names of Python's constants for it, too: CERT_REQUIRED."""
    found = {name: value for name, value in options.items() if name.startswith("ssl_")}
    return found | {"ssl_cert_reqs": found.get("ssl_cert_reqs", "required").removeprefix("CERT_").lower()}
