"""AffectNet (Mollahosseini et al. 2017, arXiv 1708.03985): images/N.jpg with annotations/N_exp.npy, and the older csv.

The csv (subDirectory_filePath, face_x, …, expression) has boxes, and three kinds of pictures without an emotion.
Numbered folders of it look like anybody's: there `--label-map affectnet` says what the numbers mean.
"""

import io
from pathlib import PurePosixPath

import numpy as np

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.folder_names import split_in
from fer_core.data.tree import FaceBox, Found, Placed, Tree, first_rows, table_rows
from fer_core.labels import NUMBERS, normalized

_LABELS = NUMBERS["affectnet"]
_NO_EMOTION = {"8": "none", "9": "uncertain", "10": "no face"}
_EXPRESSION = "_exp.npy"
_NPY_BYTES = 4096
_PATH, _BOX = "subdirectory_filepath", ("face_x", "face_y", "face_width", "face_height")
_COLUMNS = [_PATH, *_BOX, "facial_landmarks", "expression"]
"""Of the table without a header, which validation.csv is."""


def recognise(tree: Tree) -> Found | None:
    """Returns the pictures with the emotions of their annotations."""
    files = [name for name in tree.others if name.lower().endswith(_EXPRESSION)]
    if files and tree.pictures:
        return _by_files(tree, files)
    tables = {name: columns for name, start in tree.beginnings.items() if (columns := _columns(start))}
    return _by_tables(tree, tables) if tables and tree.pictures else None


def _by_files(tree: Tree, files: list[str]) -> Found | None:
    numbers = {}
    for name, content in tree.read(files, _NPY_BYTES).items():
        path = PurePosixPath(name)
        numbers[path.parent.parent, path.name[: -len(_EXPRESSION)]] = _number(content)
    placed, left_out = [], {}
    for path in tree.pictures:
        number = numbers.pop((path.parent.parent, path.stem), None)
        _put(path, number, tree.split_around(path) or ALL_IMAGES, box=None, into=(placed, left_out))
    notes = [f"Annotations of pictures that are not there: {len(numbers):,}."] if numbers else []
    return Found("AffectNet", placed, left_out=left_out, notes=notes)


def _number(content: bytes) -> str | None:
    """Returns the number in an array of one value, which may be text."""
    try:
        return str(int(np.load(io.BytesIO(content), allow_pickle=False).reshape(-1)[0]))
    except (ValueError, IndexError, EOFError, OSError, TypeError, OverflowError, SyntaxError, MemoryError):
        return None


def _columns(start: bytes) -> list[str]:
    first = next(iter(first_rows(start, 1)), [])
    if {_PATH, "expression"} <= {*map(str.lower, first)}:
        return [cell.lower() for cell in first]
    has_landmarks = len(first) >= len(_COLUMNS) and ";" in first[5]
    return _COLUMNS if has_landmarks and all(map(str.isdecimal, (*first[1:5], first[6]))) else []


def _end(path: PurePosixPath) -> tuple[str, ...]:
    return tuple(map(normalized, path.parts[-2:]))


def _by_tables(tree: Tree, tables: dict[str, list[str]]) -> Found | None:
    by_end = {_end(path): path for path in tree.pictures}
    placed, left_out, missing = [], {}, 0
    for table, header in tables.items():
        places = [header.index(column) for column in (_PATH, "expression")]
        box_places = [header.index(column) for column in _BOX if column in header]
        part = split_in(PurePosixPath(table).stem) or ALL_IMAGES
        for row in table_rows(tree, table):
            if len(row) <= max(places + box_places) or row[places[0]].lower() == _PATH:
                continue
            path = by_end.get(_end(PurePosixPath(row[places[0]].replace("\\", "/"))))
            missing += path is None
            if path is not None:
                left_out.pop(str(path), None)
                box = _box([row[place] for place in box_places])
                _put(path, row[places[1]], part, box=box, into=(placed, left_out))
    notes = [f"{missing:,} pictures that the tables name are not there."] if missing else []
    rest = "as no table names them"
    return Found("AffectNet (csv with boxes)", placed, left_out=left_out, rest=rest, notes=notes)


def _put(
    path: PurePosixPath,
    number: str | None,
    part: str,
    *,
    box: FaceBox | None,
    into: tuple[list[Placed], dict[str, str]],
) -> None:
    placed, left_out = into
    if number in _LABELS:
        placed.append(Placed(str(path), part, _LABELS[number], box))
    else:
        named = _NO_EMOTION.get(number or "")
        left_out[str(path)] = f"as they are labelled {named}" if named else "as they have no label"


def _box(cells: list[str]) -> FaceBox | None:
    try:
        left, top, width, height = map(float, cells)
    except ValueError:
        return None
    return FaceBox(left, top, width, height) if width > 0 and height > 0 else None
