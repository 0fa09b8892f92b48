"""Keeps the chatter of C++ libraries out of the terminal: they write to file descriptor 2 behind Python's back."""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def native_messages_to(path: Path) -> Iterator[None]:
    """Inside, what native code writes to stderr goes to the end of a file; what Python writes still to the terminal."""
    sys.stderr.flush()
    terminal = os.dup(2)
    before = sys.stderr
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
    sys.stderr = os.fdopen(os.dup(terminal), "w", buffering=1)
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before
        os.dup2(terminal, 2)
        os.close(terminal)
