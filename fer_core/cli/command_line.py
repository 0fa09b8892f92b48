"""What the command lines of all scripts share: tyro's parse with our errors, a look ahead at flags, and printing."""

import contextlib
import inspect
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

import tyro
from pydantic import BaseModel, TypeAdapter, ValidationError
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from fer_core.errors import ConfigError, did_you_mean, printable

MODELS_DIR = Annotated[str | None, tyro.conf.arg(help="Where runs are. Default: $FER_MODELS_DIR, models.")]
HISTORY_DIR = Annotated[str | None, tyro.conf.arg(help="Where CSVs are. Default: $FER_HISTORY_DIR, history.")]

_NUMBERS = {"float_parsing": "a number", "int_parsing": "a whole number"}
"""What pydantic calls text that is no such number, and what was wanted."""


def parsed(
    line: Callable, argv: Sequence[str], *, program: str, names: Iterable[str], positional: str | None = "--data"
) -> Any:
    """Returns what `line`, a function whose parameters are the flags, returns for this command line.

    `--help` prints and exits with 0. Raises ConfigError, with "did you mean" among `names`, and what `line` raises.

    Args:
        positional: the flag that is meant where a value stands alone; None where none is.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            result, unknown = tyro.cli(line, args=list(argv), prog=f"python {program}", return_unknown_args=True)
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise _refusal(line, argv, program) from None
    if unknown and not unknown[0].startswith("-"):
        raise _lonely_value(unknown[0], positional, is_taken=bool(positional) and peek(argv, positional) is not None)
    if unknown:
        hint = did_you_mean(unknown[0].partition("=")[0], map(_flag, names))
        raise ConfigError(f"There is no setting {unknown[0]!r}.", hint=hint)
    return result


def _lonely_value(value: str, flag: str | None, *, is_taken: bool) -> ConfigError:
    if flag is None:
        return ConfigError(f"There is a value too many: {value!r}.", hint="--help shows what the command takes.")
    hint = f"Did you mean {flag} {shlex.quote(value)}?"
    if is_taken:
        hint = f"{flag} takes one value: put a name with spaces in quotes, and give many pictures as one folder."
    return ConfigError(f"There is no flag before {value!r}.", hint=hint)


class _Parameter(NamedTuple):
    flags: tuple[str, ...]
    """Its name first."""
    kind: Any
    missing: str = ""
    """What is needed, where it is required."""


def _refusal(line: Callable, argv: Sequence[str], program: str) -> ConfigError:
    """Returns what is wrong with a command line that tyro refuses: the first value that is not of its flag's type."""
    hint = f"`python {program} --help` lists what each setting takes."
    parameters = list(_parameters(line))
    for flags, kind, _ in parameters:
        flag, value = next(((flag, value) for flag in flags if (value := peek(argv, flag)) is not None), ("", None))
        error = None if value is None or kind is bool else _type_error(value, kind)
        if error is None:
            continue
        choices = [choice for choice in _choices(kind) if isinstance(choice, str)]
        if choices:
            return ConfigError(f"{flag} cannot be {value!r}.", hint=did_you_mean(value, choices))
        wanted = _NUMBERS.get(error["type"])
        if wanted is None:
            return ConfigError(f"{flag}: {error['msg'][:1].lower()}{error['msg'][1:]}, got {value}.", hint=hint)
        return ConfigError(f"{flag} takes {wanted}, not {error['input']!r}.", hint=hint)
    for flags, _, missing in parameters:
        if missing and peek(argv, flags[0]) is None:
            return ConfigError(f"`python {program}` needs {missing}", hint=hint)
    return ConfigError("The command line cannot be read: a flag has no value, or one too many.", hint=hint)


