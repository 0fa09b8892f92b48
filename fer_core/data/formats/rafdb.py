"""RAF-DB (Li et al. 2017), basic emotions: as its authors hand it out, and as it is uploaded again in numbered folders.

list_patition_label.txt says `train_00001.jpg 5`; of each picture there is an aligned and an original one.
"""

import re
from dataclasses import replace
from pathlib import PurePosixPath

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.folder_names import split_of
from fer_core.data.formats import class_folders, pictures_and_table
from fer_core.data.report import missing_pictures
from fer_core.data.tree import Found, Placed, Tree, matching, table_rows
from fer_core.labels import NUMBERS

_LINE = re.compile(r"(train|test|val|valid)_\d+(_aligned)?\.\w+[\s,;]+[1-7]")
_NAME = re.compile(r"((train|test|val|valid)_\d+)(_aligned)?")
_LABELS = NUMBERS["rafdb"]
_FORMAT = "RAF-DB"
_MOST = 0.9


def recognise(tree: Tree) -> Found | None:
    """Returns the pictures by their list of labels, or by numbered folders or tables if they have its names.

    Other names are taken too, where a table of labels agrees with folders 1 to 7.
    """
    named = {path: match for path in tree.pictures if (match := _NAME.fullmatch(path.stem))}
    if len(named) < max(1, 0.5 * len(tree.pictures)):
        return _by_folders_and_table(tree)
    tables = [name for name, start in tree.beginnings.items() if matching(start, _LINE)]
    if tables:
        return _by_lists(tree, tables, named)
    numbered = any(path.parent.name in _LABELS for path in named)
    found = pictures_and_table.recognise(tree) or (class_folders.recognise(tree) if numbered else None)
    if found is None or not {one.label for one in found.pictures} <= _LABELS.keys():
        return None
    return _renamed(found, _FORMAT)


def _by_folders_and_table(tree: Tree) -> Found | None:
    numbered = sum(path.parent.name in _LABELS for path in tree.pictures)
    if {path.parent.name for path in tree.pictures} < _LABELS.keys() or numbered < max(1, _MOST * len(tree.pictures)):
        return None
    found = pictures_and_table.recognise(tree)
    agreeing = [one for one in found.pictures if PurePosixPath(one.name).parent.name == one.label] if found else []
    if len(agreeing) < max(1, _MOST * len(tree.pictures)):
        return None
    what, agreed = "RAF-DB, by its folders 1 to 7 and its table of labels", set(agreeing)
    found.left_out |= {one.name: f"as {what} does not have them" for one in found.pictures if one not in agreed}
    found.pictures = agreeing
    return _renamed(found, what)


def _renamed(found: Found, what: str) -> Found:
    pictures = [Placed(one.name, _part(one), _LABELS[one.label]) for one in found.pictures]
    return replace(found, format=what, pictures=pictures, is_usual=False)


def _part(one: Placed) -> str:
    """Returns the split that is known, or the one that the picture's name says."""
    match = _NAME.fullmatch(PurePosixPath(one.name).stem) if one.part == ALL_IMAGES else None
    return split_of(match[2]) if match else one.part


def _by_lists(tree: Tree, tables: list[str], named: dict[PurePosixPath, re.Match]) -> Found:
    labels, missing = {}, 0
    # Those of compound emotions, which lie beside the basic ones, have the same names.
    around = {PurePosixPath(table).parent.parent for table in tables}
    inside = {path: match for path, match in named.items() if around & {*path.parents}}
    named = inside or named
    stems = {match[1] for match in named.values()}
    for row in (row for table in tables for row in table_rows(tree, table)):
        if len(row) == 2 and (match := _NAME.fullmatch(PurePosixPath(row[0]).stem)) and row[1] in _LABELS:
            labels[match[1]] = _LABELS[row[1]]
            missing += match[1] not in stems
    has_aligned = {match[1] for match in named.values() if match[3]}
    placed, left_out = [], {}
    for path, match in named.items():
        if match[1] in labels and has_aligned and not match[3]:
            left_out[str(path)] = "as the aligned pictures are used"
        elif match[1] in labels:
            placed.append(Placed(str(path), split_of(match[2]), labels[match[1]]))
    what = "RAF-DB (aligned pictures)" if has_aligned else _FORMAT
    rest, notes = "as they are not in the list of labels", missing_pictures(missing, tables)
    return Found(what, placed, left_out=left_out, rest=rest, notes=notes)
