"""What names of files and folders say: a split, an emotion, a picture, or what a system left behind.

Folders that are no emotions are refused: kinds of pictures, persons, splits, or labels that lie elsewhere. Classes may
have any names ("bored", "frustrated"). Only where none is that of an emotion, it is looked at what else there is: that
lists name the pictures, that file names say emotions, that pictures lie deeper.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import PurePosixPath

from fer_core.data.report import listed
from fer_core.errors import DatasetError, printable
from fer_core.labels import is_emotion, normalized, words_of

_HEIF = (".heic", ".heif")
_HAS_HEIF = find_spec("pillow_heif") is not None
PICTURE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".avif"),
    *(_HEIF if _HAS_HEIF else ()),
)
OTHER_PICTURE_SUFFIXES = (
    *(() if _HAS_HEIF else _HEIF),
    *(".jp2", ".jxl", ".pgm", ".ppm", ".ico", ".svg", ".psd", ".dng", ".cr2", ".nef", ".arw"),
)
"""Of pictures that are not read here: they are counted and named."""
VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".3gp")
"""Counted and named too, where they lie in a data set."""
TABLE_BYTES_READ = 2**16
MOST_TABLES_READ = 20
"""So many files are looked into, and this far, to see whether they are lists of labels."""

_SYSTEM_FOLDERS = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
_FER2013_CSV = re.compile(r"(fer2013|icml_face_data)( ?\(\d+\)|[ _-]copy)?\.csv(\.(gz|bz2|xz))?")
_SPLITS = {
    "train": ("train", "training", "trainset", "trainingset"),
    "validation": (
        *("val", "valid", "validate", "validation", "valset", "validset", "validationset"),
        *("dev", "development", "devset", "eval", "evaluation"),
    ),
    "test": ("test", "testing", "testset"),
    "PublicTest": ("publictest", "testpublic"),
    "PrivateTest": ("privatetest", "testprivate"),
}
_SPLIT_OF = {word: split for split, words in _SPLITS.items() for word in words}
_SAY_NOTHING = {"set", "data", "dataset", "images", "image", "img", "imgs", "pictures", "faces", "split", "fer"}
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".lst", ".names", ".json", ".jsonl", ".xml", ".yaml", ".yml")
_LABEL_SUFFIXES = (*TABLE_SUFFIXES, ".npy", ".npz", ".mat", ".pts")
_LOOKED_INTO = (
    *(*TABLE_SUFFIXES, *OTHER_PICTURE_SUFFIXES, *VIDEO_SUFFIXES),
    *(".npy", ".csv.gz", ".csv.bz2", ".csv.xz", ".parquet"),
)
_KINDS_OF_PICTURES = {
    *("aligned", "origin", "original", "originals", "augmented", "aug", "cropped", "crop", "raw", "processed"),
    *("gray", "grey", "color", "colour"),
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


@dataclass(frozen=True)
class InClass:
    """A picture in a class folder, which stands at `place` in its path."""

    path: PurePosixPath
    place: int
    guessed_split: str | None = None

    @property
    def folder(self) -> str:
        """The class folder's name."""
        return self.path.parts[self.place]

    @property
    def split(self) -> str | None:
        """The split that the folder around the class folder is named after."""
        return self.guessed_split or split_of(self.path.parts[self.place - 1]) if self.place else None

    @property
    def inner(self) -> tuple[str, ...]:
        """The folders inside of the class folder that the picture lies in."""
        return self.path.parts[self.place + 1 : -1]


_PERSONS = (
    re.compile(r"(S\d{2,3})_\d{3}_\d{6,8}(_.*)?"),  # CK+
    re.compile(r"[AB]([FM]\d\d)(?:AN|DI|AF|HA|NE|SA|SU)(?:S|HL|HR|FL|FR)(_.*)?", re.IGNORECASE),  # KDEF
    re.compile(r"([A-Z]{2})[.-](?:AN|DI|FE|HA|NE|SA|SU)\d?[.-]\d+(_.*)?", re.IGNORECASE),  # JAFFE
)


def persons_in(paths: Sequence[PurePosixPath]) -> list[str]:
    """Returns the person in each picture by its name, as CK+, KDEF and JAFFE name them; nothing where one says none."""
    for pattern in _PERSONS:
        found = [pattern.fullmatch(path.stem) for path in paths]
        if paths and all(found):
            return [match[1].upper() for match in found]
    return []


def is_picture(name: str) -> bool:
    """Returns whether the file name ends like that of a picture that can be read."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def lacks_suffix(name: str) -> bool:
    """Returns whether only its content can say what a file is."""
    start, _, end = name.rpartition("/")[2].rpartition(".")
    return not (start and end)


def is_hidden(name: str) -> bool:
    """Returns whether the path runs through something hidden, or through what systems and file servers leave behind."""
    return any(part.startswith(".") or part.lower() in _SYSTEM_FOLDERS for part in name.split("/"))


def is_fer2013_csv(name: str) -> bool:
    """Returns whether a file (without its folders) is named like fer2013.csv, also like a browser's second copy."""
    return _FER2013_CSV.fullmatch(name.lower()) is not None


def is_looked_into(name: str) -> bool:
    """Returns whether more than the name of a file counts for a data set: a picture, labels, a table of pixels."""
    return is_picture(name) or lacks_suffix(name) or name.lower().endswith(_LOOKED_INTO)


