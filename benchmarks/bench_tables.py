"""The tables of bench.py: what was measured, as a terminal and as Markdown shows it."""

from rich.table import Table

Rows = list[dict[str, object]]

COLUMNS = ("measured", "ours", "plain Keras", "ratio", "bar", "met")
TITLES = {
    "live": ("measured", "ours", "tutorial's loop", "ratio", "bar", "met"),
    "web": ("measured", "ours", "tutorial's Flask", "ratio", "bar", "met"),
}
"""Of the sections that have a table of their own."""


def tables(results: dict, sections: list[str]) -> list[tuple[tuple[str, ...], Rows]]:
    """Returns columns and rows of the tables: one of training, one each of the live view and the web page."""
    measured = {name: results["sections"].get(name, {}).get("rows", []) for name in sections}
    training = [row for name, rows in measured.items() if name not in TITLES for row in rows]
    found = [(COLUMNS, training), *((columns, measured[name]) for name, columns in TITLES.items())]
    return [(columns, rows) for columns, rows in found if rows]


def terminal_table(columns: tuple[str, ...], rows: Rows) -> Table:
    """Returns one of the tables for a terminal."""
    table = Table(*columns)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def markdown(results: dict, sections: list[str]) -> str:
    """Returns all tables, notes, and on which machines and when they were measured."""
    found = tables(results, sections)
    text = "\n".join(_markdown_table(columns, rows) for columns, rows in found)
    notes = "".join(f"\n{row['name']}: {row['note']}.\n" for _, rows in found for row in rows if row.get("note"))
    sources = sorted({f"{section['machine']}, {section['measured'][:10]}" for section in results["sections"].values()})
    return f"{text}{notes}\n`make bench` on {'; '.join(sources)}.\n"


def _cells(row: dict) -> tuple[str, ...]:
    """A row either has a target for its ratio, or says itself what its bar is and whether it is met."""
    ratio = "not reached" if row["ratio"] is None else f"{row['ratio']:.2f} ×"
    is_above = row["ratio"] is not None and row["ratio"] >= row.get("target", 0)
    return (
        row["name"],
        f"{row['ours']:,.4g}",
        "" if row["plain"] is None else f"{row['plain']:,.4g}",
        "" if row["plain"] is None else ratio,
        row.get("bar") or f"≥ {row['target']} ×",
        "yes" if row.get("met", is_above) else "no",
    )


def _markdown_table(columns: tuple[str, ...], rows: Rows) -> str:
    lines = [columns, ("---",) + ("---:",) * 4 + ("---",), *map(_cells, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
