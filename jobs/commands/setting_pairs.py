"""`--set NAME=VALUE`: settings as they are typed."""

import tomllib
from collections.abc import Sequence
from typing import Any

from fer_core.errors import ConfigError


def settings_given(pairs: Sequence[str]) -> dict[str, Any]:
    """Returns the settings by name, each value read as TOML (1e-4, true, [10, 20]), or else as the text that it is.

    Raises ConfigError for what is no pair.
    """
    return dict(map(_pair, pairs))


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = (part.strip() for part in text.partition("="))
    if not name or not equals:
        raise ConfigError(f"--set takes NAME=VALUE, not {text!r}.", hint="For example: --set learning_rate=1e-4")
    return name.replace("-", "_"), _value(value)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None if text.lower() == "none" else text
