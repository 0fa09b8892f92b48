"""What tasks accept: the same sentences for who sends and for who carries out."""

import pytest

from fer_core.errors import ConfigError, FerError, JobError
from fer_core.recipes import RECIPES, recipe_config
from jobs.wishes import WISHES, checked_wish, recipe_of, train_config


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_training_has_the_settings_of_its_recipe_with_every_option_written_out(recipe):
    config = train_config(checked_wish("train", {"recipe": recipe}))
    assert config.model_copy(update={"network_options": {}}) == recipe_config(recipe).model_copy(
        update={"network_options": {}}
    )
    assert config.network_options


def test_settings_stand_flat_beside_the_tasks_own_arguments():
    wish = checked_wish(
        "train", {"recipe": "compact", "weight_decay": 0.1, "epochs": 3, "max_hours": 2, "promote": True}
    )
    config = train_config(wish)
    assert (config.weight_decay, config.epochs, config.optimizer) == (0.1, 3, "adamw")
    assert (wish.max_hours, wish.promote, recipe_of(wish)) == (2, True, "compact")


def test_settings_may_also_stand_together():
    wish = checked_wish("train", {"settings": {"epochs": 3}, "batch_size": 8})
    assert (train_config(wish).epochs, train_config(wish).batch_size) == (3, 8)


def test_another_networks_options_do_not_come_from_the_recipe():
    quick = train_config(checked_wish("train", {"recipe": "quick", "network_options": {"dropout": 0.3}}))
    assert (quick.network_options["dropout"], quick.network_options["block_dropout"]) == (0.3, 0.1)
    wish = checked_wish("train", {"network": "smoke"})
    assert train_config(wish).network_options == {"filters": [16, 32, 64]}
    assert recipe_of(wish) is None


@pytest.mark.parametrize(
    ("task", "arguments", "sentence", "hint"),
    [
        ("trane", {}, "There is no task 'trane'.", "Did you mean 'train'?"),
        ("train", {"recipe": "smokee"}, "There is no recipe 'smokee'.", "Did you mean 'smoke'?"),
        ("train", {"learning_rat": 1}, "train: there is no setting 'learning_rat'.", "Did you mean 'learning_rate'?"),
        ("train", {"max_hour": 1}, "train: there is no setting 'max_hour'.", "Did you mean 'max_hours'?"),
        ("train", {"learning_rate": "fast"}, "learning_rate: ", "train_emotion_model.py --help"),
        ("train", {"max_hours": 0}, "train: max_hours: ", "python -m jobs submit train --help"),
        ("train", {"network_options": {"filter": 3}}, "there is no setting 'filter'", "Did you mean 'filters'?"),
        ("train", {"network_options": [3]}, "network_options is [3], not options by name.", ""),
        ("train", {"run": "a-run", "epochs": 3}, "Run a-run has settings of its own", "Leave `run` out"),
        ("train", {"optimizer": "adam", "weight_decay": 1e-3}, "adam has no weight_decay here", ""),
        ("tune", {"oracl": "grid"}, "tune: there is no setting 'oracl'.", "Did you mean 'oracle'?"),
        ("tune", {"max_trials": 0}, "tune: max_trials: ", "python -m jobs submit tune --help"),
        ("retrain", {"min_images": 3}, "retrain: there is no setting 'min_images'.", ""),
        ("evaluate", {"runs": "x"}, "evaluate: there is no setting 'runs'.", "Did you mean 'run'?"),
        ("gc", {"keep_days": -1}, "gc: keep_days: ", "python -m jobs submit gc --help"),
        ("trial", {}, "trial: search: ", ""),
    ],
)
def test_what_is_wrong_is_named_in_one_sentence(task, arguments, sentence, hint):
    with pytest.raises(FerError) as error:
        checked_wish(task, arguments)
    assert isinstance(error.value, ConfigError | JobError)
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)
    assert hint in error.value.hint


@pytest.mark.parametrize("task", sorted(set(WISHES) - {"trial"}))
def test_every_task_can_do_without_arguments_and_says_where_it_waits(task):
    wish = checked_wish(task, {})
    assert wish.queue is None
    assert checked_wish(task, {"queue": "gpu.high"}).queue == "gpu.high"


@pytest.mark.parametrize(
    ("task", "arguments"),
    [
        ("train", {"data": "faces\0.zip"}),
        ("train", {"recipe": "\x1b[2Jsmoke"}),
        ("train", {"settings": {"network_options": {"l2\x9b": 1}}}),
        ("tune", {"space": ["learning_rate", "l2\n"]}),
        ("evaluate", {"run": "x\x07"}),
        ("gc", {"queue": "\x7fcpu"}),
    ],
)
def test_text_that_no_file_is_called_and_terminals_obey_is_refused(task, arguments):
    with pytest.raises(ConfigError, match="has a control character in it") as error:
        checked_wish(task, arguments)
    assert str(error.value).isprintable()
