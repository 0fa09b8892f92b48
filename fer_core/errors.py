"""The errors that a user can mend, each with what to do next. Everything else is a bug and keeps its traceback."""

import difflib
from collections.abc import Iterable
from typing import ClassVar


class FerError(Exception):
    """What is wrong and what was found, in one sentence; `hint` is the next step."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str = ""):
        super().__init__(message)
        self.hint = hint


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
