"""`python train_emotion_model.py`: its command line, and what only lists, which loads nothing heavy.

Order of settings: recipe < --config TOML < flags. Beside --resume the run's own settings take the recipe's place.
"""

import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import tyro
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fer_core import networks, recipes
from fer_core.cli.command_line import HISTORY_DIR, MODELS_DIR, Output, parsed, peek, say
from fer_core.config import RENAMED, Settings, TrainConfig, config_error, with_present_names
from fer_core.errors import ArtifactError, ConfigError
from fer_core.evaluation.figures import overview_figure, save
from fer_core.paths import Paths, checked_status
from fer_core.recipes import DEFAULT_RECIPE, QUICK_RECIPE, fitted_to, starting_config
from fer_core.store.export import FORMATS, Format
from fer_core.store.promotion import awaiting_promotion
from fer_core.store.run import Run, notes_of
from fer_core.store.runs import latest_unfinished, list_runs, open_run
from fer_core.training.history import History, list_histories
from fer_core.training.starting import network_of

PROGRAM = "train_emotion_model.py"
NARROW_COLUMNS = 112
"""In a terminal with fewer, the run stands below its recipe in the list of histories."""

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
    """'train', 'list-recipes', 'audit', 'audit-labels', 'history', 'ensemble' or 'export'."""
    ensemble: tuple[str, ...] = ()
    export: str | None = None
    formats: tuple[Format, ...] = FORMATS
    given_data: str | None = None
    """What --data says."""


def parse(argv: Sequence[str]) -> Request:
    """Returns the request, or raises ConfigError or ArtifactError; `--help` prints and exits with 0."""
    argv = [_present_flag(argument) for argument in argv]
    paths = Paths.from_environment(models=peek(argv, "--models-dir"), history=peek(argv, "--history-dir"))
    name = peek(argv, "--resume")
    resume = None
    if name is not None:
        resume = latest_unfinished(paths) or awaiting_promotion(paths) if name == "latest" else open_run(paths, name)
    table = _table(peek(argv, "--config"))
    network = peek(argv, "--network") or table.get("network")
    given = peek(argv, "--recipe") or (QUICK_RECIPE if "--audit-labels" in argv and not network else None)
    recipe = _recipe(given, resume, network)
    if resume is not None:
        start = resume.manifest.config
    else:
        epochs = peek(argv, "--epochs")
        epochs = int(epochs) if epochs and epochs.isdecimal() else table.get("epochs")
        start = fitted_to(starting_config(recipe, network), epochs)
    own_start = peek(argv, "--init-from") or table.get("init_from")
    if resume is None and start.fine_tune and isinstance(own_start, str) and not network:
        start = start.model_copy(update=network_of(own_start, paths))
    base = TrainConfig.checked(start.model_dump() | table, where=peek(argv, "--config")) if table else start
    config, cli = _flags(argv, base)
    changed = next((field for field in TrainConfig.model_fields if getattr(config, field) != getattr(start, field)), "")
    if cli["ensemble"] and changed:
        raise ConfigError(
            f"{changed} has no effect beside --ensemble: its members are trained already, each with its own settings.",
            hint="Leave it out.",
        )
    if resume is not None:
        paths_given = {field: _whole_path(argv, field, config) for field in ("data", "more_images", "exclude")}
        config = config.model_copy(update=paths_given | _labels(config))
    nothing_to_resume = name is not None and resume is None
    return Request(config, paths, recipe, resume, nothing_to_resume, given_data=peek(argv, "--data"), **cli)


def _present_flag(argument: str) -> str:
    flags = {f"--{old.replace('_', '-')}": f"--{new.replace('_', '-')}" for old, new in RENAMED.items()}
    name, equals, value = argument.partition("=")
    new = flags.get(name.replace("_", "-"))
    if new is None:
        return argument
    _say_renamed(name, new)
    return f"{new}{equals}{value}"


def _say_renamed(old: str, new: str) -> None:
    print(f"{old} is called {new} now; the old name is read until the next release.", file=sys.stderr)


def _labels(config: TrainConfig) -> dict[str, str | None]:
    """Beside --resume, as the run has them."""
    if config.label_map is None and config.votes is None:
        return {}
    from fer_core.data.votes import settled_labels

    return settled_labels(config)


