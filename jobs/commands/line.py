"""The command line of one command, made from its function: the parameters are the flags, and their defaults are it."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_type_hints

from tyro.conf import FlagCreatePairsOff, Positional, arg

from fer_core.cli.command_line import parsed, peek
from fer_core.paths import Paths
from jobs.commands.context import Context

FOLDERS = {
    "models_dir": "Where runs and jobs are. Default: $FER_MODELS_DIR, models.",
    "history_dir": "Where CSVs are. Default: $FER_HISTORY_DIR, history.",
}


def call(command: Callable[..., None], argv: Sequence[str], *, name: str) -> None:
    """Runs a command with what the command line says. Raises FerError; `--help` prints and exits with 0.

    Args:
        command: its first parameter is the context, the others are flags; one with `*argv` reads its own command line.
    """
    context = Context(paths_of(argv))
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in inspect.signature(command).parameters.values()):
        command(context, *argv)
        return
    command(context, **given(_parameters(command), argv, name=name, about=command.__doc__))


def paths_of(argv: Sequence[str]) -> Paths:
    """Returns the folders that the command line names, else those of the environment."""
    return Paths.from_environment(models=peek(argv, "--models-dir"), history=peek(argv, "--history-dir"))


def given(
    parameters: Sequence[inspect.Parameter],
    argv: Sequence[str],
    *,
    name: str,
    about: str | None,
    positional: str | None = None,
) -> dict[str, Any]:
    """Returns the values of these parameters, by name. Raises ConfigError.

    Args:
        positional: the flag that is meant where a value stands alone; None where none is.
    """
    folders = [flag(folder, str | None, default=None, help=text, metavar="FOLDER") for folder, text in FOLDERS.items()]
    everything = [*parameters, *folders]

    def line(**values: Any) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key not in FOLDERS}

    line.__doc__ = about
    line.__signature__ = inspect.Signature(everything)
    line.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}
    names = [parameter.name for parameter in everything if parameter.kind is parameter.KEYWORD_ONLY]
    return parsed(line, argv, program=f"-m jobs {name}", names=names, positional=positional)


def flag(name: str, annotation: Any, *, default: Any, help: str, metavar: str | None = None) -> inspect.Parameter:
    """Returns a parameter that is a flag."""
    described = Annotated[annotation, arg(help=help, metavar=metavar)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=described)


def _parameters(command: Callable[..., None]) -> list[inspect.Parameter]:
    """Returns the parameters after the context; those that may be given by position are so on the command line."""
    hints = get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]
    return [parameter.replace(annotation=_annotation(parameter, hints[parameter.name])) for parameter in own]


def _annotation(parameter: inspect.Parameter, hint: Any) -> Any:
    if parameter.kind is not parameter.KEYWORD_ONLY:
        return Positional[Annotated[hint, arg(metavar=parameter.name.upper())]]
    return FlagCreatePairsOff[hint] if parameter.default is False else hint
