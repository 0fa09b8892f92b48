"""YOLO: labels/a.txt has a line for each face in images/a.jpg, `class x y width height` in parts of the picture.

The names of the classes stand in data.yaml, obj.names or classes.txt. Outlines (of segmentation) become their boxes. Of
data.yaml only `names` is read, by four lines instead of a YAML library.
"""

import re
from pathlib import PurePosixPath

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.report import listed
from fer_core.data.tree import FaceBox, Found, Tree, faces_of
from fer_core.errors import DatasetError
from fer_core.labels import is_emotion, normalized

_NAMES_FILES = ("obj.names", "classes.txt", "_darknet.labels", "classes.names")
_LIST = re.compile(r"^names\s*:\s*[\[{](.*?)[\]}]", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(r"^names\s*:\s*(?:#.*)?\n((?:[ \t]*(?:-|\d+\s*:).*\n?|\s*\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"""^[ \t]*(?:-|\d+\s*:)\s*(.*?)\s*$""", re.MULTILINE)
_COMMENT = re.compile(r"\s#.*")
_NUMBERED = re.compile(r"^\s*\d+\s*:\s*")
_MOST_BYTES = 2**20
_BOX_CELLS = 5
_LOOKED_INTO = 20
_ANY_CLASS = [""] * 100


def recognise(tree: Tree) -> Found | None:
    """Returns the faces with their boxes."""
    names = _class_names(tree)
    by_picture = _label_files(tree)
    if by_picture and not names:
        _check_no_boxes(tree, list(by_picture.values())[:_LOOKED_INTO])
    if not (by_picture and names):
        return None
    contents = tree.read(list(by_picture.values()), _MOST_BYTES)
    placed, wrong = [], 0
    for path in tree.pictures:
        lines = contents.get(by_picture.get(str(path), ""), b"").decode("utf-8-sig", "replace").splitlines()
        faces = [_face(line, names) for line in lines if line.strip()]
        wrong += faces.count(None)
        placed += faces_of(path, tree.split_around(path) or ALL_IMAGES, [face for face in faces if face is not None])
    notes = [f"{wrong:,} lines of label files are no box of a class."] if wrong else []
    return Found("YOLO with boxes", placed, rest="as no face is marked in them", notes=notes)


def _check_no_boxes(tree: Tree, files: list[str]) -> None:
    """Raises DatasetError where nothing but the names of the classes is missing."""
    texts = [content.decode("utf-8", "replace") for _, content in tree.read_files(files, _MOST_BYTES)]
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    named_by_folders = any(is_emotion(path.parent.name) for path in tree.pictures)
    if lines and not named_by_folders and all(_face(line, _ANY_CLASS) for line in lines):
        raise DatasetError(
            f"{tree.source} has boxes in the form of YOLO ({files[0]}), but not the names of their classes.",
            hint="Put the data.yaml (or classes.txt) that belongs to them beside them.",
        )


def _class_names(tree: Tree) -> list[str]:
    found: dict[str, list[str]] = {}
    for name, start in tree.beginnings.items():
        path, text = PurePosixPath(name), start.decode("utf-8-sig", "replace").replace("\r\n", "\n")
        is_yaml = path.suffix.lower() in (".yaml", ".yml")
        if is_yaml and (names := _names_in(text)):
            found[name] = names
        elif path.name.lower() in _NAMES_FILES and not found:
            return [normalized(line) for line in text.splitlines() if line.strip()]
    if any(names != next(iter(found.values())) for names in found.values()):
        raise DatasetError(
            f"{tree.source} has several lists of classes that differ: {listed(found)}.",
            hint="Give the data sets one by one, or remove the lists that are not of these labels.",
        )
    return next(iter(found.values()), [])


def _names_in(text: str) -> list[str]:
    if match := _LIST.search(text):
        entries = [_NUMBERED.sub("", entry) for entry in match[1].split(",")]
    elif match := _BLOCK.search(text):
        entries = _ENTRY.findall(match[1])
    else:
        return []
    return [normalized(_COMMENT.sub("", entry).strip().strip("'\"")) for entry in entries if entry.strip()]


def _label_files(tree: Tree) -> dict[str, str]:
    """Returns the label file of each picture that has one: in labels/ for images/, or beside it."""
    texts = {name.lower(): name for name in tree.others if name.lower().endswith(".txt")}
    found = {}
    for path in tree.pictures if texts else ():
        parts = list(path.with_suffix(".txt").parts)
        beside = "/".join(parts).lower()
        for place in [place for place, part in enumerate(parts[:-1]) if part.lower() == "images"][-1:]:
            parts[place] = "labels"
        name = texts.get("/".join(parts).lower()) or texts.get(beside)
        if name is not None:
            found[str(path)] = name
    return found


def _face(line: str, names: list[str]) -> tuple[str, FaceBox] | None:
    cells = line.split()
    try:
        number, values = int(cells[0]), [float(cell) for cell in cells[1:]]
    except ValueError:
        return None
    if not 0 <= number < len(names) or len(values) < _BOX_CELLS - 1 or not all(-1 <= value <= 2 for value in values):
        return None
    if len(values) <= _BOX_CELLS:  # a sixth cell is a confidence
        x, y, width, height = values[:4]
        return names[number], FaceBox(x - width / 2, y - height / 2, width, height, in_parts=True)
    across, down = values[::2], values[1::2]
    return names[number], FaceBox(
        min(across), min(down), max(across) - min(across), max(down) - min(down), in_parts=True
    )
