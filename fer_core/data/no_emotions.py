"""Refuses to take folders for emotions that are none: kinds of pictures, persons, splits, or labels that lie elsewhere.

Classes may have any names ("bored", "frustrated"). Only where none is that of an emotion, it is looked at what else
there is: that lists name the pictures, that file names say emotions, that pictures lie deeper.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath

from fer_core.data.dataset_folder import InClass
from fer_core.data.folder_names import is_emotion, mentions_split, split_of, words_of
from fer_core.errors import DatasetError

TABLE_BYTES_READ = 2**16
MOST_TABLES_READ = 20
"""So many files are looked into, and this far, to see whether they are lists of labels."""

_TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".xml", ".yaml", ".yml")
_LABEL_SUFFIXES = (*_TABLE_SUFFIXES, ".npy", ".npz", ".mat", ".pts")
_KINDS_OF_PICTURES = {
    *("aligned", "original", "originals", "cropped", "crop", "raw", "processed", "gray", "grey", "color", "colour"),
    *("rgb", "image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "face", "faces", "data"),
    *("frame", "frames", "video", "videos", "annotations", "labels"),
}
_CODE_IN_NAME = re.compile(r"(AN|DI|AF|FE|HA|NE|SA|SU)(S|HL|HR|FL|FR)?")
"""How KDEF and others write the emotion into file names: AF01ANS.JPG."""
_EMOTIONS_IN_NAMES = 3
_DIGITS_OF_A_PERSON = 3
"""Classes may be numbers, as of a csv; folders 001 to 118 are persons."""
_HINT = (
    "Arrange the pictures as <emotion>/…, or as train/<emotion>/… and test/<emotion>/…. If these folders are your "
    "classes nonetheless, rename or remove what is named here."
)

Read = Callable[[str], bytes]


def may_be_labels(name: str) -> bool:
    """Returns whether a file could be a list of labels that is worth looking into."""
    return name.lower().endswith(_TABLE_SUFFIXES)


def check_emotions(pictures: Sequence[InClass], others: Sequence[str], *, source: str, read: Read) -> list[str]:
    """Returns a sentence on what is guessed where no class is named after an emotion that is known, else nothing.

    Args:
        others: the files that are no pictures.
        read: returns how a file begins.

    Raises:
        DatasetError: these are no emotions; says by what that was seen.
    """
    classes: dict[str, list[PurePosixPath]] = {}
    for picture in pictures:
        classes.setdefault(picture.folder, []).append(picture.path)
    is_known = any(map(is_emotion, classes))
    if is_known:
        reason = _split_among(classes) or _split_within(pictures)
    elif all(name.isdecimal() and len(name) < _DIGITS_OF_A_PERSON for name in classes):
        reason = _lie_deeper(pictures)
    else:
        reason = (
            _labels_elsewhere([picture.path for picture in pictures], others, read)
            or _said_by_file_names(classes)
            or _splits_in_names(classes)
            or _kinds_of_pictures(classes)
            or _lie_deeper(pictures)
        )
    if reason:
        are = "folder {} is" if len(classes) == 1 else "folders {} are"
        raise DatasetError(
            f"{source}: the {are.format(_listed(classes))} not taken for emotions: {reason}.", hint=_HINT
        )
    return [] if is_known else [_guess(classes)]


def _guess(classes: Mapping[str, object]) -> str:
    labels = {unicodedata.normalize("NFC", name): None for name in classes}
    return f"Guessed: the classes are {_listed(labels)}. None is named after a known emotion."


def _split_among(classes: Mapping[str, object]) -> str:
    name = next(filter(split_of, classes), None)
    return f"{name} is the name of a split and has no class folders in it" if name else ""


def _split_within(pictures: Sequence[InClass]) -> str:
    place = next((one.path.parent for one in pictures if any(map(split_of, one.inner))), None)
    return f"the splits lie inside of them ({place}) and not around them" if place else ""


def _labels_elsewhere(pictures: Sequence[PurePosixPath], others: Sequence[str], read: Read) -> str:
    """Finds a file that is named after a picture in another folder, or a list that names pictures."""
    stems, folders = {path.stem for path in pictures}, {path.parent for path in pictures}
    for name in others:
        path = PurePosixPath(name)
        if path.suffix.lower() in _LABEL_SUFFIXES and path.parent not in folders and _beginnings(path.stem) & stems:
            return f"{name} seems to hold the label of a picture"
    names = {path.name for path in pictures} | {stem for stem in stems if len(stem) > 3 and not stem.isdecimal()}
    for name in [name for name in others if may_be_labels(name)][:MOST_TABLES_READ]:
        if names & set(re.findall(r"[\w.-]+", read(name).decode(errors="replace"))):
            return f"{name} seems to hold the labels, as it names pictures"
    return ""


def _beginnings(stem: str) -> set[str]:
    """Returns the stem itself, and what is left of it without its last parts: "36" of "36_exp"."""
    parts = stem.split("_")
    return {"_".join(parts[:count]) for count in range(1, len(parts) + 1)}


def _said_by_file_names(classes: Mapping[str, Sequence[PurePosixPath]]) -> str:
    for name, paths in classes.items():
        said = {emotion for path in paths for emotion in _emotions_in(path.stem.removeprefix(name))}
        if len(said) >= _EMOTIONS_IN_NAMES:
            return f"the file names in {name} say several emotions ({paths[0].name})"
    return ""


def _emotions_in(stem: str) -> list[str]:
    code = _CODE_IN_NAME.fullmatch(stem)
    return [code[1]] if code else [word for word in words_of(stem) if is_emotion(word)]


def _splits_in_names(classes: Mapping[str, object]) -> str:
    name = next(filter(mentions_split, classes), None)
    return f"{name} is named like a split and has no class folders in it" if name else ""


def _kinds_of_pictures(classes: Mapping[str, object]) -> str:
    are_kinds = all(set(words_of(name)) <= _KINDS_OF_PICTURES for name in classes)
    return "such names say what pictures are, not what they show" if are_kinds else ""


def _lie_deeper(pictures: Sequence[InClass]) -> str:
    deeper = next((one.path.parent for one in pictures if one.inner), None)
    return f"pictures lie in folders inside of them ({deeper})" if deeper else ""


def _listed(classes: Mapping[str, object]) -> str:
    names = sorted(classes)
    if len(names) > 4:
        return f"{', '.join(names[:3])} and {len(names) - 3:,} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
