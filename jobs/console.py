"""What every command of `python -m jobs` works with: folders, environment, clock, how it prints, its command line."""

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Annotated, Any, get_type_hints

from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from tyro.conf import FlagCreatePairsOff, Positional, arg

from fer_core.cli.command_line import Output, parsed, peek
from fer_core.errors import NoSuchJobError
from fer_core.job.broker import Broker
from fer_core.job.job import Job, find_job
from fer_core.paths import Paths
from fer_core.store.files import Clock, plain, utc_now
from fer_core.training.progress import duration
from fer_core.tuning.stage import parse_trial_name
from fer_core.tuning.state import load_state, open_search

_COLOURS = {"QUEUED": "cyan", "RUNNING": "blue", "INTERRUPTED": "yellow", "SUCCEEDED": "green", "FAILED": "red"}
_COLOURS |= {"CANCELLED": "magenta", "TIMED_OUT": "yellow"}
_FOLDERS = {
    "models_dir": "Where runs and jobs are. Default: $FER_MODELS_DIR, models.",
    "history_dir": "Where CSVs are. Default: $FER_HISTORY_DIR, history.",
}
_WIDEST = 10_000
_IDS = ("job", "run")  # columns of what people copy: never broken over two lines
_DAY = 86_400


@dataclass(frozen=True)
class Context:
    """What a command is given."""

    paths: Paths
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    console: Console = field(default_factory=lambda: Output(markup=False, highlight=False, emoji=False))
    clock: Clock = utc_now

    @cached_property
    def broker(self) -> Broker:
        """Where messages go. Celery is imported when it is first used."""
        return Broker(self.paths, self.environ)

    def say(self, text: str = "") -> None:
        """Prints a sentence as it is; the terminal breaks the line, so that paths stay whole."""
        self.console.print(text, soft_wrap=True)

    def show(self, *parts: RenderableType) -> None:
        """Prints tables and lines; where the output is no terminal, as wide as they are, so that no cell is broken.

        A line on a terminal is broken by that, so that what is copied from it stays whole.
        """
        for part in parts:
            if self.console.is_terminal:
                self.console.print(part, soft_wrap=isinstance(part, Text))
                continue
            options = self.console.options.update(max_width=_WIDEST)
            self.console.width = max(self.console.width, Measurement.get(self.console, options, part).maximum)
            with self.console.capture() as captured:
                self.console.print(part)
            self.say("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def say_json(self, value: Any) -> None:
        """Prints a value for other programs."""
        sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")
        sys.stdout.flush()


def new_table(*headings: str, rows: Iterable[Sequence[Any]] = (), right: Sequence[str] = ()) -> Table:
    """Returns a table without lines; the columns named in `right` are numbers. Without headings, two of names."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(headings))
    for heading in headings:
        is_id = heading in _IDS
        justify = "right" if heading in right else "left"
        table.add_column(heading, justify=justify, overflow="ignore" if is_id else "fold", no_wrap=is_id)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else str(cell) for cell in row))
    return table


def new_list(**rows: Any) -> Table:
    """Returns a table of names and values, without the rows that say nothing."""
    return new_table("", "", rows=((Text(name, style="bold"), value) for name, value in rows.items() if value))


def status_text(status: str) -> Text:
    """Returns a status in its colour."""
    return Text(status.lower(), style=_COLOURS.get(status, ""))


def settings_text(settings: Mapping[str, Any]) -> str:
    """Returns settings on one line: learning_rate=0.0012, dropout=0.4."""
    return ", ".join(f"{name}={value_text(value)}" for name, value in settings.items())


def value_text(value: Any) -> str:
    """Returns a setting's value as short as it can be understood."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return (",".join(map(value_text, value)) or "()") if isinstance(value, list | tuple) else str(value)


def age(time_utc: str | None, now: datetime) -> str:
    """Returns how long ago a time of a record was, for people; '–' where there is none."""
    if time_utc is None:
        return "–"
    seconds = max(0.0, (now - datetime.fromisoformat(time_utc)).total_seconds())
    return f"{seconds / _DAY:.0f} days" if seconds > 3 * _DAY else duration(seconds)


def find_subject(context: Context, name: str) -> Job:
    """Returns the job that is meant, or the run, search or training of a search, as if it were one.

    Raises JobError, with "did you mean", if there is nothing of that name.
    """
    trial = parse_trial_name(name)
    if trial is None:
        return find_job(context.paths, name, by_hand=True)
    entry = load_state(open_search(context.paths, trial.search)).entry_of(name)
    if entry is None:
        raise NoSuchJobError(f"Search {trial.search} has no training {name!r}.")
    return replace(find_job(context.paths, entry.run, by_hand=True), id=name)


def call(command: Callable[..., None], argv: Sequence[str], *, name: str) -> None:
    """Runs a command with what the command line says. Raises FerError; `--help` prints and exits with 0.

    Args:
        command: its first parameter is the context, the others are flags, or arguments where they may be given by
            position; one with `*argv` reads its own command line.
    """
    context = Context(paths_of(argv))
    _, *parameters = inspect.signature(command).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        command(context, *argv)
        return
    hints = get_type_hints(command, include_extras=True)
    parameters = [parameter.replace(annotation=_annotation(parameter, hints)) for parameter in parameters]
    command(context, **given(parameters, argv, name=name, about=command.__doc__))


def _annotation(parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Any:
    hint = hints[parameter.name]
    if parameter.kind is not parameter.KEYWORD_ONLY:
        return Positional[Annotated[hint, arg(metavar=parameter.name.upper())]]
    return FlagCreatePairsOff[hint] if parameter.default is False else hint


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
    folders = [flag(folder, str | None, default=None, help=text, metavar="FOLDER") for folder, text in _FOLDERS.items()]
    everything = [*parameters, *folders]

    def line(**values: Any) -> dict[str, Any]:
        return {key: value for key, value in values.items() if key not in _FOLDERS}

    line.__doc__ = about
    line.__signature__ = inspect.Signature(everything)
    line.__annotations__ = {parameter.name: parameter.annotation for parameter in everything}
    names = [parameter.name for parameter in everything if parameter.kind is parameter.KEYWORD_ONLY]
    return parsed(line, argv, program=f"-m jobs {name}", names=names, positional=positional)


def flag(name: str, annotation: Any, *, default: Any, help: str, metavar: str | None = None) -> inspect.Parameter:
    """Returns a parameter that is a flag."""
    described = Annotated[annotation, arg(help=help, metavar=metavar)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=described)
