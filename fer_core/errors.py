"""The errors that a user can mend, each with what to do next. Everything else is a bug and keeps its traceback."""

import difflib
import unicodedata
from collections.abc import Iterable
from typing import ClassVar

_UNSAFE = ("Cc", "Cs")
"""Unicode's control characters, and halves of pairs, by which Python writes bytes that are no UTF-8."""
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They turn round what follows, so that a name shows as another one."""


class FerError(Exception):
    """What is wrong and what was found, in one sentence; `hint` is the next step."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = ""):
        super().__init__(printable(message))
        self.hint = printable(hint)


class ConfigError(FerError):
    """A setting, a recipe or a combination of settings that cannot be used."""


class DatasetError(FerError):
    """Images or labels that cannot be trained on."""


class ArtifactError(FerError):
    """A saved model, run or pointer that is missing, incomplete or not ours."""


class SourceError(FerError):
    """A camera, video, stream or picture that cannot be read."""


class JobError(FerError):
    """A job that cannot be sent or carried out."""


class NotFoundError(FerError):
    """There is nothing of that name."""


class NoSuchArtifactError(ArtifactError, NotFoundError):
    """There is no run, search or history of that name."""


class NoSuchJobError(JobError, NotFoundError):
    """There is no job of that name."""


class NonFiniteLossError(FerError):
    """The loss became NaN or infinite."""

    exit_code = 3


class RunHeldError(FerError):
    """Another process is training this run."""

    exit_code = 75


def printable(text: str, *, kept: str = "\n\t") -> str:
    """Returns text that a terminal and a log may get: control characters, but those to be kept, are written out.

    Names of files, classes and jobs come from elsewhere: an escape character in one could move the cursor, colour or
    clear what stands there, or overwrite a line of a log. Bytes of a name that are no UTF-8 become question marks.
    """

    def written_out(character: str) -> str:
        kind = unicodedata.category(character)
        if character in kept or (kind not in _UNSAFE and character not in _BIDI):
            return character
        return "?" if kind == "Cs" else character.encode("unicode_escape").decode()

    return text if text.isprintable() else "".join(map(written_out, text))


def did_you_mean(name: str, choices: Iterable[str]) -> str:
    """Returns a hint that names the choice nearest to `name`, or all of them if none is near."""
    choices = list(choices)
    near = difflib.get_close_matches(name, choices, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(choices)}."


class Interrupted(KeyboardInterrupt):
    """A signal asks the process to end; like Ctrl-C, but it knows which signal it was."""

    def __init__(self, signal_number: int):
        super().__init__(f"signal {signal_number}")
        self.signal_number = signal_number