def _whole_path(argv: Sequence[str], name: str, config: TrainConfig) -> str | None:
    """A run names its folders by whole paths; one that is given beside --resume must be found to be the same."""
    given = peek(argv, f"--{name.replace('_', '-')}")
    is_path = given not in (None, "sample", "kaggle") and Path(given).exists()
    return str(Path(given).resolve()) if is_path else getattr(config, name)


def _recipe(given: str | None, resume: Run | None, network: str | None) -> str | None:
    """Returns the recipe that the run is named after; None where a network is named instead."""
    if resume is None:
        return given or (None if network else DEFAULT_RECIPE)
    own = resume.manifest.recipe
    if given not in (None, own):
        raise ConfigError(
            f"Run {resume.id} is of recipe {own}, not {given}.", hint="Leave --recipe out beside --resume."
        )
    return own


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
        _say_renamed(old, RENAMED[old])
    return with_present_names(table)


def _flags(argv: Sequence[str], base: TrainConfig) -> tuple[TrainConfig, dict[str, Any]]:
    network = peek(argv, "--network") or base.network
    options = networks.network_module(network).Options
    own_options = base.network_options if network == base.network else {}
    start = base.model_copy(update={"network": network, "network_options": {}})
    line = _command_line(start, options.checked(own_options, where=f"network {network}"))
    flags = (name for name in line.__annotations__ if name not in ("settings", "network_options"))
    names = (*TrainConfig.model_fields, *flags, *(f"network-options.{name}" for name in options.model_fields))
    try:
        settings, chosen, cli = parsed(line, argv, program=PROGRAM, names=names)
    except ValidationError as error:
        raise config_error(error, TrainConfig) from None
    changed = {name for name in options.model_fields if getattr(chosen, name) != getattr(options(), name)}
    own = chosen.model_dump(mode="json", include=changed)
    return TrainConfig.checked(settings.model_dump() | {"network_options": own}), cli


def _command_line(start: TrainConfig, options: Settings) -> Callable:
    """Returns the function whose parameters are the command line; tyro reads flags, defaults and help from it."""

    def train(
        settings: Annotated[TrainConfig, _Named(name="")] = start,
        network_options: type(options) = options,
        recipe: Annotated[str, _Named(help="Settings to start from; --list-recipes shows them.")] = DEFAULT_RECIPE,
        config: Annotated[str | None, _Named(help="TOML file of settings; wins over the recipe.")] = None,
        resume: Annotated[str | None, _Named(help="Go on with a run: its id, or 'latest'.")] = None,
        promote: Annotated[bool, _Named(help="Make the finished model the one in use.")] = True,
        models_dir: MODELS_DIR = None,
        history_dir: HISTORY_DIR = None,
        list_recipes: Annotated[bool, _Named(help="List the recipes, and end.")] = False,
        audit_only: Annotated[bool, _Named(help="Look at the images, say what is wrong with them, and end.")] = False,
        audit_labels: Annotated[
            bool, _Named(help="Cross-validate a small network, list the labels that it doubts, and end.")
        ] = False,
        history: Annotated[bool, _Named(help="List all trainings so far, and end.")] = False,
        ensemble: Annotated[tuple[str, ...], _Named(help="Average these finished runs into one model, and end.")] = (),
        export: Annotated[
            str | None, _Named(help="Write a run, best, or a model file in forms for other programs, and end.")
        ] = None,
        format: Annotated[tuple[Format, ...], _Named(help="With --export: the forms.")] = FORMATS,
    ):
        """Train a network that recognises facial emotions."""
        asked = {"list-recipes": list_recipes, "audit": audit_only, "audit-labels": audit_labels, "history": history}
        asked |= {"ensemble": ensemble, "export": export}
        if format != FORMATS and not export:
            raise ConfigError("--format is used with --export.", hint="Give --export RUN.")
        wants = next((name for name, is_asked in asked.items() if is_asked), "train")
        cli = {"promote": promote, "wants": wants, "ensemble": ensemble, "export": export, "formats": format}
        return settings, network_options, cli

    return train


def command(*arguments: str) -> str:
    """Returns a complete command line of this script, for hints."""
    name = Path(sys.argv[0]).name or PROGRAM
    return " ".join([name if name == "fer-train" else f"python {name}", *arguments])


