"""What a search varies, and the settings that come of it."""

import itertools

import pytest

from fer_core import networks
from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.recipes import RECIPES, recipe_config
from fer_core.tuning.space import parameters, setting_name, values_of, widened, with_settings, with_values

EVERY_RECIPE = pytest.mark.parametrize("recipe", RECIPES)


def names_of(config: TrainConfig, names=None) -> list[str]:
    return [parameter.name for parameter in parameters(config, names)]


@EVERY_RECIPE
def test_the_recipes_own_values_are_allowed_and_give_the_recipe(recipe):
    config = networks.with_all_options(recipe_config(recipe))
    space = parameters(config)
    own = values_of(config, space)
    assert with_values(config, own) == config
    for parameter in space:
        zero_of_a_logarithm = parameter.log and parameter.default == 0
        assert parameter.name not in own or parameter.allows(own[parameter.name]) or zero_of_a_logarithm


@EVERY_RECIPE
def test_each_value_that_a_search_may_try_gives_valid_settings_beside_each_choice(recipe):
    config = recipe_config(recipe)
    space = {parameter.name: parameter for parameter in parameters(config)}
    for optimizer, schedule in itertools.product(space["optimizer"].choices, space["schedule"].choices):
        for parameter in space.values():
            for value in parameter.choices or (parameter.low, parameter.high):
                assert networks.options(
                    with_values(config, {"optimizer": optimizer, "schedule": schedule, parameter.name: value})
                )


def test_kinds_and_ranges_are_those_that_are_declared():
    space = {parameter.name: parameter for parameter in parameters(recipe_config("baseline"))}
    rate, flip, filters = space["learning_rate"], space["flip"], space["network_options.filters"]
    assert (rate.kind, rate.low, rate.high, rate.log, rate.default) == ("float", 1e-5, 1e-2, True, 1e-3)
    assert (flip.kind, flip.choices, flip.default) == ("bool", (False, True), False)
    assert (filters.kind, filters.default) == ("choice", [32, 64, 128])
    assert space["weight_decay"].when == ("optimizer", ("adamw", "sgd"))
    (decay,) = parameters(TrainConfig(optimizer="sgd"), ("weight_decay",))
    assert (decay.low, decay.default) == (1e-6, 0.0)  # a logarithmic range does not reach 0
    assert widened((decay,), {"weight_decay": 0.5})[0].high == 0.5


def test_a_name_may_be_whole_or_short_and_narrows_the_space():
    config = recipe_config("attention")
    wanted = ("l2", "network_options.dense", "rotation")
    assert names_of(config, wanted) == ["rotation", "network_options.l2", "network_options.dense"]
    assert setting_name("l2", config) == setting_name("network_options.l2", config) == "network_options.l2"
    assert setting_name("epochs", config) == "epochs"
    assert with_settings(config, {"network_options": {"l2": 0.5}}) == with_settings(config, {"l2": 0.5})


def test_what_goes_with_no_other_value_is_left_out_and_refused_by_name():
    assert {"flip", "network_options.filters"}.isdisjoint(names_of(recipe_config("resnet_large")))
    with pytest.raises(ConfigError, match="flip can have no other value beside the settings of this recipe"):
        parameters(recipe_config("resnet"), ("flip",))


def test_what_depends_on_a_fixed_setting_is_varied_only_where_it_is_of_use():
    (decay,) = parameters(TrainConfig(optimizer="adamw", weight_decay=0.02), ("weight_decay",))
    assert (decay.when, decay.high) == (None, 0.02)
    assert {"weight_decay", "momentum"} <= set(names_of(TrainConfig()))
    with pytest.raises(ConfigError, match="weight_decay has no effect here: it needs optimizer to be adamw or sgd"):
        parameters(TrainConfig(), ("weight_decay",))


def test_what_is_of_no_use_with_the_chosen_values_goes_back_to_its_default():
    compact, deep = recipe_config("compact"), recipe_config("deep_l2")
    assert with_values(compact, {"optimizer": "adam"}).weight_decay == 0
    assert with_values(compact, {"optimizer": "sgd", "tuner/epochs": 3}).weight_decay == 0.02
    assert with_values(deep, {"schedule": "cosine"}).step_epochs == ()
    assert with_values(deep, {"schedule": "step"}).step_epochs == (20, 30)
    with pytest.raises(ConfigError, match="adam has no weight_decay"):
        with_settings(compact, {"optimizer": "adam"})
    space = parameters(TrainConfig(), ("optimizer", "weight_decay", "momentum"))
    assert values_of(TrainConfig(), space) == {"optimizer": "adam"}
    sgd = {"optimizer": "sgd", "momentum": 0.5, "weight_decay": 0.0}
    assert values_of(TrainConfig(**sgd), space) == sgd
