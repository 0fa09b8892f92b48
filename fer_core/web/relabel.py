"""Faces that are kept for the next retraining: <label>/<name>.png in the inbox, each under one label.

A training image of a data set is kept as it is in its source, so that a training knows it again and takes it in the
place of the original. Test and validation images keep their labels: scores could not be compared with earlier ones.
"""

from pathlib import Path

import cv2
import numpy as np

from fer_core.data.cache import content_hash
from fer_core.data.face_picture import UnreadablePictureError, gray
from fer_core.data.sources import open_source
from fer_core.errors import ConfigError, DatasetError, did_you_mean, printable
from fer_core.paths import Paths
from fer_core.store.files import write_atomically
from fer_core.web.answers import RelabelRequest
from fer_core.web.data_detail import Look
from fer_core.web.data_sets import OpenedData

_CHANGED = "Read the data set again, and choose them again."


def keep(inbox: Path, label: str, name: str, png: bytes) -> Path:
    """Writes a face into the inbox, and takes it away from under any other label."""
    path = inbox / label / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, png)
    take_back(inbox, name, but=label)
    return path


def take_back(inbox: Path, name: str, *, but: str = "") -> int:
    """Removes a face from under all labels, `but` one; returns from under how many."""
    found = [path for path in inbox.glob(f"[!.]*/{name}") if path.parent.name != but]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def relabel(look: Look, asked: RelabelRequest, paths: Paths) -> dict[str, int]:
    """Keeps training images under another label, or takes that back where it is their own; returns how many.

    Raises:
        ConfigError: there is no such label or image, or it is no training image. DatasetError: the data has changed.
    """
    opened, contents = look.opened, look.contents
    if asked.mark != opened.mark:
        raise DatasetError(f"{opened.choice.name} has changed since the page was made.", hint=_CHANGED)
    if asked.label and asked.label not in contents.labels:
        hint = did_you_mean(asked.label, contents.labels)
        raise ConfigError(f"The data has no class {asked.label[:60]!r}.", hint=hint)
    suggested = {} if asked.label else look.suggestions()
    wanted: dict[int, str] = {}
    for position in asked.images:
        if not 0 <= position < len(contents) or not look.trains(position):
            raise ConfigError("Only training images can be relabelled.", hint="Test images keep their labels.")
        label = asked.label or suggested.get(position)
        if label is None:
            raise ConfigError("Nothing suggests a label for one of them.", hint="Choose one.")
        wanted[position] = label
    own = [position for position, label in wanted.items() if label == contents.label(position)]
    others = [position for position in wanted if position not in own]
    taken_back = sum(bool(take_back(paths.inbox, _file_name(look, position))) for position in own)
    for position, face_gray in original_faces(opened, others, paths).items():
        png = cv2.imencode(".png", face_gray)[1].tobytes()
        keep(paths.inbox, wanted[position], _file_name(look, position), png)
    return {"kept": len(others), "taken_back": taken_back}


def original_faces(opened: OpenedData, positions: list[int], paths: Paths) -> dict[int, np.ndarray]:
    """Returns the faces as they are in the source, in gray: uint8 (height, width).

    Those that are as large there as in the cache are taken from it. Raises DatasetError: one is not there any more.
    """
    hashes = opened.contents.hashes
    cached = zip(positions, opened.pixels(np.array(positions, np.int64)), strict=True)
    faces = {position: face for position, face in cached if content_hash(face) == hashes[position]}
    wanted = {opened.contents.names[position]: position for position in positions if position not in faces}
    if wanted:
        source = open_source(opened.choice.data, opened.choice.config(), paths)
        with source.open() as listing:
            for picture in listing.pictures:
                position = wanted.get(printable(picture.name, kept=""))
                if position is None:
                    continue
                try:
                    face = np.ascontiguousarray(gray(picture.read()))
                except UnreadablePictureError:
                    continue
                if content_hash(face) == hashes[position]:
                    faces[position] = face
                if len(faces) == len(positions):
                    break
    if len(faces) < len(positions):
        missing = len(positions) - len(faces)
        raise DatasetError(f"{missing:,} of these images are not in {opened.choice.name} any more.", hint=_CHANGED)
    return faces


def _file_name(look: Look, position: int) -> str:
    return f"{look.contents.hashes[position]:016x}.png"
