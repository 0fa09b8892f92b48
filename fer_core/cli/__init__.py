"""Command lines: how each ends (exit codes, the two lines of an error), and what native code does to a process."""

import contextlib
import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable

from fer_core.errors import DISK_IS_FULL, ArtifactError, FerError, missing_package, printable, signals_as_exceptions

_OUTPUT_CLOSED = 141
"""What a shell reports of a program whose reader (`| head`) has gone."""
_NOT_ALLOWED = (errno.EROFS, errno.EACCES, errno.EPERM)
_FOLDERS = "by FER_MODELS_DIR, FER_HISTORY_DIR and FER_CACHE_DIR."
_HIGHEST_EXIT_CODE = 255
"""Windows gives the number of a fault, far above it."""


def ended(run: Callable[..., None], *arguments: object) -> int:
    """Does run(*arguments) and returns the exit code: 0, the error's own, or 128 + the signal's number.

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
            run(*arguments)
    except FerError as error:
        return _refused(str(error), error.hint or "See README.md.", error.exit_code)
    except ModuleNotFoundError as error:
        problem = missing_package(error)
        return _refused(str(problem), problem.hint)
    except BrokenPipeError:
        _give_output_up()
        return _OUTPUT_CLOSED
    except OSError as error:
        if error.errno in DISK_IS_FULL and error.filename is None:
            _give_output_up()
            hint = "Make room on the disk it goes to, or send it elsewhere."
            return _refused(f"The output cannot be written: {error.strerror}.", hint)
        if error.errno == errno.ENOSYS:
            return _refused("This file system cannot lock files (flock).", f"Name folders on another one {_FOLDERS}")
        if error.errno == errno.ENAMETOOLONG:
            return _refused(f"{printable(str(error.filename))[:80]} … is too long for a name.", "Check what was given.")
        if error.errno not in _NOT_ALLOWED:
            raise
        problem = f"{printable(str(error.filename))} cannot be read or written: {error.strerror}."
        return _refused(problem, f"Change its access rights, or name other folders {_FOLDERS}")
    except KeyboardInterrupt as error:
        return 128 + getattr(error, "signal_number", signal.SIGINT)
    return 0


def _give_output_up() -> None:
    """Python would complain once more when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refused(problem: str, hint: str, exit_code: int = FerError.exit_code) -> int:
    print(f"Error: {problem}", hint, sep="\n", file=sys.stderr)
    return exit_code


def run_in_child(run: Callable[..., None], *arguments: object) -> None:
    """Does run(*arguments) in a child that prints for itself, and ends with its exit code unless that is 0.

    For what may end in native code: somebody has to be left who says so. All of them must be picklable. Raises
    ArtifactError where native code ended the child, and SystemExit.
    """
    import multiprocessing

    sys.stdout.flush()  # what was printed so far comes first, also in a file
    # A daemon ends with this process, also where a signal ends that.
    child = multiprocessing.get_context("spawn").Process(target=_exit, args=(run, *arguments), daemon=True)
    child.start()
    child.join()
    code = child.exitcode
    if not 0 <= code <= _HIGHEST_EXIT_CODE:
        fault = next((one.name for one in signal.Signals if one == -code), f"exit code {code}")
        raise ArtifactError(
            f"The backend's native code ended the process that ran the model ({fault}).",
            hint="Set TF_ENABLE_ONEDNN_OPTS=0, or KERAS_BACKEND=jax where JAX is installed, and try again.",
        )
    if code:
        sys.exit(code)


def _exit(run: Callable[..., None], *arguments: object) -> None:
    sys.exit(ended(run, *arguments))
