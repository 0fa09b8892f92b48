"""The errors that a user can mend, each with what to do next. Everything else is a bug and keeps its traceback.

And signals that ask the process to end: an exception where that is safe, and remembered until it has had its effect.
Python raises such an exception wherever it happens to be. In TensorFlow that is often a callback from C++, which
swallows it or aborts the process. So while Keras is at work, signals wait until somebody asks, between two steps.
What native code prints past Python can be hidden: what of it matters comes as an exception too.
"""

import contextlib
import difflib
import errno
import os
import signal
import sys
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

_UNSAFE = ("Cc", "Cs")
"""Unicode's control characters, and halves of pairs, by which Python writes bytes that are no UTF-8."""
_BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""They turn round what follows, so that a name shows as another one."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
DISK_IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""As an errno; a quota counts like a disk."""
_EXTRAS = {
    "jobs": ("celery", "kombu", "redis"),
    "train": ("cleanlab", "h5py", "keras", "keras_tuner", "matplotlib", "pandas", "scipy", "sklearn", "threadpoolctl"),
    "train,tf": ("tensorflow",),
}
"""What comes with which extra of pyproject.toml, by the name that is imported."""

_ONE_AT_A_TIME = threading.RLock()  # the process has one stderr: two threads that swap it could leave it swapped


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


def first_line(error: BaseException) -> str:
    """Returns the first line of what a library's error says, its name where it says nothing; 200 characters at most."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def missing_package(error: ModuleNotFoundError) -> FerError:
    """Returns the error for a package that the light installation leaves out. Raises any other module's own."""
    name = (error.name or "").partition(".")[0]
    extra = next((extra for extra, names in _EXTRAS.items() if name in names), None)
    if extra is None:
        raise error
    return FerError(
        f"This needs {name}, which is not installed.",
        hint=f'`pip install -r requirements.lock` brings all there is, `pip install ".[{extra}]"` what this needs.',
    )


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


class _Handler:
    """Raises Interrupted, or waits until it is asked for; keeps the number of the first signal."""

    def __init__(self):
        self.number: int | None = None
        self.waits = False

    def __call__(self, number: int, frame: object) -> None:
        is_first = self.number is None
        self.number = self.number or number
        # Whoever presses Ctrl-C twice does not want to wait.
        if not self.waits or (number == signal.SIGINT and not is_first):
            raise Interrupted(number)


@contextlib.contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Makes SIGTERM and SIGINT raise Interrupted inside, and puts back what they did before. Main thread only."""
    handler = _Handler()
    before = {number: signal.signal(number, handler) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, other in before.items():
            signal.signal(number, other)


@contextlib.contextmanager
def signals_wait() -> Iterator[None]:
    """Makes SIGTERM and SIGINT wait for `check_interrupted`, at the latest at the end; a second Ctrl-C does not.

    Raises Interrupted. Without `signals_as_exceptions` around it, it does nothing.
    """
    handlers = _installed()
    for handler in handlers:
        handler.waits = True
    try:
        yield
    finally:
        for handler in handlers:
            handler.waits = False
    check_interrupted()


def check_interrupted() -> None:
    """Raises Interrupted if a signal has come within `signals_as_exceptions`, whether its exception arrived or not."""
    for handler in _installed():
        if handler.number is not None:
            raise Interrupted(handler.number)


def _installed() -> list[_Handler]:
    return [handler for handler in map(signal.getsignal, _SIGNALS) if isinstance(handler, _Handler)]


@contextlib.contextmanager
def native_messages_hidden() -> Iterator[None]:
    """Converter and runtime report their progress on the process's stderr, past Python; their errors are exceptions.

    Hides what any thread writes there meanwhile.
    """
    with _ONE_AT_A_TIME:
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
