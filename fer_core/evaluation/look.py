"""What all figures of this project share: how they look, and how they are written as PNG.

matplotlib is imported inside, because it is slow; pyplot and global settings never.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fer_core.store.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DOTS_PER_INCH = 150
QUIET = "#6b6b6b"
"""Of what explains and is not the figure itself."""
GRID = "#dedede"
DARK = "#333333"


def load_libraries() -> None:
    """Imports what figures and curves are made with: seconds that are no part of the time that an analysis takes."""
    import sklearn.metrics  # noqa: F401


def new_figure(width: float, height: float) -> "Figure":
    """Returns an empty white figure, in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Writes the figure as PNG, under its name only when it is complete; folders are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH)


def figure_title(figure: "Figure", text: str, *, below: str = "") -> None:
    """Writes the figure's title above everything, on the left; and `below` it, smaller and grey, what it is of."""
    from matplotlib.text import Annotation

    look = {"x": 0.015, "ha": "left", "fontsize": 13, "fontweight": "bold"}
    title = figure.suptitle(literal(text) + ("\n" if below else ""), **look)  # the empty line is the room for `below`
    if below:
        place = {"xy": (0, 0), "xytext": (0, 3), "xycoords": title, "textcoords": "offset points"}
        figure.add_artist(Annotation(literal(below), **place, fontsize=9.5, color=QUIET))


def head(axes: "Axes", heading: str, title: str, *, rise: float = 4) -> None:
    """Writes the heading and, smaller and grey, what it is of (a line or two), `rise` points above the axes."""
    axes.annotate(
        literal(title),
        (0, 1),
        (0, rise),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=9.5,
        color=QUIET,
    )
    axes.set_title(literal(heading), loc="left", fontsize=13, fontweight="bold", pad=rise + 17 + 14 * title.count("\n"))


def with_grid(axes: "Axes", *, axis: str = "both") -> None:
    """Draws a pale grid behind what is drawn, and no frame above and on the right."""
    axes.grid(axis=axis, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def text_colour(background: Sequence[float]) -> str:
    """Returns black or white, whichever has more contrast by WCAG 2 (relative luminance 0.18 lies between them)."""
    red, green, blue = (float(part) ** 2.2 for part in background[:3])
    return "#1a1a1a" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 else "white"


def literal(text: str) -> str:
    """Returns the text so that it is drawn as it is: between two dollar signs matplotlib would read a formula."""
    return text.replace("$", r"\$")


def shortened(text: str, most: int = 34) -> str:
    """Returns the text to draw, cut to so many characters with an ellipsis where it is longer."""
    return literal(text if len(text) <= most else f"{text[: most - 1]}…")
