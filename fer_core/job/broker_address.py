"""The address of the broker, checked before anything looks at it, and as it may be shown. Imports no Celery.

Whoever takes an address apart stops at a '#', '/', '?', '[' or ';' that stands in a password as it is. The rest is then
looked up as a host, connected to or printed. So such an address is refused here, and nothing of it is repeated.
"""

import re
from urllib.parse import quote, urlsplit

from fer_core.errors import ConfigError, JobError

SCHEMES = ("redis", "rediss", "redis+socket", "unix")

_RESERVED = "#/?[];"
_NEVER = "#;"
"""Also behind the login: '#' would cut the address off, ';' would begin another one."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LOCAL = re.compile(r"(/\d*)?")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/?\[\]:@]+)(:(?P<port>\d{1,5}))?(/\d*)?(\?\S*)?")
_SOCKET = re.compile(r"/[^?]+(\?.*)?")
_FORMS = "$FER_BROKER_URL is redis://HOST:6379/0, redis://:PASSWORD@HOST:6379/0, rediss://… (encrypted) or redis+socket:///PATH."


class BrokerAwayError(JobError):
    """The broker cannot be reached, or takes no jobs."""


def check_address(url: str) -> None:
    """Raises ConfigError, which repeats nothing of a password, for an address that would be misunderstood."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme not in SCHEMES:
        named = f" begins with {scheme}://: that" if mark and re.fullmatch(r"[a-z][a-z0-9+.-]{0,20}", scheme) else ""
        raise ConfigError(f"The broker's address{named} is no Redis.", hint=_FORMS)
    if _CONTROL.search(url):
        raise ConfigError(
            "The broker's address has a line break, a tab or another control character in it.",
            hint="Look for the end of a line that came along with the password.",
        )
    is_socket = scheme in ("redis+socket", "unix")
    login, place = _apart(rest, is_socket=is_socket)
    wrong = [character for character in _RESERVED if character in login or (character in _NEVER and character in rest)]
    if wrong:
        raise _unwritten(wrong)
    if not _is_place(place if login else rest, is_socket=is_socket) or not _is_understood(url):
        raise ConfigError("The broker's address cannot be understood.", hint=_FORMS)


def hidden_password(url: str) -> str:
    """Returns a broker URL as it may be shown: with `***` for the password."""
    scheme, mark, rest = url.partition("://")
    rest = re.sub(r"(password=)[^&]*", r"\1***", rest)
    login, place = _apart(rest, is_socket=scheme in ("redis+socket", "unix"))
    if not login:
        return f"{scheme}{mark}{rest}"
    user, colon, _ = login.partition(":")
    return f"{scheme}{mark}{user}:***@{place}" if colon else f"{scheme}{mark}***@{place}"


def _apart(rest: str, *, is_socket: bool) -> tuple[str, str]:
    """Returns what stands before the host, or a socket's path, and the rest; a password may have an '@' in it."""
    if is_socket:
        login, at, path = ("", "", rest) if rest.startswith("/") else rest.rpartition("@/")
        return login, f"/{path}" if at else path
    login, _, place = rest.rpartition("@")
    return login, place


def _is_place(place: str, *, is_socket: bool) -> bool:
    if is_socket:
        return _SOCKET.fullmatch(place) is not None
    if _LOCAL.fullmatch(place):
        return True
    found = _HOST.fullmatch(place)
    return found is not None and 0 < int(found["port"] or 6379) < 2**16


def _is_understood(url: str) -> bool:
    """Also Python takes some characters for one of those above: '／', for example."""
    try:
        return urlsplit(url) is not None
    except ValueError:
        return False


def _unwritten(characters: list[str]) -> ConfigError:
    named = " and ".join(repr(character) for character in characters)
    encoded = " and ".join(f"{quote(character, safe='')} for {character!r}" for character in characters)
    return ConfigError(
        f"The broker's address has {named} in its user name or password, where they end it.",
        hint=f"Write {encoded} there, in $FER_BROKER_URL; behind the host, an '@' is %40.",
    )
