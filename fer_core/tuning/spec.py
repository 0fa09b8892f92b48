"""`SearchSpec`: everything that decides a search, as one frozen value; also the arguments of the job `tune`."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, model_validator

from fer_core import networks
from fer_core.config import Settings, TrainConfig
from fer_core.errors import ConfigError, did_you_mean
from fer_core.recipes import fitted_to, recipe_config
from fer_core.tuning.space import (
    OPTION,
    Parameter,
    parameters,
    setting_name,
    values_of,
    widened,
    with_settings,
    with_values,
    within,
)

STORED = {"stored": True}
"""Validation context of a spec that was checked when its search was made: its recipe may be gone since."""

DEFAULT_RECIPE, DEFAULT_EPOCHS = "compact", 10
"""Around a network of a third of resnet's cost, a laptop tries twenty settings in an evening; so many epochs are enough
to tell good settings from bad ones. What has won is then trained for longer."""
MAIN_SETTINGS = (
    *("learning_rate", "weight_decay", "class_weights", "label_smoothing", "mixup", "rotation", "shift"),
    f"{OPTION}dropout",
)
"""What a search varies where nothing is named: twenty trials say little about thirty settings."""
ALL_SETTINGS = ("all",)
LEAST_HELD_OUT = 0.1
"""Of the training images: with fewer, the rare emotions have a handful, and luck chooses the winner."""

_SET_ELSEWHERE = {"monitor": "objective", "data": "data"}


class SearchSpec(Settings):
    """What is searched, how, and for how long."""

    recipe: str = DEFAULT_RECIPE
    """The settings to search around. Trials of compact have 10 epochs, unless `settings` has others."""
    oracle: Literal["random", "hyperband", "bayesian", "grid"] = "random"
    """Who proposes what to try next, of Keras Tuner's."""
    max_trials: Annotated[int, Field(ge=1, le=100_000)] = 20
    """At most so many settings are tried; grid and hyperband may end earlier."""
    max_hours: Annotated[float, Field(gt=0, le=100_000)] | None = None
    """After so many hours no trial is begun and running ones end; the confirmations come after that."""
    parallelism: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Trials side by side, at most. Default: as many as there are workers."""
    objective: Literal["val_macro_f1", "val_accuracy", "val_loss"] = "val_macro_f1"
    """What makes a trial better than another."""
    space: tuple[str, ...] | None = None
    """The settings to vary ("learning_rate", "l2"), or "all" that have a range. Default: eight that matter most."""
    ranges: dict[str, tuple[Any, ...]] = {}
    """Where these settings vary: {"learning_rate": [0.0001, 0.01]} from and to, of choices those that are left."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    """Of the oracle. The trainings have the recipe's own seed."""
    confirm_top: Annotated[int, Field(ge=0, le=100)] = 3
    """So many of the best are trained again with three other seeds before one is named the winner; 0 = off."""
    data: str | None = None
    """Images, as for a training."""
    settings: dict[str, Any] = {}
    """Settings that stay fixed, over the recipe's."""
    stop_early: bool = True
    """End trials that are worse than others were after as many epochs; not with hyperband, which does it itself."""
    warm_start: str | None = None
    """An earlier search: its best settings are tried first."""
    start_from: tuple[dict[str, Any], ...] = ()
    """Settings to try first, after the recipe's own."""
    keep_top_k: Annotated[int, Field(ge=1, le=100_000)] = 5
    """The weights of so many trials are kept."""
    max_epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Of hyperband: epochs of its longest trials. Default: the recipe's."""
    factor: Annotated[int, Field(ge=2, le=10)] = 3
    """Of hyperband: one of so many goes on, with so many times the epochs."""
    max_failed_in_a_row: Annotated[int, Field(ge=1, le=100_000)] = 5
    """The search fails after so many failed trials one after the other."""

    @property
    def stops_early(self) -> bool:
        """Whether trials are ended early by comparing them."""
        return self.stop_early and self.oracle != "hyperband"

    @model_validator(mode="after")
    def _can_be_searched(self, info: ValidationInfo) -> "SearchSpec":
        if info.context != STORED:
            space_of(self)
        return self


