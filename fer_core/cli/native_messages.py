"""Keeps the chatter of C++ libraries out of the terminal: they write to file descriptor 2 behind Python's back."""

import os
import sys
from pathlib import Path


def send_native_messages_to(path: Path) -> None:
    """From now on, what native code writes to stderr goes to the end of a file; what Python writes, to the terminal.

    For the rest of the process: TensorFlow also complains while it is torn down after an error.
    """
    sys.stderr.flush()
    kept = os.dup(sys.stderr.fileno())  # not 2, which may lead to a file since an earlier call
    sys.stderr = os.fdopen(kept, "w", buffering=1, encoding=sys.stderr.encoding, errors="replace")
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
