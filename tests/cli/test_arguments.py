"""The command line: recipe < TOML < flags, the network's own options, and where runs go."""

from pathlib import Path

import pytest

from fer_core.cli.train import parse
from fer_core.config import TrainConfig
from fer_core.errors import ConfigError
from fer_core.recipes import RECIPES, recipe_config
from fer_core.training.retraining import RetrainSpec


@pytest.fixture
def toml(tmp_path):
    """Returns a function that writes the file and gives its flag."""

    def write(text: str) -> str:
        (tmp_path / "run.toml").write_text(text)
        return f"--config={tmp_path / 'run.toml'}"

    return write


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_alone_is_the_settings_of_the_recipe(name):
    request = parse(["--recipe", name])
    assert (request.config, request.recipe) == (recipe_config(name), name)


@pytest.mark.parametrize(
    ("table", "flags", "recipe"),
    [
        ("", [], "resnet"),
        ("epochs = 7\n", [], "resnet"),
        ("", ["--network", "tapered"], None),
        ('network = "smoke"\n', [], None),
        ('network = "smoke"\n', ["--recipe", "smoke"], "smoke"),
    ],
)
def test_a_training_is_named_after_its_recipe_which_another_network_has_none_of(toml, table, flags, recipe):
    request = parse([toml(table), *flags])
    assert request.recipe == recipe
    if recipe is None:
        assert request.config.learning_rate == TrainConfig().learning_rate


@pytest.mark.parametrize(
    ("flags", "sizes"),
    [
        (["--epochs", "2"], (40, 44)),
        (["--epochs=1", "--recipe", "tiny"], (48,)),
        (["--recipe", "resnet_large", "--epochs", "3"], ()),
    ],
)
def test_a_few_epochs_of_a_patient_recipe_have_a_warm_up_and_sizes_that_fit(flags, sizes):
    config = parse(flags).config
    assert 0 < config.warmup_epochs < config.epochs
    assert config.progressive_sizes == sizes


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--epochs", "2", "--warmup-epochs", "2"], "warmup_epochs must be less than epochs"),
        (["--epochs", "2", "--progressive-sizes", "32", "40", "44"], "progressive_sizes are more than epochs"),
        (["--ensemble", "A", "B", "--eight-bit"], "eight_bit has no effect beside --ensemble"),
    ],
)
def test_what_is_asked_for_by_name_is_refused_and_not_fitted(flags, problem):
    with pytest.raises(ConfigError, match=problem):
        parse(flags)


def test_flags_win_over_the_toml_file_and_that_over_the_recipe(toml):
    flag = toml("epochs = 7\nbatch_size = 16\n")
    config = parse(["--recipe", "attention", flag, "--batch-size", "8"]).config
    assert (config.epochs, config.batch_size) == (7, 8)
    assert config.early_stopping_patience == recipe_config("attention").early_stopping_patience


def test_network_options_are_flags_win_over_the_toml_file_and_own_defaults_are_not_written_down(toml):
    config = parse([toml('network = "attention"\nnetwork_options = {block_dropout = 0.1}\n')]).config
    assert (config.network, config.network_options) == ("attention", {"block_dropout": 0.1})
    flag = toml("network_options = {dropout = 0.1}\n")
    assert parse([flag]).config.network_options == {"dropout": 0.1}
    assert parse([flag, "--network-options.dropout", "0.4"]).config.network_options == {"dropout": 0.4}
    assert parse(["--recipe", "smoke", "--network-options.filters", "16", "32", "64"]).config.network_options == {}


def test_switches_can_be_turned_on_and_off():
    assert parse(["--recipe", "weighted_loss", "--no-flip"]).config.flip is False
    assert parse(["--recipe", "baseline", "--flip"]).config.flip is True
    request = parse(["--ensemble", "A", "B", "--no-promote"])
    assert (request.promote, request.ensemble, request.wants) == (False, ("A", "B"), "ensemble")
    for flag, wants in {"--list-recipes": "list-recipes", "--audit-only": "audit", "--history": "history"}.items():
        assert parse([flag]).wants == wants


def test_folders_come_from_flags_or_from_the_environment(monkeypatch):
    monkeypatch.setenv("FER_MODELS_DIR", "theirs")
    monkeypatch.setenv("FER_HISTORY_DIR", "curves")
    assert parse([]).paths.models == Path("theirs")
    for flags in (["--models-dir", "ours"], ["--models-dir=ours"]):
        paths = parse(flags).paths
        assert (paths.models, paths.history) == (Path("ours"), Path("curves"))


def test_former_names_are_read_as_the_present_ones_and_said(toml, capsys):
    flag = toml('network = "resnet"\nfade = 0.25\nmixup_part = 0.75\n')
    config = parse([flag, "--train-sides", "24", "32", "--side=64"]).config
    assert (config.annealing, config.mixup_probability) == (0.25, 0.75)
    assert (config.progressive_sizes, config.image_size) == ((24, 32), 64)
    said = capsys.readouterr().err
    for old, new in {"fade": "annealing", "--train-sides": "--progressive-sizes", "--side": "--image-size"}.items():
        assert f"{old} is called {new} now" in said


def test_former_names_in_manifests_and_in_arguments_of_jobs_are_read_too():
    old = TrainConfig.model_validate(TrainConfig(epochs=9).model_dump() | {"fade": 0.5, "train_sides": [24, 32]})
    assert (old.annealing, old.progressive_sizes) == (0.5, (24, 32))
    assert RetrainSpec(settings={"mixup_part": 0.75}).settings == {"mixup_probability": 0.75}
