"""KDEF (Lundqvist et al. 1998): the picture's name says all. AF01ANS.JPG is session A, woman 01, angry, straight.

Half profiles (HL, HR) are kept, full profiles (FL, FR) left out: cameras and detectors see no such faces. Both sessions
show the same persons. Where its pictures lie in folders of emotions, these are read as class folders.
"""

import re

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.tree import Found, Placed, Tree
from fer_core.labels import is_emotion

_NAME = re.compile(r"[AB]([FM]\d\d)(AN|DI|AF|HA|NE|SA|SU)(S|HL|HR|FL|FR)", re.IGNORECASE)
_LABELS = {
    "AF": "fear",
    "AN": "angry",
    "DI": "disgust",
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
    placed, left_out = [], {str(path): "as their names are not KDEF's" for path in tree.pictures if path not in named}
    for path, (person, emotion, angle) in ((path, match.groups()) for path, match in named.items()):
        if angle.upper() in ("FL", "FR"):
            left_out[str(path)] = "as full profiles (FL, FR)"
        else:
            part = tree.split_around(path) or ALL_IMAGES
            placed.append(Placed(str(path), part, _LABELS[emotion.upper()], person=person.upper()))
    return Found("KDEF (straight and half profiles)", placed, left_out=left_out) if placed else None
