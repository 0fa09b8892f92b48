"""What the command lines of all scripts share: tyro's parse with our errors, and a look ahead at single flags."""

import contextlib
import io
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tyro

from fer_core.errors import ConfigError, did_you_mean

_NUMBERS = {"to float": "a number", "for int() with base 10": "a whole number"}
"""What Python says of text that is no such number, and what was wanted."""


def parsed(
    line: Callable, argv: Sequence[str], *, program: str, names: Iterable[str], positional: str | None = "--data"
) -> Any:
    """Returns what `line`, a function whose parameters are the flags, returns for this command line.

    `--help` prints and exits with 0. Raises ConfigError, with "did you mean" among `names`, and what `line` raises.

    Args:
        positional: the flag that is meant where a value stands alone; None where none is.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            result, unknown = tyro.cli(line, args=list(argv), prog=f"python {program}", return_unknown_args=True)
    except SystemExit as end:
        if end.code in (0, None):
            raise
        raise _tyro_error(said.getvalue(), program) from None
    if unknown and not unknown[0].startswith("-"):
        raise _lonely_value(unknown[0], positional, is_taken=bool(positional) and peek(argv, positional) is not None)
    if unknown:
        flags = [f"--{name.replace('_', '-')}" for name in names]
        raise ConfigError(
            f"There is no setting {unknown[0]!r}.", hint=did_you_mean(unknown[0].partition("=")[0], flags)
        )
    return result


def _lonely_value(value: str, flag: str | None, *, is_taken: bool) -> ConfigError:
    if flag is None:
        return ConfigError(f"There is a value too many: {value!r}.", hint="--help shows what the command takes.")
    hint = f"Did you mean {flag} {shlex.quote(value)}?"
    if is_taken:
        hint = f"{flag} takes one value: put a name with spaces in quotes, and give many pictures as one folder."
    return ConfigError(f"There is no flag before {value!r}.", hint=hint)


def _tyro_error(box: str, program: str) -> ConfigError:
    """Returns the first sentence of tyro's framed message as an error of ours."""
    lines = [line.strip(" │") for line in box.splitlines()]
    # Where the output's encoding cannot draw a frame, the title is a line of its own, and the rules are minus signs.
    rules = [place for place, line in enumerate(lines) if line.startswith(("╭", "─", "---", "╰"))]
    sentence = " ".join(lines[rules[0] + 1 : rules[1]]) if len(rules) > 1 else ""
    hint = f"`python {program} --help` lists what each setting takes."
    choices = re.search(r"invalid choice '(.*?)' for argument '(.*?)'\. Expected one of \((.*?)\)", sentence)
    if choices:
        value, flag, allowed = choices.groups()
        names = re.findall(r"'([^']*)'", allowed)
        if "None" in names:  # it may be left out, and then tyro gives the choices in no order
            names = sorted(set(names) - {"None"})
        return ConfigError(f"{flag} cannot be {value!r}.", hint=did_you_mean(value, names))
    number = re.search(rf"Error parsing (\S+):.*?({'|'.join(map(re.escape, _NUMBERS))}): (['\"])(.*?)\3", sentence)
    if number:
        flag, wanted, _, value = number.groups()
        return ConfigError(f"{flag} takes {_NUMBERS[wanted]}, not {value!r}.", hint=hint)
    missing = re.search(r"^Missing from python (.*?): (\S+) (.*) \(required\)$", sentence)
    if missing:
        command, name, what = missing.groups()
        return ConfigError(f"`python {command}` needs {name}: {what[:1].lower()}{what[1:]}", hint=hint)
    return ConfigError(sentence or "The command line cannot be read.", hint=hint)


def peek(argv: Sequence[str], flag: str) -> str | None:
    """Returns a flag's value (the last, as in the real parse, which needs it to know what there is to parse)."""
    found = None
    for place, argument in enumerate(argv):
        name, equals, value = argument.partition("=")
        if name.replace("_", "-") == flag:
            found = value if equals else next(iter(argv[place + 1 :]), None)
    return found
