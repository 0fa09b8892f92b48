"""What a search may be asked for."""

import pytest

from fer_core.errors import ConfigError
from fer_core.recipes import RECIPES, recipe_config
from fer_core.store.files import utc_text
from fer_core.tuning.entries import SearchState
from fer_core.tuning.spec import SearchSpec, base_config, first_values, space_of
from fer_core.tuning.stage import seconds_left
from tests.tuning.made_up import BEGIN, plan_of


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_can_be_searched(recipe):
    spec = SearchSpec(recipe=recipe)
    config = base_config(spec)
    assert config.monitor == "val_macro_f1"
    assert config.network_options
    assert config.learning_rate == recipe_config(recipe).learning_rate
    assert config.validation_fraction >= 0.1
    assert 5 <= len(space_of(spec)) <= 8
    assert len(space_of(SearchSpec(recipe=recipe, space=("all",)))) > 8


def test_a_search_of_nothing_but_defaults_is_something_for_an_evening():
    spec = SearchSpec()
    assert (spec.recipe, spec.oracle, spec.objective, spec.confirm_top) == ("compact", "random", "val_macro_f1", 3)
    assert (base_config(SearchSpec()).epochs, base_config(SearchSpec(settings={"epochs": 50})).epochs) == (10, 50)
    state = SearchState(plan=plan_of(recipe="compact"), started_utc=utc_text(BEGIN), epoch_seconds=60.0)  # of a laptop
    assert 2.5 < seconds_left(state, BEGIN) / 3600 < 3.5


def test_fixed_settings_lie_over_the_recipe_and_the_searchs_own_over_those():
    config = base_config(SearchSpec(recipe="attention", settings={"epochs": 5, "l2": 0.5}, data="sample"))
    assert (config.epochs, config.network_options["l2"], config.data, config.learning_rate) == (5, 0.5, "sample", 5e-5)
    config = base_config(SearchSpec(recipe="quick", settings={"network": "smoke"}, objective="val_loss"))
    assert (config.network, config.network_options) == ("smoke", {"filters": [16, 32, 64]})
    assert config.monitor == "val_loss"
    assert recipe_config("resnet").validation_fraction < 0.1
    assert base_config(SearchSpec(recipe="resnet")).validation_fraction == 0.1
    assert base_config(SearchSpec(settings={"validation_fraction": 0.3})).validation_fraction == 0.3


def test_hyperband_trains_at_most_max_epochs_and_stops_early_by_itself():
    spec = SearchSpec(oracle="hyperband", max_epochs=9)
    assert base_config(spec).epochs == 9
    assert spec.stop_early and not spec.stops_early
    assert base_config(SearchSpec(oracle="hyperband", recipe="baseline")).epochs == 100


