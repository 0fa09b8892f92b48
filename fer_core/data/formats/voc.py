"""Pascal VOC: an XML file for each picture, beside it or in Annotations/, with a name and a box for each object.

Only these are read, by looking for their tags: an XML parser may be sent anywhere by what it reads.
"""

import re
from html import unescape
from pathlib import PurePosixPath

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.tree import FaceBox, Found, Placed, Tree, faces_of
from fer_core.labels import is_emotion, normalized

_BOX = ("xmin", "ymin", "xmax", "ymax")
_NAME = re.compile(r"<name>([^<]{1,100})</name>")
_ENDS = [re.compile(rf"<{tag}>\s{{0,9}}(-?[\d.]{{1,20}})\s{{0,9}}</{tag}>") for tag in _BOX]
_MOST_BYTES = 2**20
_MOST_SPLITS = 5


def recognise(tree: Tree) -> Found | None:
    """Returns the faces with their boxes."""
    texts = [PurePosixPath(name) for name in tree.others if name.lower().endswith(".xml")]
    beside = {path.with_suffix(".xml"): path for path in tree.pictures} if texts else {}
    files = {str(one): path for one in texts if (path := beside.get(one) or _picture(tree, one))}
    if not files or any(is_emotion(path.parent.name) for path in tree.pictures):
        return None
    placed: list[Placed] = []
    for name, content in tree.read(list(files), _MOST_BYTES).items():
        objects = content.decode("utf-8-sig", "replace").split("<object>")[1:]
        faces = [face for text in objects if (face := _face(text))]
        placed += faces_of(files[name], tree.split_around(files[name]) or ALL_IMAGES, faces)
    return Found("Pascal VOC with boxes", placed, rest="as no face is marked in them")


def _picture(tree: Tree, path: PurePosixPath) -> PurePosixPath | None:
    """Returns the only picture with this name, perhaps of its split."""
    found = tree.pictures_called(path.stem)[:_MOST_SPLITS]
    if len(found) > 1:
        found = [one for one in found if tree.split_around(one) == tree.split_around(path)]
    return found[0] if len(found) == 1 else None


def _face(text: str) -> tuple[str, FaceBox] | None:
    name, ends = _NAME.search(text), [end.search(text) for end in _ENDS]
    try:
        return normalized(unescape(name[1])), FaceBox.between(*(float(end[1]) for end in ends))
    except (TypeError, ValueError):
        return None
