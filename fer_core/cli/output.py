"""How the command lines print."""

from collections.abc import Iterable

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
