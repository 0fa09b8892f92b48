"""The parameters of a search as Keras Tuner's hyperparameters, and values there and back. Imports Keras Tuner."""

import math
from collections.abc import Mapping
from typing import Any

import keras_tuner

from fer_core.tuning.space import NOTE, Parameter

_GRID_STEPS = 4
"""A range is five points of a grid."""


class OracleSpace:
    """The space of a search as an oracle knows it.

    An oracle chooses among text and numbers, so that a list such as the widths of the layers goes by its text there.
    """

    def __init__(self, parameters: tuple[Parameter, ...], *, is_grid: bool = False):
        self._parameters = {parameter.name: parameter for parameter in parameters}
        self._by_text = {p.name: {str(choice): choice for choice in p.choices} for p in parameters}
        self.hyperparameters = keras_tuner.HyperParameters()
        for parameter in parameters:
            self._add(parameter, is_grid)

    def to_oracle(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns settings as the oracle has them; Hyperband's notes stay as they are."""
        return {name: value if name.startswith(NOTE) else self._known(name, value) for name, value in values.items()}

    def to_settings(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the oracle's values as settings."""
        return {name: value if name.startswith(NOTE) else self._setting(name, value) for name, value in values.items()}

    def _add(self, parameter: Parameter, is_grid: bool) -> None:
        scope = {}
        if parameter.when is not None:
            scope = {"parent_name": parameter.when[0], "parent_values": list(parameter.when[1])}
        default = self._known(parameter.name, parameter.default)
        if parameter.kind == "bool":
            self.hyperparameters.Boolean(parameter.name, default=default, **scope)
        elif parameter.kind == "choice":
            choices = [self._known(parameter.name, choice) for choice in parameter.choices]
            self.hyperparameters.Choice(parameter.name, choices, default=default, **scope)
        elif is_grid:
            self.hyperparameters.Choice(parameter.name, _points(parameter, default), default=default, **scope)
        else:
            make = self.hyperparameters.Int if parameter.kind == "int" else self.hyperparameters.Float
            limits = {"min_value": _number(parameter, parameter.low), "max_value": _number(parameter, parameter.high)}
            sampling = "log" if parameter.log else "linear"
            make(parameter.name, **limits, sampling=sampling, default=default, **scope)

    def _known(self, name: str, value: Any) -> Any:
        """The recipe's 0 has no place in a logarithmic range: for the oracle it is the lowest value."""
        parameter = self._parameters[name]
        if isinstance(value, list):
            return str(value)
        if parameter.kind in ("int", "float"):
            return _number(parameter, min(max(value, parameter.low), parameter.high))
        return value

    def _setting(self, name: str, value: Any) -> Any:
        parameter = self._parameters[name]
        if parameter.kind == "choice":
            return self._by_text[name][str(value)]
        return bool(value) if parameter.kind == "bool" else _number(parameter, value)


def _number(parameter: Parameter, value: float) -> int | float:
    return int(value) if parameter.kind == "int" else float(value)


def _points(parameter: Parameter, default: int | float) -> list[int | float]:
    """Returns what a grid tries of a range: both ends, points evenly between them, and the recipe's own value."""
    parts = [step / _GRID_STEPS for step in range(_GRID_STEPS + 1)]
    found = {_number(parameter, float(f"{_between(parameter, part):.6g}")) for part in parts}
    return sorted(found | {default})


def _between(parameter: Parameter, part: float) -> float:
    if parameter.log:
        return parameter.low * math.pow(parameter.high / parameter.low, part)
    return parameter.low + part * (parameter.high - parameter.low)
