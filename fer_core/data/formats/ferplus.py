"""FER+ as its own script writes it: FER2013Train|Valid|Test/ferNNNNNNN.png, each with a label.csv of boxes and votes.

Also pictures with FER+'s names anywhere, where the votes are given or lie beside.
"""

import re
from pathlib import PurePosixPath

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.report import missing_pictures
from fer_core.data.tree import FaceBox, Found, Placed, Tree, first_rows, table_rows
from fer_core.data.votes import COLUMNS, Votes, is_named_by_row, is_votes_header, read_votes

_FORMAT = "FER+"
_BOX = re.compile(r"\(?\s*(\d{1,6}),\s*(\d{1,6}),\s*(\d{1,6}),\s*(\d{1,6})\s*\)?")


def recognise(tree: Tree) -> Found | None:
    """Returns the pictures with their votes."""
    tables = [name for name, start in tree.beginnings.items() if _is_label_table(first_rows(start))]
    if not tables:
        return None
    placed: list[Placed] = []
    missing = 0
    for table in tables:
        folder = PurePosixPath(table).parent
        part = tree.split_around(table) or ALL_IMAGES
        for number, row in enumerate(table_rows(tree, table)):
            paths = [path for path in tree.pictures_called(row[0]) if folder in path.parents]
            if len(paths) != 1 or not _is_label_row(row):
                missing += number > 0 or _is_label_row(row)  # the first line may be a header
                continue
            ends = _BOX.fullmatch(row[1]) if len(row) > 1 + len(COLUMNS) else None
            box = ends and FaceBox.between(*map(int, ends.groups()))
            placed.append(Placed(str(paths[0]), part, "", box, votes=tuple(map(int, row[-len(COLUMNS) :]))))
    rest = "as label.csv has no votes on them"
    return Found(_FORMAT, placed, rest=rest, notes=missing_pictures(missing, tables))


def votes_beside(tree: Tree) -> Votes | None:
    """Returns the votes in a fer2013new.csv that lies in the tree."""
    for name, start in tree.beginnings.items():
        if (first := first_rows(start, 1)) and is_votes_header(first[0]):
            return read_votes(table_rows(tree, name), name)
    return None


def by_names(tree: Tree) -> Found | None:
    """Returns pictures that are named by rows (fer0000001.png), wherever they lie; votes say the rest."""
    named = [path for path in tree.pictures if is_named_by_row(path)]
    if not named or len(named) < len(tree.pictures) / 2:
        return None
    placed = [Placed(str(path), ALL_IMAGES, "") for path in named]
    return Found(_FORMAT, placed, rest="as their names say no row of FER-2013")


def _is_label_table(found: list[list[str]]) -> bool:
    found = found[1:] if len(found) > 1 and not _is_label_row(found[0]) else found  # a header
    return bool(found) and sum(map(_is_label_row, found)) >= 0.9 * len(found)


def _is_label_row(row: list[str]) -> bool:
    """Returns whether this is a picture, its box (or none), and ten votes."""
    between = row[1 : -len(COLUMNS)]
    are_numbers = all(cell.isdecimal() and len(cell) < 3 for cell in row[-len(COLUMNS) :])
    has_box = len(between) == 1 and _BOX.fullmatch(between[0]) is not None
    return len(row) > len(COLUMNS) and "." in row[0] and are_numbers and (has_box or not between)