def base_config(spec: SearchSpec) -> TrainConfig:
    """Returns what every trial starts from: the recipe with the fixed settings, every network option written out.

    Raises:
        ConfigError: for a recipe or setting that there is not, or settings that a search cannot have.
    """
    for name in _SET_ELSEWHERE.keys() & spec.settings.keys():
        raise ConfigError(f"settings has {name!r}.", hint=f"That is the search's own {_SET_ELSEWHERE[name]!r}.")
    if spec.max_epochs is not None and spec.oracle != "hyperband":
        hint = 'Give settings {"epochs": …} instead.'
        raise ConfigError(f"max_epochs is of hyperband; the oracle is {spec.oracle}.", hint=hint)
    recipe = recipe_config(spec.recipe)
    network = spec.settings.get("network", recipe.network)
    if network != recipe.network:
        recipe = networks.with_all_options(recipe.model_copy(update={"network": network, "network_options": {}}))
    if spec.recipe == DEFAULT_RECIPE:
        recipe = fitted_to(recipe, DEFAULT_EPOCHS).model_copy(update={"epochs": DEFAULT_EPOCHS})
    held_out = {"validation_fraction": max(recipe.validation_fraction, LEAST_HELD_OUT)}
    settings = held_out | spec.settings | {"monitor": spec.objective, "data": spec.data}
    if spec.max_epochs is not None:
        settings["epochs"] = spec.max_epochs
    config = with_settings(fitted_to(recipe, settings.get("epochs")), settings)
    if config.validation_fraction < LEAST_HELD_OUT:
        raise ConfigError(
            f"A search chooses by at least {LEAST_HELD_OUT:.0%} of the training images; validation_fraction is "
            f"{config.validation_fraction:g}.",
            hint="Leave that setting out.",
        )
    if config.validation != "split":
        raise ConfigError(
            f"A search needs validation images of its own to choose by; validation is {config.validation!r}.",
            hint="Leave that setting out: some of the training images are held out then.",
        )
    return config


def space_of(spec: SearchSpec) -> tuple[Parameter, ...]:
    """Returns what the search varies. Raises ConfigError for names that there are not, or that have no range."""
    base, names = base_config(spec), spec.space
    if names is None:
        of_use = values_of(base, parameters(base))
        names = tuple(name for name in MAIN_SETTINGS if name in of_use)
    space = within(parameters(base, None if names == ALL_SETTINGS else names), spec.ranges, base)
    for settings in spec.start_from:
        space = widened(space, values_of(_starting_with(base, settings, space), space))
    return space


def first_values(spec: SearchSpec, earlier: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Returns the values that are tried before the oracle is asked: the recipe's own, start_from, the best of earlier.

    Args:
        earlier: values of another search's trials, best first; what this space has no place for is left out.
    """
    base, space = base_config(spec), space_of(spec)
    fitting = [
        {one.name: values[one.name] for one in space if one.name in values and one.allows(values[one.name])}
        for values in earlier
    ]
    configs = [base, *(_starting_with(base, settings, space) for settings in spec.start_from)]
    configs += [with_values(base, values) for values in fitting]
    every = [values_of(config, space) for config in configs]
    return tuple(values for place, values in enumerate(every) if values not in every[:place])


def _starting_with(base: TrainConfig, settings: dict[str, Any], space: tuple[Parameter, ...]) -> TrainConfig:
    varied = [parameter.name for parameter in space]
    for name in settings:
        if setting_name(name, base) not in varied:
            hint = did_you_mean(name, varied)
            raise ConfigError(f"start_from sets {name!r}, which the search does not vary.", hint=hint)
    return with_values(base, settings)
