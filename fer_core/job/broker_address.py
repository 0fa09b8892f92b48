"""The broker's address: checked before Celery sees it, and shown without its password.

Whoever takes an address apart stops at a '#', '/', '?', '[' or ';' that stands in a password as it is. The rest is then
looked up as a host, connected to or printed. So such an address is refused here, and nothing of it is repeated.
"""

import re
from urllib.parse import quote, urlsplit

from fer_core.errors import ConfigError

SOCKETS = ("redis+socket", "unix")
_RESERVED = "#/?[];"
_NEVER = "#;"  # also behind the login: '#' would cut the address off, ';' would begin another one
_HOST = r"(\[[0-9A-Fa-f:.]+\]|[^\s/?\[\]:@]+)(:\d{1,5})?(/\d*)?(\?\S*)?|(/\d*)?"
_PLACES = {"redis": _HOST, "rediss": _HOST} | dict.fromkeys(SOCKETS, r"/[^?]+(\?.*)?")
_FORMS = "$FER_BROKER_URL is redis://HOST:6379/0, redis://:PASSWORD@HOST:6379/0, rediss://… (encrypted) or redis+socket:///PATH."


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
    if scheme not in SOCKETS:
        login, _, place = rest.rpartition("@")
        return login, place
    login, at, path = ("", "", rest) if rest.startswith("/") else rest.rpartition("@/")
    return login, f"/{path}" if at else path
