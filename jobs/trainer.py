"""`python -m jobs.trainer PARENT_PID -- COMMAND…` becomes that command, which gets a SIGTERM when its parent dies.

Without it, a training outlives a worker that was killed, keeps its GPU, and nobody knows of it.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Replaces this process by the command; ends with 143 if the parent is gone already."""
    parent, _, *command = argv
    # Survives exec. It is sent when the parent's thread ends that started this process.
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        sys.exit(128 + signal.SIGTERM)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
