"""`python -m jobs.trainer PARENT_PID -- COMMAND…` becomes that command, which gets a SIGTERM when its parent dies.

Without it, a training outlives a worker that was killed, keeps its GPU, and nobody knows of it.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Makes the system send SIGTERM to this process when the thread ends that started it. Survives exec."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def told_of_death(command: Sequence[str]) -> list[str]:
    """Returns the command as one that gets SIGTERM when this process dies."""
    return [sys.executable, "-m", "jobs.trainer", str(os.getpid()), "--", *map(str, command)]


def in_words(code: int) -> str:
    """Returns how a process ended: 'exit code 2', 'killed by SIGKILL'."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def main(argv: list[str]) -> None:
    """Replaces this process by the command; ends with 143 if the parent is gone already."""
    parent, _, *command = argv
    die_with_parent()
    if os.getppid() != int(parent):
        sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
