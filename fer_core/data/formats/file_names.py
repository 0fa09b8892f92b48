"""Data sets whose pictures' names say all: KDEF (Lundqvist et al. 1998) and JAFFE (Lyons et al. 1998).

AF01ANS.JPG is session A, woman 01, angry, straight; both sessions show the same persons. Half profiles (HL, HR) are
kept, full profiles (FL, FR) left out: cameras and detectors see no such faces. KA.AN1.39.tiff is person, emotion,
number. Where the pictures lie in folders of emotions, these are read as class folders.
"""

import re

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.tree import Found, Placed, Tree
from fer_core.labels import is_emotion

_NAMES = {
    "KDEF (straight and half profiles)": re.compile(r"(?i)[AB]([FM]\d\d)(AN|DI|AF|HA|NE|SA|SU)(S|HL|HR|FL|FR)"),
    "JAFFE": re.compile(r"(?i)([A-Z]{2})[.-](AN|DI|FE|HA|NE|SA|SU)(\d?)[.-]\d+"),
}
_LABELS = {"AF": "fear", "AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "NE": "neutral", "SA": "sad"}
_LABELS |= {"SU": "surprise"}
_MOST_OF = 0.8


def recognise(tree: Tree) -> Found | None:
    """Returns the pictures that are named so, if nearly all are."""
    for what, pattern in _NAMES.items():
        named = {path: match for path in tree.pictures if (match := pattern.fullmatch(path.stem))}
        if len(named) < max(1, _MOST_OF * len(tree.pictures)) or any(is_emotion(path.parent.name) for path in named):
            continue
        placed, left_out = [], {}
        for path, match in named.items():
            person, emotion, angle = match[1].upper(), match[2].upper(), match[3].upper()
            if angle in ("FL", "FR"):
                left_out[str(path)] = "as full profiles (FL, FR)"
            else:
                part = tree.split_around(path) or ALL_IMAGES
                placed.append(Placed(str(path), part, _LABELS[emotion], person=person))
        return Found(what, placed, left_out=left_out, rest=f"as their names are not {what.partition(' ')[0]}'s")
    return None
