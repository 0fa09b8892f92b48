"""The broker's address and whether that broker takes jobs now: checked before Celery sees it. Imports no Celery.

Whoever takes an address apart stops at a '#', '/', '?', '[' or ';' that stands in a password as it is. The rest is then
looked up as a host, connected to or printed. So such an address is refused here, and nothing of it is repeated.

Celery and Kombu wait half a minute for every answer, several times, and cannot do with less: a worker's connection is
silent while nothing is to be done. So a connection of its own asks here, before theirs is made.
"""

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fer_core.errors import ConfigError, JobError

if TYPE_CHECKING:
    from redis import Redis

ANSWER_SECONDS = 1.0
"""For connecting, and for each answer; there are two. Redis answers within milliseconds, also on a busy machine."""
PROBE_KEY = "fer.probe"  # written to see whether the server takes writes; it is gone after a second

_SOCKETS = ("redis+socket", "unix")
_RESERVED = "#/?[];"
_NEVER = "#;"  # also behind the login: '#' would cut the address off, ';' would begin another one
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\s/?\[\]:@]+)(:\d{1,5})?(/\d*)?(\?\S*)?|(/\d*)?"
_PLACES = {"redis": _HOST, "rediss": _HOST} | dict.fromkeys(_SOCKETS, r"/[^?]+(\?.*)?")
_FORMS = "$FER_BROKER_URL is redis://HOST:6379/0, redis://:PASSWORD@HOST:6379/0, rediss://… (encrypted) or redis+socket:///PATH."
_STARTS = "`python -m jobs up` starts one here; $FER_BROKER_URL names another. What was submitted is kept."
_LOOK, _PRIMARY = "Look at $FER_BROKER_URL.", "$FER_BROKER_URL must name its primary."
_LOGIN = "$FER_BROKER_URL takes one: redis://:PASSWORD@HOST:6379/0."

_REFUSALS = (
    (r"WRONGPASS|invalid username-pass", "refuses this user name or password", _LOOK),
    (r"NOAUTH|uthentication required", "asks for a password", _LOGIN),
    (r"without any password", "has no password, but one is given", "Take the password out of $FER_BROKER_URL."),
    (r"READONLY|read.only replica", "is a replica: it takes no jobs", _PRIMARY),
    (r"MASTERDOWN", "is a replica without its primary", _PRIMARY),
    (r"MISCONF", "takes no writes, since it cannot save its data (MISCONF)", "Is its disk full? Its log says more."),
    (r"NOREPLICAS|good replicas", "takes no writes without replicas (min-replicas-to-write)", "Are they running?"),
    (r"OOM|used memory", "takes no writes: its memory (maxmemory) is full", "Give it more: CONFIG SET maxmemory."),
    (r"LOADING|loading the dataset", "still reads its data", "Try again in a moment."),
    (r"NOPERM|no permissions", "does not let this user write", "docs/scaling.md has the rights that one needs."),
)
"""What Redis says, what that means, and what to do. The client takes the code off some answers."""


class BrokerAwayError(JobError):
    """The broker cannot be reached, or takes no jobs."""


def check_address(url: str) -> None:
    """Raises ConfigError, which repeats nothing of a password, for an address that would be misunderstood."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in _PLACES:
        named = f" begins with {scheme}://: that" if mark and re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else ""
        raise ConfigError(f"The broker's address{named} is no Redis.", hint=_FORMS)
    if re.search(r"[\x00-\x1f\x7f]", url):
        hint = "Look for the end of a line that came along with the password."
        raise ConfigError("The broker's address has a line break, a tab or another control character in it.", hint=hint)
    login, place = _login_and_place(scheme, rest)
    wrong = [character for character in _RESERVED if character in login or (character in _NEVER and character in rest)]
    if wrong:
        named = " and ".join(map(repr, wrong))
        encoded = " and ".join(f"{quote(character, safe='')} for {character!r}" for character in wrong)
        raise ConfigError(
            f"The broker's address has {named} in its user name or password, where they end it.",
            hint=f"Write {encoded} there, in $FER_BROKER_URL; behind the host, an '@' is %40.",
        )
    is_understood = re.fullmatch(_PLACES[scheme], place if login else rest)
    try:
        _ = urlsplit(url).port  # Python takes some other characters for reserved ones: '／', for example
    except ValueError:
        is_understood = None
    if not is_understood:
        raise ConfigError("The broker's address cannot be understood.", hint=_FORMS)


def hidden_password(url: str) -> str:
    """Returns a broker URL as it may be shown: with `***` for the password."""
    scheme, mark, rest = url.partition("://")
    login, place = _login_and_place(scheme, re.sub(r"(password=)[^&]*", r"\1***", rest))
    user = f"{login.partition(':')[0]}:" if ":" in login else ""
    return f"{scheme}{mark}{user}***@{place}" if login else f"{scheme}{mark}{place}"


def _login_and_place(scheme: str, rest: str) -> tuple[str, str]:
    """Returns what stands before the host, or a socket's path, and the rest; a password may have an '@' in it."""
    if scheme not in _SOCKETS:
        login, _, place = rest.rpartition("@")
        return login, place
    login, at, path = ("", "", rest) if rest.startswith("/") else rest.rpartition("@/")
    return login, f"/{path}" if at else path


def check_broker(url: str, *, seconds: float = ANSWER_SECONDS) -> None:
    """Raises BrokerAwayError, within some seconds, if the broker at this (checked) address takes no jobs now."""
    from redis import exceptions

    silence = f"accepts connections, but has not answered for {seconds:g} s"
    try:
        with client(url, seconds) as server:
            server.ping()
            silence = f"answers, but has taken no write for {seconds:g} s: it is paused (CLIENT PAUSE)"
            server.set(PROBE_KEY, "", px=1000)
    except (exceptions.RedisError, OSError) as error:
        if isinstance(error, exceptions.TimeoutError) and "connecting" not in str(error):
            raise BrokerAwayError(f"The broker {hidden_password(url)} {silence}.", hint=_STARTS) from None
        raise broker_away(url, error) from None


def broker_away(url: str, error: Exception) -> BrokerAwayError:
    """Returns what is said of a broker that does not do what is asked, without its password."""
    for words, meaning, todo in _REFUSALS:
        if re.search(words, str(error)):
            return BrokerAwayError(f"The broker {hidden_password(url)} {meaning}.", hint=todo)
    return BrokerAwayError(f"The broker {hidden_password(url)} cannot be reached ({error}).", hint=_STARTS)


def client(url: str, seconds: float = ANSWER_SECONDS) -> "Redis":
    """Returns a client, for `with`, that tries everything once, and raises redis.RedisError.

    The options of the address are those that Kombu knows, too.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query))
    is_socket = parts.scheme in _SOCKETS
    options = {name: value for name, value in given.items() if name.startswith(("ssl_", "username", "password"))}
    options["db"] = given.get("virtual_host", "" if is_socket else parts.path).strip("/") or "0"
    if parts.scheme == "rediss":  # Celery takes the names of Python's constants for it, too: CERT_REQUIRED
        options["ssl_cert_reqs"] = given.get("ssl_cert_reqs", "required").removeprefix("CERT_").lower()
    place = f"unix://{parts.netloc}{parts.path}" if is_socket else f"{parts.scheme}://{parts.netloc}"
    once = {"socket_timeout": seconds, "retry": Retry(NoBackoff(), 0), "protocol": 2}
    once |= {} if is_socket else {"socket_connect_timeout": seconds}
    return Redis.from_url(f"{place}?{urlencode(options)}", **once)