@pytest.mark.parametrize(
    ("settings", "sentence", "hint"),
    [
        ({"oracle": "random_search"}, "oracle", "--help"),
        ({"orakle": "grid"}, "there is no setting 'orakle'", "Did you mean 'oracle'?"),
        ({"space": ("network_options.l3",), "recipe": "attention"}, "There is no setting", "l2"),
        ({"space": ("dropout",), "recipe": "smoke"}, "There is no setting 'dropout'", "annealing, filters."),
        ({"space": ("epochs",)}, "A search has no range for 'epochs'", "Did you mean 'head_epochs'?"),
        ({"space": ()}, "The space of the search is empty", "Leave space out"),
        (
            {"recipe": "baseline", "space": ("momentum",)},
            "momentum has no effect here: it needs optimizer to be sgd",
            "Name optimizer in space",
        ),
        ({"settings": {"epoch": 3}}, "There is no setting 'epoch'", "Did you mean 'epochs'?"),
        ({"settings": {"monitor": "val_loss"}}, "settings has 'monitor'", "'objective'"),
        ({"settings": {"validation": "test"}}, "validation is 'test'", "held out"),
        ({"settings": {"validation": "none", "early_stopping_patience": 0}}, "validation is 'none'", "held out"),
        (
            {"settings": {"validation_fraction": 0.05}},
            "at least 10% of the training images; validation_fraction is",
            "out",
        ),
        ({"max_epochs": 9}, "max_epochs is of hyperband; the oracle is random", "epochs"),
        ({"start_from": ({"rotatoin": 3},)}, "There is no setting 'rotatoin'", "Did you mean 'rotation'?"),
        ({"start_from": ({"epochs": 3},)}, "start_from sets 'epochs', which the search does not vary", "There are"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_sentence(settings, sentence, hint):
    with pytest.raises(ConfigError) as caught:
        SearchSpec.checked(settings)
    assert sentence in str(caught.value)
    assert hint in caught.value.hint


def test_the_recipes_own_values_are_tried_first_and_then_what_is_given_and_what_fits_of_an_earlier_search():
    given = ({"rotation": 7, "optimizer": "sgd"}, {"rotation": 0.0})
    spec = SearchSpec(recipe="smoke", space=("rotation", "optimizer", "momentum"), start_from=given)
    own = {"optimizer": "adam", "rotation": 0.0}
    assert first_values(spec, []) == (own, {"optimizer": "sgd", "momentum": 0.9, "rotation": 7.0})
    earlier = [{"rotation": 5.0, "optimizer": "adam", "batch_size": 32}, {"rotation": 1e6, "optimizer": "adam"}, own]
    spec = SearchSpec(recipe="smoke", space=("rotation", "optimizer"))
    assert first_values(spec, earlier) == (own, {"optimizer": "adam", "rotation": 5.0})


def test_ranges_reach_as_far_as_what_is_given():
    given = ({"rotation": 90, "batch_size": 7, "filters": [2, 3]},)
    spec = SearchSpec(recipe="smoke", space=("all",), start_from=given)
    space = {parameter.name: parameter for parameter in space_of(spec)}
    assert space["rotation"].high == 90
    assert space["batch_size"].choices == (7, 32, 64, 128)
    assert [2, 3] in space["network_options.filters"].choices


def test_a_setting_varies_in_the_range_that_is_given():
    ranges = {"learning_rate": (0.0005, 0.005), "class_weights": ("balanced", "none"), "dropout": (0, 0.2)}
    varied = {one.name: one for one in space_of(SearchSpec(ranges=ranges))}
    assert (varied["learning_rate"].low, varied["learning_rate"].high) == (0.0005, 0.005)
    assert (varied["network_options.dropout"].low, varied["network_options.dropout"].high) == (0.0, 0.2)
    assert set(varied["class_weights"].choices) == {"balanced", "none"}
    sizes = SearchSpec(space=("batch_size",), ranges={"batch_size": (64, 32)})
    assert [one.choices for one in space_of(sizes)] == [(32, 64)]


@pytest.mark.parametrize(
    ("ranges", "says"),
    [
        ({"learning_rate": (0, 0.1)}, "learning_rate cannot vary over 0, 0.1"),
        ({"learning_rate": (0.1, 0.01)}, "learning_rate cannot vary over"),
        ({"learning_rate": (0.1,)}, "learning_rate cannot vary over"),
        ({"learning_rate": ("a", "b")}, "learning_rate cannot vary over"),
        ({"learning_rate": (0.1, float("inf"))}, "learning_rate cannot vary over"),
        ({"learning_rate": (0.1, 10**400)}, "learning_rate cannot vary over"),
        ({"rotation": (-90, 900)}, "rotation"),
        ({"class_weights": ("balanced",)}, "class_weights cannot vary over balanced"),
        ({"class_weights": ("balanced", "heavy")}, "class_weights cannot vary over"),
        ({"batch_size": (32, 64)}, "which the search does not vary"),
        ({"momentun": (0, 1)}, "There is no setting 'momentun'"),
    ],
)
def test_a_range_that_a_setting_cannot_have_is_named(ranges, says):
    with pytest.raises(ConfigError, match=says):
        SearchSpec(ranges=ranges)
