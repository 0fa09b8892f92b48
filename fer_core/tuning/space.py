"""The space of a search: the settings that `TrainConfig` and the network's `Options` declare as searchable.

Values go by whole names ("learning_rate", "network_options.l2") and are as JSON has them: lists, no tuples.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from pydantic.fields import FieldInfo

from fer_core import networks
from fer_core.config import Searchable, Settings, TrainConfig
from fer_core.errors import ConfigError, did_you_mean
from fer_core.store.files import plain

OPTION = "network_options."
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

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Returns whether the parameter is of use beside these values of the others."""
        return self.when is None or values.get(self.when[0]) in self.when[1]


def parameters(config: TrainConfig, names: tuple[str, ...] | None = None) -> tuple[Parameter, ...]:
    """Returns what a search around `config` varies: all that is searchable, or what is named ("l2" is enough).

    A range reaches as far as the config's own value.

    Raises:
        ConfigError: for a name that there is not, that has no range, or that has no effect with this config.
    """
    config = networks.with_all_options(config)
    every = dict(_searchable(config))
    wanted = list(every) if names is None else [_searchable_name(name, config, every) for name in names]
    if not wanted:
        raise ConfigError("The space of the search is empty.", hint="Leave space out, or name at least one setting.")
    declared = [_parameter(name, field, config) for name, field in every.items() if name in wanted]
    of_use = filter(None, (_in_company(parameter, wanted, config) for parameter in declared))
    found = tuple(filter(None, (_fitting(parameter, config) for parameter in of_use)))
    _check_effect(wanted if names is not None else [], found, every)
    return found


def setting_name(name: str, config: TrainConfig, *, suggest: Iterable[str] | None = None) -> str:
    """Returns the whole name of a setting: "l2" is "network_options.l2".

    Raises ConfigError for one that there is not; `suggest` are the names that may be meant, all of them by default.
    """
    options = networks.network_module(config.network).Options.model_fields
    if name in TrainConfig.model_fields:
        return name
    if name.removeprefix(OPTION) in options:
        return OPTION + name.removeprefix(OPTION)
    raise ConfigError(
        f"There is no setting {name!r} (network {config.network}).",
        hint=did_you_mean(name.removeprefix(OPTION), suggest or [*TrainConfig.model_fields, *options]),
    )


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
    for name, field in TrainConfig.model_fields.items():
        ranges = _ranges(field)
        if ranges is not None and ranges.when is not None and settings[ranges.when[0]] not in ranges.when[1]:
            settings[name] = field.default
    if settings["schedule"] != "step":
        settings |= {"step_epochs": (), "step_factors": ()}
    return _checked(settings)


def values_of(config: TrainConfig, space: tuple[Parameter, ...]) -> dict[str, Any]:
    """Returns the config's own values of the parameters, without those that are of no use with them."""
    own = {parameter.name: _own_value(parameter.name, config) for parameter in space}
    return {parameter.name: own[parameter.name] for parameter in space if parameter.is_active(own)}


