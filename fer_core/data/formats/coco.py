"""COCO: a JSON file with images, categories, and annotations that have a box [left, top, width, height] in pixels."""

import json
from pathlib import PurePosixPath
from typing import Any

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.folder_names import split_in
from fer_core.data.tree import MOST_LABEL_BYTES, FaceBox, Found, Placed, Tree, faces_of
from fer_core.errors import DatasetError
from fer_core.labels import normalized
from fer_core.resources import memory_bytes

_MARKS = (b'"annotations"', b'"categories"', b'"images"', b'"licenses"')
_KEYS = {"annotations", "categories", "images"}
_BOX_VALUES = 4
_GROWS = 64
"""So much memory JSON may take, by its bytes, and leave half of it."""


def recognise(tree: Tree) -> Found | None:
    """Returns the faces with their boxes."""
    files = [name for name, start in tree.beginnings.items() if start.lstrip()[:1] == b"{" and _is_marked(start, name)]
    if not files or not tree.pictures:
        return None
    placed: list[Placed] = []
    annotations = 0
    for name, content in tree.read(files, min(MOST_LABEL_BYTES, memory_bytes() // _GROWS)).items():
        try:
            found = json.loads(content)
            if not found.keys() >= _KEYS:  # Kaggle's dataset-metadata.json, for one
                continue
            placed += _faces(tree, PurePosixPath(name), found)
            annotations += len(found["annotations"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise DatasetError(
                f"{tree.source}: {name} is no COCO file: {type(error).__name__}: {error}.", hint="Export it again."
            ) from None
    missing = annotations - len(placed)
    notes = [f"Annotations without a box, or a picture that is there: {missing:,}."] if missing else []
    return Found("COCO with boxes", placed, rest="as no face is marked in them", notes=notes)


def _is_marked(start: bytes, name: str) -> bool:
    return name.lower().endswith(".json") and (any(mark in start for mark in _MARKS) or "coco" in name.lower())


def _faces(tree: Tree, file: PurePosixPath, content: dict[str, Any]) -> list[Placed]:
    labels = {one["id"]: normalized(str(one["name"])) for one in content["categories"]}
    paths = {one["id"]: _path(tree, file, str(one["file_name"])) for one in content["images"]}
    faces: dict[str, list[tuple[str, FaceBox]]] = {}
    for one in content["annotations"]:
        path, box = paths.get(one["image_id"]), [float(value) for value in one.get("bbox") or ()]
        if path is not None and len(box) == _BOX_VALUES:
            faces.setdefault(path, []).append((labels[one["category_id"]], FaceBox(*box)))
    parts = {path: tree.split_around(path) or split_in(file.stem) or ALL_IMAGES for path in faces}
    return [placed for path, found in faces.items() for placed in faces_of(path, parts[path], found)]


def _path(tree: Tree, file: PurePosixPath, name: str) -> str | None:
    """Returns the picture beside the file, or the only one that ends so."""
    name = name.replace("\\", "/")
    beside = str(file.parent / name)
    if beside in tree.picture_names:
        return beside
    found = tree.pictures_called(PurePosixPath(name).name)
    split = split_in(file.stem)
    of_split = [path for path in found if split and split == tree.split_around(path)]
    found = of_split or found
    return str(found[0]) if len(found) == 1 else None
