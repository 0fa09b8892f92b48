"""Runs a command in a process of its own, for what may end in native code: somebody has to be left who says so."""

import multiprocessing
import signal
import sys
from collections.abc import Callable

from fer_core.cli.exits import ended
from fer_core.errors import ArtifactError

_HIGHEST_EXIT_CODE = 255
"""Windows gives the number of a fault, far above it."""


def run_in_child(run: Callable[..., None], *arguments: object) -> None:
    """Does run(*arguments) in a child that prints for itself, and ends with its exit code unless that is 0.

    All of them must be picklable. Raises ArtifactError where native code ended the child, and SystemExit.
    """
    sys.stdout.flush()  # what was printed so far comes first, also in a file
    # A daemon ends with this process, also where a signal ends that.
    child = multiprocessing.get_context("spawn").Process(target=_run, args=(run, *arguments), daemon=True)
    child.start()
    child.join()
    if not 0 <= child.exitcode <= _HIGHEST_EXIT_CODE:
        raise ArtifactError(
            f"The backend's native code ended the process that ran the model ({_fault(child.exitcode)}).",
            hint="Set TF_ENABLE_ONEDNN_OPTS=0, or KERAS_BACKEND=jax where JAX is installed, and try again.",
        )
    if child.exitcode:
        sys.exit(child.exitcode)


def _run(run: Callable[..., None], *arguments: object) -> None:
    sys.exit(ended(lambda: run(*arguments)))


def _fault(code: int) -> str:
    known = {int(one): one.name for one in signal.Signals}
    return known.get(-code, f"exit code {code}")
