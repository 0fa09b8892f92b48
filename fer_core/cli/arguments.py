"""The command line of `train_emotion_model.py`, made from `TrainConfig` and the network's `Options`.

Order: recipe < --config TOML < flags. Beside --resume the run's own settings take the recipe's place.
"""

import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro
from pydantic import ValidationError

from fer_core import networks
from fer_core.cli.command_line import parsed, peek
from fer_core.config import RENAMED, Settings, TrainConfig, config_error, with_present_names
from fer_core.data.regular_file import checked_status
from fer_core.errors import ConfigError
from fer_core.paths import Paths
from fer_core.recipes import DEFAULT_RECIPE, fitted_to, starting_config
from fer_core.store.promotion import awaiting_promotion
from fer_core.store.run import Run
from fer_core.store.runs import latest_unfinished, open_run

PROGRAM = "train_emotion_model.py"

_Named = tyro.conf.arg


class Request(NamedTuple):
    """What the command line asks for."""

    config: TrainConfig
    paths: Paths
    recipe: str | None
    resume: Run | None
    nothing_to_resume: bool
    promote: bool
    wants: str
    """'train', 'list-recipes', 'audit', 'history' or 'ensemble'."""
    ensemble: tuple[str, ...] = ()


def parse(argv: Sequence[str]) -> Request:
    """Returns the request, or raises ConfigError or ArtifactError; `--help` prints and exits with 0."""
    argv = _with_present_flags(argv)
    paths = Paths.from_environment(models=peek(argv, "--models-dir"), history=peek(argv, "--history-dir"))
    resume, nothing_to_resume = _run_to_resume(peek(argv, "--resume"), paths)
    table = _table(peek(argv, "--config"))
    network = peek(argv, "--network") or table.get("network")
    recipe = _recipe(argv, resume, network)
    start = resume.manifest.config if resume is not None else _start(argv, table, recipe, network)
    base = TrainConfig.checked(start.model_dump() | table, where=peek(argv, "--config")) if table else start
    config, cli = _flags(argv, base)
    if cli["ensemble"]:
        _check_trains_nothing(config, start)
    if resume is not None:
        config = config.model_copy(update={name: _whole_path(argv, name, config) for name in ("data", "more_images")})
    return Request(config, paths, recipe, resume, nothing_to_resume, **cli)


def _with_present_flags(argv: Sequence[str]) -> list[str]:
    flags = {f"--{old.replace('_', '-')}": f"--{new.replace('_', '-')}" for old, new in RENAMED.items()}
    present = []
    for argument in argv:
        name, equals, value = argument.partition("=")
        new = flags.get(name.replace("_", "-"))
        if new:
            _tell_renamed(name, new)
        present.append(f"{new}{equals}{value}" if new else argument)
    return present


def _tell_renamed(old: str, new: str) -> None:
    print(f"{old} is called {new} now; the old name is read until the next release.", file=sys.stderr)


def _check_trains_nothing(config: TrainConfig, start: TrainConfig) -> None:
    for name in TrainConfig.model_fields:
        if getattr(config, name) != getattr(start, name):
            raise ConfigError(
                f"{name} has no effect beside --ensemble: its members are trained already, each with its own settings.",
                hint="Leave it out.",
            )


def _whole_path(argv: Sequence[str], name: str, config: TrainConfig) -> str | None:
    """A run names its folders by whole paths; one that is given beside --resume must be found to be the same."""
    given = peek(argv, f"--{name.replace('_', '-')}")
    is_path = given not in (None, "sample", "kaggle") and Path(given).exists()
    return str(Path(given).resolve()) if is_path else getattr(config, name)


def _run_to_resume(name: str | None, paths: Paths) -> tuple[Run | None, bool]:
    if name is None:
        return None, False
    run = latest_unfinished(paths) or awaiting_promotion(paths) if name == "latest" else open_run(paths, name)
    return run, run is None


