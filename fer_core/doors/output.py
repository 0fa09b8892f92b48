"""How the detector's door prints."""

from rich.console import Console


def say(console: Console, text: str) -> None:
    """Prints a sentence as it is: no markup, no colours, and the terminal breaks the line, so that paths stay whole."""
    console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
