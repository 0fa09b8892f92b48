"""How a command line prints: text as it is, and native messages elsewhere."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from fer_core.errors import printable


class Output(Console):
    """Leaves it to the command line to end when nobody reads any more; rich would end with the exit code of a bug.

    What names, labels and arguments from elsewhere have in them for terminals is written out instead of obeyed.
    """

    def on_broken_pipe(self) -> None:
        """Raises again what rich has just caught."""
        raise BrokenPipeError

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yields what is printed; rich's own colours are apart from the text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


def say(console: Console, text: str) -> None:
    """Prints a sentence as it is: no markup, no colours, and the terminal breaks the line, so that paths stay whole.

    Control characters, which may be in names that are from elsewhere, are written out.
    """
    console.print(printable(text), markup=False, highlight=False, emoji=False, soft_wrap=True)


def send_native_messages_to(path: Path) -> None:
    """From now on, what native code writes to stderr goes to the end of a file; what Python writes, to the terminal.

    C++ libraries write to file descriptor 2 behind Python's back. For the rest of the process: TensorFlow also
    complains while it is torn down after an error.
    """
    sys.stderr.flush()
    kept = os.dup(sys.stderr.fileno())  # not 2, which may lead to a file since an earlier call
    # For the rest of the process: nobody closes it.
    sys.stderr = os.fdopen(kept, "w", 1, encoding=sys.stderr.encoding, errors="replace", closefd=False)
    with path.open("ab") as file:
        os.dup2(file.fileno(), 2)
