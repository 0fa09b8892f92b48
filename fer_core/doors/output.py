"""How the doors print."""

from rich.console import Console

from fer_core.errors import printable


class Output(Console):
    """Leaves it to the door to end when nobody reads any more; rich would end with the exit code of a bug."""

    def on_broken_pipe(self) -> None:
        """Raises again what rich has just caught."""
        raise BrokenPipeError


def say(console: Console, text: str) -> None:
    """Prints a sentence as it is: no markup, no colours, and the terminal breaks the line, so that paths stay whole.

    Control characters, which may be in names that are from elsewhere, are written out.
    """
    console.print(printable(text), markup=False, highlight=False, emoji=False, soft_wrap=True)