def _parameters(line: Callable) -> Iterator[_Parameter]:
    kinds, annotated = get_type_hints(line), get_type_hints(line, include_extras=True)
    rows = [row.strip() for row in (line.__doc__ or "").splitlines()]
    for name, parameter in inspect.signature(line).parameters.items():
        notes = getattr(annotated[name], "__metadata__", ())
        shown = next((note.name for note in notes if getattr(note, "name", None) is not None), name)
        kind = kinds[name]
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            prefix = f"{shown}." if shown else ""
            for key, field in kind.model_fields.items():
                kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
                yield _Parameter((_flag(prefix + key),), kind)
            continue
        metavar = next((note.metavar for note in notes if getattr(note, "metavar", None)), shown.upper())
        described = next((row.removeprefix(f"{name}: ") for row in rows if row.startswith(f"{name}: ")), "")
        text = next((note.help for note in notes if getattr(note, "help", None)), described)
        missing = f"{metavar}: {text[:1].lower()}{text[1:]}" if parameter.default is parameter.empty else ""
        aliases = next((note.aliases for note in notes if getattr(note, "aliases", None)), ())
        yield _Parameter((_flag(shown), *aliases), kind, missing)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _type_error(value: str, kind: Any) -> dict[str, Any] | None:
    """Returns what pydantic has against the text of a flag, None where it fits; of a flag with many, the first."""
    bare = get_args(kind)[0] if get_origin(kind) is Annotated else kind
    is_many = get_origin(bare) is tuple
    try:
        TypeAdapter(kind).validate_python((value,) if is_many else value)
    except ValidationError as error:
        return error.errors()[0]
    return None


def _choices(kind: Any) -> tuple:
    """Returns the values of a Literal, also of one that may be left out."""
    parts = get_args(kind)
    return tuple(choice for part in parts for choice in (_choices(part) or (part,) if part is not type(None) else ()))


def peek(argv: Sequence[str], flag: str) -> str | None:
    """Returns a flag's value (the last, as in the real parse, which needs it to know what there is to parse)."""
    found = None
    for place, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if name.replace("_", "-") == flag:
            found = value if equals else next(iter(argv[place + 1 :]), None)
    return found


class Output(Console):
    """Leaves it to the command line to end when nobody reads any more; rich would end with the exit code of a bug.

    What names, labels and arguments from elsewhere have in them for terminals is written out instead of obeyed.
    """

    def on_broken_pipe(self) -> None:
        """Raises again what rich has just caught."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yields what is printed; rich's own colours are apart from the text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def say(console: Console, text: str) -> None:
    """Prints a sentence as it is: no markup, no colours, and the terminal breaks the line, so that paths stay whole.

    Control characters, which may be in names that are from elsewhere, are written out.
    """
    console.print(printable(text), markup=False, highlight=False, emoji=False, soft_wrap=True)


def send_native_messages_to(path: Path) -> None:
    """From now on, what native code writes to stderr goes to the end of a file; what Python writes, to the terminal.

    C++ libraries write to file descriptor 2 behind Python's back. For the rest of the process: TensorFlow also
    complains while it is torn down after an error.
    """
    sys.stderr.flush()
    kept = os.dup(sys.stderr.fileno())  # not 2, which may lead to a file since an earlier call
    # For the rest of the process: nobody closes it.
    sys.stderr = os.fdopen(kept, "w", 1, encoding=sys.stderr.encoding, errors="replace", closefd=False)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)


def say_wrapped(console: Console, text: str, *, style: str | None = None) -> None:
    """Prints a sentence of a report, wrapped at the terminal's width; nothing where it is empty."""
    if text:
        console.print(printable(text), style=style, markup=False, highlight=False, emoji=False)


def plain_table(*headers: str, **options: object) -> Table:
    """Returns an empty table: the first column for names from elsewhere, the others for figures."""
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(headers), header_style="bold", **options
    )
    table.add_column(Text(headers[0]), overflow="fold")
    for header in headers[1:]:
        table.add_column(Text(header), justify="right", no_wrap=True)
    return table


def add_row(table: Table, label: str, *cells: str, **options: object) -> None:
    """Adds a row whose label is from elsewhere: no markup."""
    table.add_row(Text(label), *cells, **options)