@lru_cache(maxsize=1024)  # asked of every picture
def split_of(folder: str) -> str | None:
    """Returns the split that a folder is named after ("train_set", "valid", "Testing"), or None."""
    return _SPLIT_OF.get(
        "".join(word for word in words_of(folder) if word not in _SAY_NOTHING and not word.isdecimal())
    )


def says_a_kind(folder: str) -> bool:
    """Returns whether a folder's name says what kind of pictures it holds ("aligned", "augmented") and nothing else."""
    words = {word for word in words_of(folder) if not word.isdecimal()}
    return bool(words) and words <= _KINDS_OF_PICTURES


def split_in(file: str) -> str | None:
    """Returns the split that a file's name has a word for ("train_labels", "instances_val2017"), if just one."""
    found = {_SPLIT_OF[word] for word in words_of(file) if word in _SPLIT_OF}
    return split_of(file) or (found.pop() if len(found) == 1 else None)


def label_of(folder: str, source: str) -> str:
    """Returns the label that a folder's name stands for: lower case, and composed, so that ö is the same everywhere.

    Raises DatasetError where the name has control characters or bytes that are no UTF-8: they would end in every table,
    plot and model file.
    """
    if printable(folder, kept="") != folder:
        raise DatasetError(
            f"{source}: the name of the folder {folder!a} has control characters, or bytes that are no UTF-8.",
            hint="Rename it.",
        )
    return normalized(folder)


def check_emotions(
    pictures: Sequence[InClass], others: Sequence[str], *, source: str, beginnings: Mapping[str, bytes]
) -> None:
    """Raises DatasetError where these folders are no emotions; says by what that was seen.

    Args:
        others: the files that are no pictures.
        beginnings: how some of them begin that may be lists of labels.
    """
    classes: dict[str, list[PurePosixPath]] = {}
    for picture in pictures:
        classes.setdefault(picture.folder, []).append(picture.path)
    is_known = any(map(is_emotion, classes))
    if is_known:
        reasons = _of_splits(pictures, classes)
    elif all(name.isdecimal() and len(name) < _DIGITS_OF_A_PERSON for name in classes):
        reasons = _of_deeper_pictures(pictures)
    else:
        reasons = _of_unknown_classes(pictures, classes, others, beginnings)
    reason = next(reasons, None)
    if reason:
        are = "folder {} is" if len(classes) == 1 else "folders {} are"
        raise DatasetError(f"{source}: the {are.format(listed(classes))} not taken for emotions: {reason}.", hint=_HINT)


def _of_splits(pictures: Sequence[InClass], classes: Mapping[str, object]) -> Iterator[str]:
    for name in filter(split_of, classes):
        yield f"{name} is the name of a split and has no class folders in it"
    for one in pictures:
        if any(map(split_of, one.inner)):
            yield f"the splits lie inside of them ({one.path.parent}) and not around them"
    for name in classes:
        if is_emotion(name) and any(word in _SPLIT_OF for word in words_of(name)):
            yield f"{name} names a split and an emotion"


def _of_deeper_pictures(pictures: Sequence[InClass]) -> Iterator[str]:
    return (f"pictures lie in folders inside of them ({one.path.parent})" for one in pictures if one.inner)


def _of_unknown_classes(
    pictures: Sequence[InClass],
    classes: Mapping[str, Sequence[PurePosixPath]],
    others: Sequence[str],
    beginnings: Mapping[str, bytes],
) -> Iterator[str]:
    yield from _of_labels_elsewhere([picture.path for picture in pictures], others, beginnings)
    for name, paths in classes.items():
        if len({said for path in paths for said in _emotions_in(path.stem.removeprefix(name))}) >= _EMOTIONS_IN_NAMES:
            yield f"the file names in {name} say several emotions ({paths[0].name})"
    for name in classes:
        if any(word in _SPLIT_OF for word in words_of(name)):
            yield f"{name} is named like a split and has no class folders in it"
    if all(map(says_a_kind, classes)):
        may_be = f"; {listed(beginnings)} may hold the labels, but in no form that is known here" if beginnings else ""
        yield f"such names say what pictures are, not what they show{may_be}"
    yield from _of_deeper_pictures(pictures)


def _of_labels_elsewhere(
    pictures: Sequence[PurePosixPath], others: Sequence[str], beginnings: Mapping[str, bytes]
) -> Iterator[str]:
    """Finds a file that is named after a picture in another folder, or a list that names pictures."""
    stems, folders = {path.stem for path in pictures}, {path.parent for path in pictures}
    for path in map(PurePosixPath, others):
        if path.suffix.lower() in _LABEL_SUFFIXES and path.parent not in folders and _beginnings(path.stem) & stems:
            yield f"{path} seems to hold the label of a picture"
    names = {path.name for path in pictures} | {stem for stem in stems if len(stem) > 3 and not stem.isdecimal()}
    for name, start in beginnings.items():
        if names & set(re.findall(r"[\w.-]+", start.decode(errors="replace"))):
            yield f"{name} seems to hold the labels, as it names pictures"


def _beginnings(stem: str) -> set[str]:
    """Returns the stem itself, and what is left of it without its last parts: "36" of "36_exp"."""
    parts = stem.split("_")
    return {"_".join(parts[:count]) for count in range(1, len(parts) + 1)}


def _emotions_in(stem: str) -> list[str]:
    code = _CODE_IN_NAME.fullmatch(stem)
    return [code[1]] if code else [word for word in words_of(stem) if is_emotion(word)]
