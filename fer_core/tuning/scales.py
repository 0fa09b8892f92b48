"""How the values of a setting lie along an axis of a figure: even, logarithmic, by name, or left out.

Positions are 0..1, so that settings of every kind stand beside each other. No matplotlib but for its choice of ticks.
"""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fer_core.tuning.space import Parameter

NOT_USED = "unused"
"""What stands at the place of trials that do not use the setting."""
_APART = 0.18
"""Of an axis: how far the places of `0` on a logarithmic axis, and of NOT_USED, are from the rest."""
_MOST_TICKS = 4


@dataclass(frozen=True)
class Scale:
    """One axis. `ticks` are places along it, each with what is written there."""

    name: str
    key: str
    """The setting's whole name."""
    ticks: tuple[tuple[float, str], ...]
    is_choice: bool
    _paths: dict[Any, float] = field(repr=False)

    def place(self, value: Any) -> float | None:
        """Returns where a value lies, 0..1; None for one that the scale was not made of."""
        return self._paths.get(_hashable(value))


def make_scales(parameters: Sequence[Parameter], values: Sequence[dict[str, Any]]) -> list[Scale]:
    """Returns a scale for each setting that takes more than one value among those of the trials."""
    scales = []
    for parameter in parameters:
        found = {_hashable(of_trial.get(parameter.name)) for of_trial in values}
        if len(found) > 1:
            scales.append(_scale(parameter, found))
    return scales


def number_text(value: float) -> str:
    """Returns a number as short as it can be read: 0.25, 128, 3e-5."""
    return re.sub(r"e([+-])0*(\d)", lambda found: f"e{found[1].replace('+', '')}{found[2]}", f"{value:.3g}")


def _scale(parameter: Parameter, found: set) -> Scale:
    used = found - {None}
    is_choice = parameter.kind in ("choice", "bool")
    paths, ticks = _named(parameter, used) if is_choice else _measured(parameter, used)
    if None in found:
        paths = {value: _APART + (1 - _APART) * place for value, place in paths.items()} | {None: 0.0}
        ticks = [(0.0, NOT_USED), *((_APART + (1 - _APART) * place, text) for place, text in ticks)]
    return Scale(parameter.name.rpartition(".")[2], parameter.name, tuple(ticks), is_choice, paths)


def _named(parameter: Parameter, used: set) -> tuple[dict, list]:
    """Returns places and ticks of choices, in the order in which they are declared."""
    declared = [_hashable(choice) for choice in parameter.choices or (False, True)]
    order = [value for value in declared if value in used] + sorted(used.difference(declared), key=str)
    paths = {value: (number + 0.5) / len(order) for number, value in enumerate(order)}
    return paths, [(place, _text(value)) for value, place in paths.items()]


def _measured(parameter: Parameter, used: set) -> tuple[dict, list]:
    """Returns places and ticks of numbers; on a logarithmic axis 0 has its place apart from the others."""
    is_log = parameter.log and any(value > 0 for value in used)
    zeros = {value for value in used if value <= 0} if is_log else set()
    bounds = [bound for bound in (parameter.low, parameter.high) if bound is not None and (bound > 0 or not is_log)]
    low, high = min([*(used - zeros), *bounds]), max([*(used - zeros), *bounds])
    start = _APART if zeros else 0.0

    def place(value: float) -> float:
        of_range = math.log(value / low) / math.log(high / low) if is_log else (value - low) / (high - low)
        return start + (1 - start) * of_range

    if low == high:
        only = [(0.0, "0")] if zeros else []
        return {value: float(value not in zeros) for value in used}, [*only, (1.0, number_text(low))]
    ticks = [(place(value), number_text(value)) for value in _ticks(low, high, is_log=is_log)]
    paths = {value: 0.0 if value in zeros else place(value) for value in used}
    return paths, [(0.0, "0"), *ticks] if zeros else ticks


def _ticks(low: float, high: float, *, is_log: bool) -> Iterable[float]:
    from matplotlib.ticker import LogLocator, MaxNLocator

    locator = LogLocator(numticks=_MOST_TICKS + 2) if is_log else MaxNLocator(_MOST_TICKS, steps=[1, 2, 2.5, 5, 10])
    slack = 1e-9 * (high - low)
    found = [float(value) for value in locator.tick_values(low, high) if low - slack <= value <= high + slack]
    return found if len(found) > 1 else [low, high]


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return number_text(value) if isinstance(value, int | float) else str(value)
