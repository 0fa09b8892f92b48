"""The space of a search: the settings that `TrainConfig` and the network's `Options` declare as searchable.

Values go by whole names ("learning_rate", "network_options.l2") and are as JSON has them: lists, no tuples.
"""

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from fer_core import networks
from fer_core.config import Searchable, Settings, TrainConfig
from fer_core.errors import ConfigError, did_you_mean
from fer_core.store.files import plain

OPTION = "network_options."
_LARGEST = 1e300  # of a range's ends: JSON knows whole numbers that are no float
NOTE = "tuner/"
"""Among the values of a trial, what begins so is Hyperband's own and no setting."""


class Parameter(Settings):
    """A setting that a search varies."""

    name: str
    kind: Literal["float", "int", "choice", "bool"]
    low: float | None = None
    """Of float and int, included."""
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    default: Any
    """What the recipe has."""
    when: tuple[str, tuple[Any, ...]] | None = None
    """Another parameter, and the values of it with which this one is of use."""

    def allows(self, value: Any) -> bool:
        """Returns whether a search can try this value."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high


def parameters(config: TrainConfig, names: tuple[str, ...] | None = None) -> tuple[Parameter, ...]:
    """Returns what a search around `config` varies: all that is searchable, or what is named ("l2" is enough).

    A range reaches as far as the config's own value.

    Raises:
        ConfigError: for a name that there is not, that has no range, or that has no effect with this config.
    """
    config = networks.with_all_options(config)
    every = _searchable(config)
    wanted = list(every) if names is None else [_searchable_name(name, config, every) for name in names]
    if not wanted:
        raise ConfigError("The space of the search is empty.", hint="Leave space out, or name at least one setting.")
    found = []
    for name in every:
        parameter = _of_use(_parameter(name, *every[name], config), wanted, config) if name in wanted else None
        if parameter is not None:
            found.append(parameter)
        elif name in wanted and names is not None:
            raise _without_effect(name, every[name][1].when)
    return tuple(found)


def setting_name(name: str, config: TrainConfig, *, suggest: Iterable[str] | None = None) -> str:
    """Returns the whole name of a setting: "l2" is "network_options.l2".

    Raises ConfigError for one that there is not; `suggest` are the names that may be meant, all of them by default.
    """
    options = networks.network_module(config.network).Options.model_fields
    if name in TrainConfig.model_fields:
        return name
    short = name.removeprefix(OPTION)
    if short in options:
        return OPTION + short
    hint = did_you_mean(short, suggest or [*TrainConfig.model_fields, *options])
    raise ConfigError(f"There is no setting {name!r} (network {config.network}).", hint=hint)


def with_settings(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """Returns the config with other settings, by whole or short names, and every network option written out.

    Raises:
        ConfigError: for a name that there is not, or settings that do not go together.
    """
    return _checked(_merged(config, values))


def with_values(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """Returns the config of a trial. What is of no use with the chosen values goes back to its default.

    So a search may choose adam where the recipe has adamw and a weight decay. Raises ConfigError as `with_settings`.
    """
    settings = _merged(config, {name: value for name, value in values.items() if not name.startswith(NOTE)})
    for name, (_, ranges) in _searchable(config).items():
        if name in settings and ranges.when is not None and settings[ranges.when[0]] not in ranges.when[1]:
            settings[name] = TrainConfig.model_fields[name].default
    if settings["schedule"] != "step":
        settings |= {"step_epochs": (), "step_factors": ()}
    return _checked(settings)


def values_of(config: TrainConfig, space: tuple[Parameter, ...]) -> dict[str, Any]:
    """Returns the config's own values of the parameters, without those that are of no use with them."""
    own = {parameter.name: _own_value(parameter.name, config) for parameter in space}
    return {one.name: own[one.name] for one in space if one.when is None or own.get(one.when[0]) in one.when[1]}


