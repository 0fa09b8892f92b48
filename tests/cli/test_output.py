"""What is printed: nothing in it is obeyed by a terminal, wherever a name came from."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from fer_core.cli.output import Output

HOSTILE = "\x1b[2Jname\x1b]0;title\x07\x9b31m\x7f\r"


def printed(*parts: object) -> str:
    console = Output(
        file=io.StringIO(), width=80, markup=False, highlight=False, force_terminal=True, color_system="standard"
    )
    console.print(*parts)
    return console.file.getvalue()


@pytest.mark.parametrize("part", [HOSTILE, Text(HOSTILE)], ids=["text", "styled"])
def test_control_characters_are_written_out(part):
    assert printed(part) == r"\x1b[2Jname\x1b]0;title\x9b31m\x7f" + "\n"


def test_nor_are_those_in_a_table_whose_colours_stay():
    table = Table(box=None)
    table.add_column("job")
    table.add_row(Text(HOSTILE, style="red"))
    shown = printed(table)
    assert "\x1b[31m\\x1b[2Jname" in shown
    assert shown.count("\x1b[2J") == shown.count("\x07") == shown.count("\x9b") == 0


def test_tabs_and_lines_stay():
    assert printed("a\nb\tc").splitlines()[0] == "a"
