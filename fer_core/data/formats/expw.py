"""ExpW (Zhang et al. 2018): a line of label.lst is a face: picture, number of the face, box, confidence, emotion."""

import re
from collections import Counter
from pathlib import PurePosixPath

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.report import missing_pictures
from fer_core.data.tree import FaceBox, Found, Placed, Tree, matching, table_rows
from fer_core.labels import NUMBERS

_LINE = re.compile(r"\S.*\.\w+(\s+-?\d+){5}\s+-?[\d.]+\s+[0-6]")
_LABELS = NUMBERS["expw"]
_CELLS = 8


def recognise(tree: Tree) -> Found | None:
    """Returns the faces with their boxes."""
    table = next((name for name, start in tree.beginnings.items() if matching(start, _LINE)), None)
    if table is None:
        return None
    placed: list[Placed] = []
    faces: Counter[str] = Counter()
    missing = 0
    for row in table_rows(tree, table):
        *words, top, left, right, bottom, _, label = row if len(row) >= _CELLS else [""] * _CELLS
        paths = tree.pictures_called(PurePosixPath(" ".join(words[:-1])).name)
        if len(paths) != 1 or not _LINE.fullmatch(" ".join(row)):
            missing += 1
            continue
        name = str(paths[0])
        faces[name] += 1
        box = FaceBox.between(float(left), float(top), float(right), float(bottom))
        placed.append(Placed(name, ALL_IMAGES, _LABELS[label], box, face=faces[name]))
    return Found("ExpW", placed, rest=f"as {table} has no face of them", notes=missing_pictures(missing, [table]))
