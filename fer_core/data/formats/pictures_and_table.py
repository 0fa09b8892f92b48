"""Pictures and a table that names them: any column of names, any column of labels, or a column for each emotion.

The table may have a header or none, and a column that says the split; or there is a table for each split. Where folders
are named after emotions, these are believed.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import NamedTuple

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.folder_names import is_picture, split_in, split_of
from fer_core.data.formats import class_folders
from fer_core.data.report import listed, missing_pictures
from fer_core.data.tree import FaceBox, Found, Placed, Tree, first_rows, table_rows
from fer_core.errors import DatasetError
from fer_core.labels import EMOTIONS, canonical, is_emotion, normalized, words_of

_LABEL_WORDS = ("emotion", "label", "labels", "expression", "class", "category", "target", "emotions", "sentiment")
_NAME_WORDS = {"id", "image", "img", "file", "filename", "name", "path", "pic", "picture", "photo", "pth"}
_SPLIT_WORDS = ("usage", "split", "set", "subset", "partition", "phase", "fold", "type")
_YES, _NO = {"1", "1.0", "true"}, {"0", "0.0", "false"}
_BOX = ("xmin", "ymin", "xmax", "ymax")
_MOST_CLASSES = 50
_LONGEST_LABEL = 60


class Columns(NamedTuple):
    """Where names, labels and splits stand in a table; `emotions` are columns of 0 and 1, one for each."""

    name: int
    label: int | None
    split: int | None
    emotions: dict[int, str]
    has_header: bool
    box: tuple[int, ...] = ()


def recognise(tree: Tree) -> Found | None:
    """Returns the pictures with the labels that the tables have. Raises DatasetError where it is not clear which."""
    if not tree.pictures:
        return None
    tables = {name: found for name, start in tree.beginnings.items() if (found := _table(tree, name, start))}
    if not tables:
        return None
    if sum(is_emotion(path.parent.name) for path in tree.pictures) > len(tree.pictures) / 2:
        return _in_named_folders(tree, tables)
    labelled: dict[str, dict[Placed, None]] = {}
    missing = 0
    for one in _lines(tree, tables):
        missing += one is None
        if one is not None and one.label:
            _add(one, labelled.setdefault(one.name, {}), tree.source)
    pictures = [
        replace(one, face=number * (len(faces) > 1))
        for faces in labelled.values()
        for number, one in enumerate(faces, start=1)
    ]
    if len({one.label for one in pictures}) > _MOST_CLASSES:
        return None
    several = " or several" if any(columns.emotions for columns in tables.values()) else ""
    rest = f"as {listed(tables)} has no label{several} of them"
    what = f"pictures and {'tables' if len(tables) > 1 else 'a table'} of labels ({listed(tables)})"
    return Found(what, pictures, rest=rest, notes=missing_pictures(missing, tables)) if labelled else None


def _in_named_folders(tree: Tree, tables: dict[str, Columns]) -> Found:
    """Returns what the folders say, and a note where the tables say otherwise."""
    found = class_folders.recognise(tree)
    labels = {one.name: canonical(one.label) for one in found.pictures}
    said = {one.name: canonical(one.label) for one in _lines(tree, tables) if one is not None}
    others = sum(label in EMOTIONS and labels.get(name, label) != label for name, label in said.items())
    if others:
        where = f"{listed(tables)} {'say' if len(tables) > 1 else 'says'} otherwise"
        found.notes.append(f"The emotions are those of the folders; {where} of {others:,} of {len(said):,} pictures.")
    return found


def _lines(tree: Tree, tables: dict[str, Columns]) -> Iterator[Placed | None]:
    """Yields what each line says of a picture; None where there is no such picture."""
    for table, columns in tables.items():
        lines = table_rows(tree, table)
        if columns.has_header:
            next(lines)
        for row in lines:
            yield _placed(tree, table, columns, row)


def _add(one: Placed, faces: dict[Placed, None], source: str) -> None:
    first = next(iter(faces), one)
    if one.box is None and canonical(first.label) != canonical(one.label):
        raise DatasetError(
            f"{source}: {one.name} is labelled {first.label!r} and {one.label!r}.",
            hint="Keep one table with one label for each picture.",
        )
    if not faces or one.box is not None:
        faces[one] = None


def _table(tree: Tree, name: str, start: bytes) -> Columns | None:
    """Returns the columns of a table of labels; the example of what to hand in at a challenge is none."""
    return None if "submission" in words_of(PurePosixPath(name).stem) else _columns(tree, first_rows(start))


def _columns(tree: Tree, rows: list[list[str]]) -> Columns | None:
    """Returns what the columns of a table are, by its first rows; None where it names no pictures or no labels."""
    if not rows:
        return None
    width = len(rows[0])
    body = [row for row in rows[1:] if len(row) == width]
    has_header = not any(_picture(tree, cell) for cell in rows[0])
    body = body if has_header else [row for row in rows if len(row) == width]
    header = [cell.lower() for cell in rows[0]] if has_header else [""] * width
    names = [place for place in range(width) if _are_names(tree, header[place], [row[place] for row in body])]
    names.sort(key=lambda place: not any("." in row[place] for row in body))
    if not names:
        return None
    others = [place for place in range(width) if place != names[0]]
    splits = [p for p in others if header[p] in _SPLIT_WORDS and all(split_of(row[p]) for row in body)]
    others = [place for place in others if place not in splits]
    flags = {p: canonical(header[p]) for p in others if header[p] and {row[p].lower() for row in body} <= _YES | _NO}
    emotions = {p: name for p, name in flags.items() if name in EMOTIONS or len(flags) > 2}
    label = _label_column(header, body, others)
    if len(emotions) > 1 and (label is None or label in emotions):
        return Columns(names[0], None, splits[0] if splits else None, emotions, has_header)
    box = tuple(header.index(word) for word in _BOX) if {*_BOX} <= {*header} else ()
    return None if label is None else Columns(names[0], label, splits[0] if splits else None, {}, has_header, box)


def _are_names(tree: Tree, header: str, cells: list[str]) -> bool:
    """Returns whether a column names pictures. Numbers alone may count lines as well, unless the header says more."""
    may_count = all(cell.isdecimal() for cell in cells) and not (set(words_of(header)) & _NAME_WORDS)
    if may_count or not any(_picture(tree, cell) for cell in cells):
        return False
    return _share(is_picture(cell) or _picture(tree, cell) for cell in cells) >= 0.5


def _label_column(header: list[str], body: list[list[str]], places: list[int]) -> int | None:
    """Returns the column of labels: by what stands in it, by its name, or because no other fits."""
    values = {place: [row[place] for row in body] for place in places}
    emotions = [p for p in places if _share(canonical(value) in EMOTIONS for value in values[p]) >= 0.5]
    named = [p for word in _LABEL_WORDS for p in places if header[p] == word]
    named += [p for word in _LABEL_WORDS for p in places if word in header[p]]
    fitting = [p for p in places if all(values[p]) and _are_classes(values[p])]
    named = [p for p in named if len(set(values[p])) <= _MOST_CLASSES]
    chosen = emotions or named or (fitting if len(fitting) == 1 else [])
    return chosen[0] if chosen else None


def _are_classes(values: Sequence[str]) -> bool:
    different = set(values)
    is_short = all(len(value) <= _LONGEST_LABEL for value in different)
    return is_short and len(different) <= min(_MOST_CLASSES, max(2, len(values) // 2))


def _share(values) -> float:
    found = list(values)
    return sum(map(bool, found)) / len(found) if found else 0.0


def _picture(tree: Tree, cell: str, split: str | None = None) -> str | None:
    """Returns the picture that a cell names: by its path, or by its file name if only one has it."""
    cell = cell.replace("\\", "/").removeprefix("./")
    if not cell:
        return None
    if cell in tree.picture_names:
        return cell
    found = tree.pictures_called(PurePosixPath(cell).name)
    wanted = PurePosixPath(cell).parts
    ending = [path for path in found if path.parts[-len(wanted) :] == wanted]
    of_split = [path for path in ending or found if split and tree.split_around(path) == split]
    best = of_split or ending or found
    return str(best[0]) if best and (len(best) == 1 or split is None) else None


def _placed(tree: Tree, table: str, columns: Columns, row: list[str]) -> Placed | None:
    if len(row) <= max(columns.name, columns.label or 0, columns.split or 0, *columns.emotions, *columns.box):
        return None
    of_table = split_in(PurePosixPath(table).stem) or tree.split_around(table)
    split = (split_of(row[columns.split]) if columns.split is not None else None) or of_table
    name = _picture(tree, row[columns.name], split or "")
    if name is None:
        return None
    box = None
    with contextlib.suppress(ValueError):
        box = FaceBox.between(*(float(row[place]) for place in columns.box)) if columns.box else None
    return Placed(name, split or tree.split_around(name) or ALL_IMAGES, _label(columns, row), box)


def _label(columns: Columns, row: list[str]) -> str:
    if columns.label is not None:
        return normalized(row[columns.label])
    chosen = [name for place, name in columns.emotions.items() if row[place].lower() in _YES]
    return chosen[0] if len(chosen) == 1 else ""