def widened(space: tuple[Parameter, ...], values: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Returns the parameters with ranges that reach as far as these values."""
    return tuple(_reaching(one, values[one.name]) if one.name in values else one for one in space)


def within(
    space: tuple[Parameter, ...], ranges: Mapping[str, tuple[Any, ...]], config: TrainConfig
) -> tuple[Parameter, ...]:
    """Returns the parameters with other ranges: (from, to) of numbers, of choices those that are left.

    Raises ConfigError for a setting that does not vary, and for a range that it cannot have.
    """
    given = {setting_name(name, config): tuple(plain(values)) for name, values in ranges.items()}
    unknown = next((name for name in given if name not in [one.name for one in space]), None)
    if unknown is not None:
        raise ConfigError(f"There is a range for {unknown}, which the search does not vary.", hint="Add it to space.")
    return tuple(_within(one, given[one.name], config) if one.name in given else one for one in space)


def _within(parameter: Parameter, values: tuple[Any, ...], config: TrainConfig) -> Parameter:
    shown = ", ".join(map(str, values))
    if parameter.choices:
        left = tuple(choice for choice in parameter.choices if choice in values)
        if len(left) != len(set(map(str, values))) or len(left) < 2:
            known = ", ".join(map(str, parameter.choices))
            raise ConfigError(
                f"{parameter.name} cannot vary over {shown or 'nothing'}.", hint=f"Two or more of {known}."
            )
        return parameter.model_copy(update={"choices": left})
    number = int if parameter.kind == "int" else float
    are_numbers = len(values) == 2 and all(isinstance(one, int | float) and abs(one) < _LARGEST for one in values)
    are_numbers = are_numbers and all(one == number(one) for one in values)
    if not are_numbers or not values[0] < values[1] or (parameter.log and values[0] <= 0):
        above = ", both above 0" if parameter.log else ""
        kind = "two whole numbers" if number is int else "two numbers"
        raise ConfigError(f"{parameter.name} cannot vary over {shown}.", hint=f"Give {kind}, the smaller first{above}.")
    for value in values:
        with_values(config, {parameter.name: number(value)})
    return parameter.model_copy(update={"low": number(values[0]), "high": number(values[1])})


def _searchable(config: TrainConfig) -> dict[str, tuple[type | None, Searchable]]:
    """Returns the type and the range of each setting that declares one."""
    options = networks.network_module(config.network).Options.model_fields
    fields = TrainConfig.model_fields | {OPTION + name: field for name, field in options.items()}
    ranges = ((name, field, part) for name, field in fields.items() for part in field.metadata)
    return {name: (field.annotation, part) for name, field, part in ranges if isinstance(part, Searchable)}


def _searchable_name(name: str, config: TrainConfig, every: Iterable[str]) -> str:
    whole = setting_name(name, config, suggest=[one.removeprefix(OPTION) for one in every])
    if whole not in every:
        raise ConfigError(f"A search has no range for {name!r}.", hint=did_you_mean(whole, every))
    return whole


def _parameter(name: str, annotation: type | None, ranges: Searchable, config: TrainConfig) -> Parameter:
    kind = "bool" if annotation is bool else "choice" if ranges.choices else annotation.__name__
    own = _own_value(name, config)
    declared = {"low": ranges.low, "high": ranges.high, "log": ranges.log, "when": ranges.when}
    choices = tuple(plain(ranges.choices))
    return _reaching(Parameter(name=name, kind=kind, choices=choices, default=own, **declared), own)


def _own_value(name: str, config: TrainConfig) -> Any:
    option = name.startswith(OPTION)
    return plain(config.network_options[name.removeprefix(OPTION)] if option else getattr(config, name))


def _reaching(parameter: Parameter, value: Any) -> Parameter:
    """A logarithmic range cannot reach 0; a trial may have that value all the same."""
    if parameter.choices:
        choices = parameter.choices if value in parameter.choices else (*parameter.choices, value)
        # Numbers in their order: an oracle takes neighbours for alike.
        choices = choices if isinstance(choices[0], str) else tuple(sorted(choices))
        return parameter.model_copy(update={"choices": choices})
    if parameter.log and value <= 0:
        return parameter
    return parameter.model_copy(update={"low": min(parameter.low, value), "high": max(parameter.high, value)})


def _of_use(parameter: Parameter, wanted: list[str], config: TrainConfig) -> Parameter | None:
    """Returns the parameter as it is where only the wanted ones vary; None where it never has another value of use.

    So flip is left out where alternating_flip is on, and filters for three blocks where the network has four.
    """
    if parameter.when is not None and parameter.when[0] not in wanted:
        other, allowed = parameter.when
        if getattr(config, other) not in allowed:
            return None
        parameter = parameter.model_copy(update={"when": None})
    if not parameter.choices:
        return parameter
    choices = []
    for choice in parameter.choices:
        with contextlib.suppress(ConfigError):
            with_values(config, {parameter.name: choice})
            choices.append(choice)
    return parameter.model_copy(update={"choices": tuple(choices)}) if len(choices) > 1 else None


def _without_effect(name: str, condition: tuple[str, tuple] | None) -> ConfigError:
    if condition is None:
        hint = "Leave it out of space, or change in settings what excludes it."
        return ConfigError(f"{name} can have no other value beside the settings of this recipe.", hint=hint)
    other, allowed = condition
    return ConfigError(
        f"{name} has no effect here: it needs {other} to be {' or '.join(map(str, allowed))}.",
        hint=f"Name {other} in space too, or set it in settings.",
    )


def _merged(config: TrainConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings as `TrainConfig` takes them; the options of the network may come together or by name."""
    flat = dict(values)
    if isinstance(flat.get("network_options"), Mapping):
        flat |= {OPTION + name: value for name, value in flat.pop("network_options").items()}
    named = {setting_name(name, config): value for name, value in flat.items()}
    options = {name.removeprefix(OPTION): value for name, value in named.items() if name.startswith(OPTION)}
    own = {name: value for name, value in named.items() if not name.startswith(OPTION)}
    return config.model_dump() | own | {"network_options": config.network_options | options}


def _checked(settings: dict[str, Any]) -> TrainConfig:
    return networks.with_all_options(TrainConfig.checked(settings))