def _recipe(argv: Sequence[str], resume: Run | None, network: str | None) -> str | None:
    """Returns the recipe that the run is named after; None where a network is named instead."""
    asked = peek(argv, "--recipe")
    if resume is None:
        return asked or (None if network else DEFAULT_RECIPE)
    own = resume.manifest.recipe
    if asked not in (None, own):
        raise ConfigError(
            f"Run {resume.id} is of recipe {own}, not {asked}.", hint="Leave --recipe out beside --resume."
        )
    return own


def _start(argv: Sequence[str], table: dict[str, Any], recipe: str | None, network: str | None) -> TrainConfig:
    epochs = peek(argv, "--epochs")
    asked = int(epochs) if epochs and epochs.isdecimal() else table.get("epochs")
    return fitted_to(starting_config(recipe, network), asked)


def _table(path: str | None) -> dict[str, Any]:
    """Returns the settings in a TOML file."""
    if path is None:
        return {}
    try:
        checked_status(Path(path))
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--config {path} cannot be read: {error}.", hint="It is a TOML file of settings.") from error
    for old in RENAMED.keys() & table.keys():
        _tell_renamed(old, RENAMED[old])
    return with_present_names(table)


def _flags(argv: Sequence[str], base: TrainConfig) -> tuple[TrainConfig, dict[str, Any]]:
    network = peek(argv, "--network") or base.network
    options = networks.network_module(network).Options
    own_options = base.network_options if network == base.network else {}
    start = base.model_copy(update={"network": network, "network_options": {}})
    settings, chosen, cli = _parsed(argv, start, options.checked(own_options, where=f"network {network}"))
    changed = {name for name in options.model_fields if getattr(chosen, name) != getattr(options(), name)}
    own = chosen.model_dump(mode="json", include=changed)
    return TrainConfig.checked(settings.model_dump() | {"network_options": own}), cli


def _parsed(argv: Sequence[str], start: TrainConfig, options: Settings) -> tuple[TrainConfig, Settings, dict[str, Any]]:
    line = _command_line(start, options)
    of_network = (f"network-options.{name}" for name in type(options).model_fields)
    try:
        return parsed(line, argv, program=PROGRAM, names=(*TrainConfig.model_fields, *_cli_flags(line), *of_network))
    except ValidationError as error:
        raise config_error(error, TrainConfig) from None


def _command_line(start: TrainConfig, options: Settings) -> Callable:
    """Returns the function whose parameters are the command line; tyro reads flags, defaults and help from it."""

    def train(
        settings: Annotated[TrainConfig, _Named(name="")] = start,
        network_options: type(options) = options,
        recipe: Annotated[str, _Named(help="Settings to start from; --list-recipes shows them.")] = DEFAULT_RECIPE,
        config: Annotated[str | None, _Named(help="TOML file of settings; wins over the recipe.")] = None,
        resume: Annotated[str | None, _Named(help="Go on with a run: its id, or 'latest'.")] = None,
        promote: Annotated[bool, _Named(help="Make the finished model the one in use.")] = True,
        models_dir: Annotated[str | None, _Named(help="Where runs go. Default: $FER_MODELS_DIR, models.")] = None,
        history_dir: Annotated[str | None, _Named(help="Where CSVs go. Default: $FER_HISTORY_DIR, history.")] = None,
        list_recipes: Annotated[bool, _Named(help="List the recipes, and end.")] = False,
        audit_only: Annotated[bool, _Named(help="Look at the images, say what is wrong with them, and end.")] = False,
        history: Annotated[bool, _Named(help="List all trainings so far, and end.")] = False,
        ensemble: Annotated[tuple[str, ...], _Named(help="Average these finished runs into one model, and end.")] = (),
    ):
        """Train a network that recognises facial emotions."""
        asked = {"list-recipes": list_recipes, "audit": audit_only, "history": history, "ensemble": ensemble}
        wants = next((name for name, is_asked in asked.items() if is_asked), "train")
        return settings, network_options, {"promote": promote, "wants": wants, "ensemble": ensemble}

    return train


def _cli_flags(train) -> list[str]:
    return [name for name in train.__annotations__ if name not in ("settings", "network_options")]


def command(*arguments: str) -> str:
    """Returns a complete command line of this script, for hints."""
    return " ".join(["python", Path(sys.argv[0]).name or PROGRAM, *arguments])
