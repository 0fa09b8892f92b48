"""`FormField`: one setting in a form, and how what a browser sends for it is read."""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from fer_core.errors import ConfigError
from fer_core.tuning.space import OPTION, Parameter

LOW, HIGH, LEFT = "low:", "high:", "left:"
"""Before the name of a setting: where a search varies it from and to, and the choices that are left."""
_COMMA = re.compile(r",(?![^\[]*\])")
"""Not one within a list."""
_LABELS = {"fps": "frames per second", "prior": "correction for frequent emotions"}


@dataclass(frozen=True)
class FormField:
    """One setting in a form."""

    name: str
    kind: Literal["select", "space", "checkbox", "integer", "number", "text", "list", "lines", "rows"]
    value: Any
    """As it is shown."""
    help: str
    choices: tuple[Any, ...] = ()
    """As the job takes them; a browser sends back what they are as text."""
    minimum: float | None = None
    maximum: float | None = None
    reloads: bool = False
    """Whether another value changes which other fields there are, and with what they begin."""
    unchanged: Any = None
    """What a job has that does not name it, and so need not be sent."""
    empty: Any = None
    """What a field that was emptied stands for."""
    parameters: tuple[Parameter, ...] = ()
    """What a search can vary, with its ranges."""

    @property
    def label(self) -> str:
        """The name for people."""
        return _LABELS.get(self.name, self.name.removeprefix(OPTION).replace("_", " "))


def value_sent(one: FormField, sent: Any) -> Any:
    """Returns the value that was sent for a field, as the job takes it. Raises ConfigError."""
    if one.kind == "checkbox":
        return one.name in sent
    text = sent.get(one.name, "").strip()
    if text == "":
        return one.empty
    if one.kind == "select":
        return next((choice for choice in one.choices if str(choice) == text), text)
    if one.kind in ("integer", "number"):
        return _number(one.label, text, int if one.kind == "integer" else float)
    if one.kind == "list":
        return [_literal(part) for part in text.strip("[]").split(",") if part.strip()]
    if one.kind == "lines":
        return _settings(one, text.splitlines())
    if one.kind == "rows":
        return [_settings(one, _COMMA.split(line)) for line in text.splitlines() if line.strip()]
    return text


def searched(one: FormField, sent: Any) -> dict[str, Any]:
    """Returns what a search varies, and where that is not as usual. Raises ConfigError."""
    names = sent.getlist("space") or list(one.value)
    ranges = {}
    for parameter in one.parameters:
        name, label = parameter.name, parameter.name.removeprefix(OPTION).replace("_", " ")
        if name not in names:
            continue
        if parameter.choices:
            left = [choice for choice in parameter.choices if str(choice) in sent.getlist(LEFT + name)]
            wanted, usual = left or list(parameter.choices), list(parameter.choices)
        else:
            usual, number = [parameter.low, parameter.high], int if parameter.kind == "int" else float
            texts = [sent.get(end + name, "").strip() for end in (LOW, HIGH)]
            ends = zip(texts, usual, strict=True)
            wanted = [_number(label, text, number) if text else end for text, end in ends]
        if wanted != usual:
            ranges[name] = wanted
    space = {"space": names} if set(names) != set(one.value) else {}
    return space | ({"ranges": ranges} if ranges else {})


def _number(label: str, text: str, number: type[int | float]) -> int | float:
    try:
        return number(text)
    except ValueError:
        kind = "a whole number" if number is int else "a number"
        hint = "Change it, and send it again."
        raise ConfigError(f"{label} takes {kind}, not {text[:40]!r}.", hint=hint) from None


def _settings(one: FormField, lines: Sequence[str]) -> dict[str, Any]:
    """Returns settings that were written as `name = value`. Raises ConfigError."""
    found = {}
    for line in filter(None, map(str.strip, lines)):
        name, is_set, value = line.partition("=")
        if not is_set or not name.strip():
            hint = "Write a setting as name = value, for example epochs = 20."
            raise ConfigError(f"{one.label}: {line[:60]!r} is no setting.", hint=hint)
        found[name.strip()] = _literal(value)
    return found


def _literal(text: str) -> Any:
    """Returns a number, a list, true or false as such, and anything else as text."""
    with suppress(ValueError):
        return json.loads(text)
    return text.strip()
