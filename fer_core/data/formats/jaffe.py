"""JAFFE (Lyons et al. 1998): ten women, whose pictures are named like KA.AN1.39.tiff: person, emotion, number."""

import re

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.tree import Found, Placed, Tree
from fer_core.labels import is_emotion

_NAME = re.compile(r"([A-Z]{2})[.-](AN|DI|FE|HA|NE|SA|SU)\d?[.-]\d+", re.IGNORECASE)
_LABELS = {
    "AN": "angry",
    "DI": "disgust",
    "FE": "fear",
    "HA": "happy",
    "NE": "neutral",
    "SA": "sad",
    "SU": "surprise",
}
_MOST_OF = 0.8


def recognise(tree: Tree) -> Found | None:
    """Returns the pictures that are named so, if nearly all are."""
    named = {path: match for path in tree.pictures if (match := _NAME.fullmatch(path.stem))}
    if len(named) < max(1, _MOST_OF * len(tree.pictures)) or any(is_emotion(path.parent.name) for path in named):
        return None
    placed = [
        Placed(str(path), tree.split_around(path) or ALL_IMAGES, _LABELS[match[2].upper()], person=match[1].upper())
        for path, match in named.items()
    ]
    left_out = {str(path): "as their names are not JAFFE's" for path in tree.pictures if path not in named}
    return Found("JAFFE", placed, left_out=left_out)
