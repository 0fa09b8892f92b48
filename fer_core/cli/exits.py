"""How a command line ends: exit codes, the two lines of an error, and signals that ask it to stop."""

import contextlib
import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable

from fer_core.errors import FerError, printable
from fer_core.interruption import signals_as_exceptions

_OUTPUT_CLOSED = 141
"""What a shell reports of a program whose reader (`| head`) has gone."""
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)
_NOT_ALLOWED_HINT = (
    "Change its access rights, or name other folders by FER_MODELS_DIR, FER_HISTORY_DIR and FER_CACHE_DIR."
)


def ended(run: Callable[[], None]) -> int:
    """Runs a command and returns its exit code: 0, the error's own, or 128 + the signal's number.

    Anything that is not the user's doing keeps its traceback and Python's exit code 1.
    """
    if not sys.warnoptions:
        # What libraries remark is for who works on the program: -W and PYTHONWARNINGS show it.
        warnings.simplefilter("ignore")
    with contextlib.suppress(AttributeError):
        # A terminal or log that is not UTF-8 gets a question mark for what it cannot show, and the training goes on.
        sys.stdout.reconfigure(errors="replace")
    try:
        with signals_as_exceptions():
            run()
    except FerError as error:
        print(f"Error: {error}", file=sys.stderr)
        print(error.hint or "See README.md.", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _OUTPUT_CLOSED
    except OSError as error:
        if error.errno not in _NOT_ALLOWED:
            raise
        print(f"Error: {printable(str(error.filename))} cannot be read or written: {error.strerror}.", file=sys.stderr)
        print(_NOT_ALLOWED_HINT, file=sys.stderr)
        return FerError.exit_code
    except KeyboardInterrupt as error:
        return 128 + getattr(error, "signal_number", signal.SIGINT)
    return 0
