"""The command line: recipe < TOML < flags, the network's own options, and where runs go."""

from pathlib import Path

import pytest

from fer_core.cli.arguments import parse
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


def test_without_a_recipe_it_is_the_resnet():
    assert parse([]).recipe == "resnet"


@pytest.mark.parametrize(
    ("flags", "sides"),
    [
        (["--epochs", "2"], (40, 44)),
        (["--epochs=1", "--recipe", "tiny"], (48,)),
        (["--recipe", "resnet_large", "--epochs", "3"], ()),
    ],
)
def test_a_few_epochs_of_a_patient_recipe_have_a_warm_up_and_sizes_that_fit(flags, sides):
    config = parse(flags).config
    assert 0 < config.warmup_epochs < config.epochs
    assert config.progressive_sizes == sides


def test_what_is_asked_for_by_name_is_not_fitted():
    with pytest.raises(ConfigError, match="warmup_epochs must be less than epochs"):
        parse(["--epochs", "2", "--warmup-epochs", "2"])
    with pytest.raises(ConfigError, match="progressive_sizes are more than epochs"):
        parse(["--epochs", "2", "--progressive-sizes", "32", "40", "44"])


def test_beside_an_ensemble_no_setting_of_a_training_is_taken():
    assert parse(["--ensemble", "A", "B", "--no-promote"]).ensemble == ("A", "B")
    with pytest.raises(ConfigError, match="eight_bit has no effect beside --ensemble"):
        parse(["--ensemble", "A", "B", "--eight-bit"])


def test_another_network_without_a_recipe_is_named_after_itself():
    request = parse(["--network", "tapered"])
    assert (request.recipe, request.config.network) == (None, "tapered")
    assert request.config.learning_rate == TrainConfig().learning_rate


def test_flags_win_over_the_toml_file_and_that_over_the_recipe(toml):
    flag = toml("epochs = 7\nbatch_size = 16\n")
    config = parse(["--recipe", "attention", flag, "--batch-size", "8"]).config
    assert (config.epochs, config.batch_size) == (7, 8)
    assert config.early_stopping_patience == recipe_config("attention").early_stopping_patience


def test_a_toml_file_may_name_another_network_with_its_options(toml):
    config = parse([toml('network = "attention"\nnetwork_options = {block_dropout = 0.1}\n')]).config
    assert (config.network, config.network_options) == ("attention", {"block_dropout": 0.1})


def test_a_training_from_a_toml_file_with_another_network_is_not_named_after_the_default_recipe(toml):
    flag = toml('network = "smoke"\n')
    assert parse([flag]).recipe is None
    assert parse([flag, "--recipe", "smoke"]).recipe == "smoke"
    assert parse([toml("epochs = 7\n")]).recipe == "resnet"


def test_network_options_are_flags_and_win_over_the_toml_file(toml):
    flag = toml("network_options = {dropout = 0.1}\n")
    assert parse([flag]).config.network_options == {"dropout": 0.1}
    config = parse([flag, "--network-options.dropout", "0.4"]).config
    assert config.network_options == {"dropout": 0.4}


def test_options_left_at_the_networks_own_defaults_are_not_written_down():
    assert parse(["--recipe", "smoke", "--network-options.filters", "16", "32", "64"]).config.network_options == {}


def test_switches_can_be_turned_on_and_off():
    assert parse(["--recipe", "weighted_loss", "--no-flip"]).config.flip is False
    assert parse(["--recipe", "baseline", "--flip"]).config.flip is True
    assert parse(["--no-promote"]).promote is False


def test_folders_come_from_flags_or_from_the_environment(monkeypatch):
    monkeypatch.setenv("FER_MODELS_DIR", "theirs")
    monkeypatch.setenv("FER_HISTORY_DIR", "curves")
    assert parse([]).paths.models == Path("theirs")
    paths = parse(["--models-dir", "ours"]).paths
    assert (paths.models, paths.history) == (Path("ours"), Path("curves"))
    assert parse(["--models-dir=ours"]).paths.models == Path("ours")


@pytest.mark.parametrize("flag", ["--list-recipes", "--audit-only", "--history"])
def test_a_question_is_no_training(flag):
    assert parse([flag]).wants == {"--audit-only": "audit"}.get(flag, flag.removeprefix("--"))


def test_former_names_are_read_as_the_present_ones_and_said(tmp_path, capsys):
    table = tmp_path / "settings.toml"
    table.write_text('network = "resnet"\nfade = 0.25\nmixup_part = 0.75\n', encoding="utf-8")
    config = parse(["--config", str(table), "--train-sides", "24", "32", "--side=64"]).config
    assert (config.annealing, config.mixup_probability) == (0.25, 0.75)
    assert (config.progressive_sizes, config.image_size) == ((24, 32), 64)
    said = capsys.readouterr().err
    for old, new in {"fade": "annealing", "--train-sides": "--progressive-sizes", "--side": "--image-size"}.items():
        assert f"{old} is called {new} now" in said


def test_former_names_in_manifests_and_in_arguments_of_jobs_are_read_too():
    old = TrainConfig.model_validate(TrainConfig(epochs=9).model_dump() | {"fade": 0.5, "train_sides": [24, 32]})
    assert (old.annealing, old.progressive_sizes) == (0.5, (24, 32))
    assert RetrainSpec(settings={"mixup_part": 0.75}).settings == {"mixup_probability": 0.75}