def main(argv: Sequence[str]) -> None:
    """Does what the command line asks for. Raises FerError for what the user can mend."""
    request = parse(argv)
    console = Output()
    if request.wants == "list-recipes":
        _list_recipes(console)
    elif request.wants == "history":
        _show_histories(console, request.paths)
    elif request.wants in ("audit", "audit-labels"):
        from fer_core.cli import audit

        (audit.audit_only if request.wants == "audit" else audit.audit_labels)(console, request)
    elif request.wants == "export":
        from fer_core.cli.exporting import export

        export(console, request)
    else:  # needs the images, and what reads them
        from fer_core.cli import training

        (training.train if request.wants == "train" else training.average)(console, request)


def _list_recipes(console: Console) -> None:
    for name, make in recipes.RECIPES.items():
        config = make()
        text = (make.__doc__ or "").strip().partition("\n")[0]
        settings = f"network {config.network}, {config.optimizer} {config.learning_rate:g}"
        say(console, f"{name:<14}{text}")
        say(console, f"{'':<14}{settings}, at most {config.epochs} epochs, batch {config.batch_size}")
    say(console, f"\nTrain one: {command('--recipe', 'NAME', '--data', 'PATH')}")


def _show_histories(console: Console, paths: Paths) -> None:
    """Prints one line for each training so far, and draws their curves."""
    known = {}
    for run in list_runs(paths):
        try:
            manifest = run.manifest
        except ArtifactError:  # a broken run must not hide the others; its CSV is listed as a file
            continue
        accuracy = (manifest.scores or {}).get("accuracy")
        named = {"run_id": run.id, "recipe": manifest.recipe, "called": notes_of(run).name}
        known[manifest.history_csv] = named | {"test_accuracy": accuracy}
    found = list_histories(paths.history, known)
    print_histories(console, found)
    with_rows = [history for history in found if history.curve]
    if with_rows:
        path = paths.history / "overview.png"
        save(overview_figure(with_rows), path)
        say(console, f"Drawn: {path}")


def print_histories(console: Console, histories: Sequence[History]) -> None:
    """Prints one line per history, and below the table what could not be read."""
    is_narrow = console.width < NARROW_COLUMNS
    table = Table(box=None, pad_edge=False, padding=(0, 1 if is_narrow else 2, 0, 0), header_style="bold")
    table.add_column("date (UTC)", no_wrap=True)
    table.add_column("name, run or file" if is_narrow else "name or recipe", overflow="fold")
    for column in ("epochs", "best (epoch)", "last", "test"):
        table.add_column(column, justify="right", no_wrap=True)
    if not is_narrow:
        table.add_column("run or file", overflow="fold")
    readable = [history for history in histories if not history.problem]
    for history in readable:
        date, recipe, *figures, source = _cells(history)
        if is_narrow:
            cells = [date.split()[0], source if recipe == "–" else f"{recipe}\n{source}", *figures]
        else:
            cells = [date, recipe, *figures, source]
        table.add_row(*map(Text, cells))
    if readable:
        console.print(table)
    for note in _notes(histories):
        say(console, note)


def _cells(history: History) -> list[str]:
    curve = history.curve
    mark = "" if history.has_validation else "*"
    return [
        f"{history.date:%Y-%m-%d %H:%M}",
        history.called or history.recipe or "–",
        str(len(history.rows)),
        f"{history.best[1]:.1%}{mark} ({history.best[0]:>2})" if history.best else "–",
        f"{curve[-1][1]:.1%}{mark}" if curve else "–",
        "–" if history.test_accuracy is None else f"{history.test_accuracy:.1%}",
        history.run_id or history.path.name,
    ]


def _notes(histories: Sequence[History]) -> list[str]:
    if not histories:
        return ["No history yet. `python train_emotion_model.py --data sample` makes one."]
    notes = []
    if any(history.has_validation for history in histories):
        notes.append("best, last: validation accuracy; test: accuracy of the epoch that was kept.")
    if any(history.curve and not history.has_validation for history in histories):
        notes.append("* training accuracy: the file has no val_accuracy.")
    return notes + [f"Left out: {history.problem}" for history in histories if history.problem]