def widened(space: tuple[Parameter, ...], values: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """Returns the parameters with ranges that reach as far as these values."""
    return tuple(_reaching(one, values[one.name]) if one.name in values else one for one in space)


def _searchable(config: TrainConfig) -> Iterator[tuple[str, FieldInfo]]:
    yield from _with_ranges("", TrainConfig)
    yield from _with_ranges(OPTION, networks.network_module(config.network).Options)


def _with_ranges(prefix: str, settings: type[Settings]) -> Iterator[tuple[str, FieldInfo]]:
    return ((prefix + name, field) for name, field in settings.model_fields.items() if _ranges(field) is not None)


def _ranges(field: FieldInfo) -> Searchable | None:
    return next((part for part in field.metadata if isinstance(part, Searchable)), None)


def _searchable_name(name: str, config: TrainConfig, every: Mapping[str, Any]) -> str:
    whole = setting_name(name, config, suggest=[one.removeprefix(OPTION) for one in every])
    if whole not in every:
        raise ConfigError(f"A search has no range for {name!r}.", hint=did_you_mean(whole, every))
    return whole


def _parameter(name: str, field: FieldInfo, config: TrainConfig) -> Parameter:
    ranges = _ranges(field)
    kinds = {bool: "bool", int: "int", float: "float"}
    kind = "choice" if ranges.choices and field.annotation is not bool else kinds[field.annotation]
    own = _own_value(name, config)
    declared = Parameter(
        name=name,
        kind=kind,
        low=ranges.low,
        high=ranges.high,
        log=ranges.log,
        choices=tuple(plain(ranges.choices)),
        default=own,
        when=ranges.when,
    )
    return _reaching(declared, own)


def _own_value(name: str, config: TrainConfig) -> Any:
    if name.startswith(OPTION):
        return plain(config.network_options[name.removeprefix(OPTION)])
    return plain(getattr(config, name))


def _reaching(parameter: Parameter, value: Any) -> Parameter:
    """A logarithmic range cannot reach 0; a trial may have that value all the same."""
    if parameter.choices:
        choices = parameter.choices if value in parameter.choices else (*parameter.choices, value)
        return parameter.model_copy(update={"choices": _sorted(choices)})
    if parameter.log and value <= 0:
        return parameter
    return parameter.model_copy(update={"low": min(parameter.low, value), "high": max(parameter.high, value)})


def _sorted(choices: tuple[Any, ...]) -> tuple[Any, ...]:
    """Numbers in their order: an oracle takes neighbours for alike."""
    return choices if isinstance(choices[0], str) else tuple(sorted(choices))


def _in_company(parameter: Parameter, wanted: list[str], config: TrainConfig) -> Parameter | None:
    """Returns the parameter as it is where only the wanted ones vary; None where it never is of use there."""
    if parameter.when is None or parameter.when[0] in wanted:
        return parameter
    fixed, allowed = parameter.when
    return parameter.model_copy(update={"when": None}) if getattr(config, fixed) in allowed else None


def _fitting(parameter: Parameter, config: TrainConfig) -> Parameter | None:
    """Returns the parameter with the choices that go with the config; None where none but its own does.

    So flip is left out where alternating_flip is on, and filters for three blocks where the network has four.
    """
    if not parameter.choices:
        return parameter
    choices = tuple(choice for choice in parameter.choices if _goes_with(config, {parameter.name: choice}))
    return parameter.model_copy(update={"choices": choices}) if len(choices) > 1 else None


def _goes_with(config: TrainConfig, values: Mapping[str, Any]) -> bool:
    try:
        return bool(with_values(config, values))
    except ConfigError:
        return False


def _check_effect(named: list[str], found: tuple[Parameter, ...], every: Mapping[str, FieldInfo]) -> None:
    idle = [name for name in named if name not in {parameter.name for parameter in found}]
    if not idle:
        return
    condition = _ranges(every[idle[0]]).when
    if condition is None:
        raise ConfigError(
            f"{idle[0]} can have no other value beside the settings of this recipe.",
            hint="Leave it out of space, or change in settings what excludes it.",
        )
    other, allowed = condition
    raise ConfigError(
        f"{idle[0]} has no effect here: it needs {other} to be {' or '.join(map(str, allowed))}.",
        hint=f"Name {other} in space too, or set it in settings.",
    )


def _merged(config: TrainConfig, values: Mapping[str, Any]) -> dict[str, Any]:
    flat = {key: value for name, part in values.items() for key, value in _flat(name, part)}
    named = {setting_name(name, config): value for name, value in flat.items()}
    options = {name.removeprefix(OPTION): value for name, value in named.items() if name.startswith(OPTION)}
    own = {name: value for name, value in named.items() if not name.startswith(OPTION)}
    return config.model_dump() | own | {"network_options": config.network_options | options}


def _flat(name: str, value: Any) -> list[tuple[str, Any]]:
    if name == OPTION.removesuffix(".") and isinstance(value, Mapping):
        return [(OPTION + key, part) for key, part in value.items()]
    return [(name, value)]


def _checked(settings: dict[str, Any]) -> TrainConfig:
    return networks.with_all_options(TrainConfig.checked(settings))
