"""Which split and which emotion a picture belongs to, from the folders that it lies in. Works on names alone.

Both layouts that people download: train/<emotion>/… with test/ and perhaps val/, or <emotion>/… alone; in any letter
case, and also with folders around the whole ("archive/fer2013/train/…").
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fer_core.data.listing import ALL_IMAGES
from fer_core.errors import DatasetError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
PART_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "validation": "validation",
    "test": "test",
    "publictest": "PublicTest",
    "privatetest": "PrivateTest",
}

_LAYOUT_HINT = (
    "Expected are train/<emotion>/… and test/<emotion>/…, or <emotion>/… alone, with JPEG, PNG, BMP or WebP pictures."
)


@dataclass(frozen=True)
class Placed:
    """A picture's name in its source, and what its folders say."""

    name: str
    part: str
    label: str


def is_picture(name: str) -> bool:
    """Returns whether the file name ends like a picture's."""
    return name.lower().endswith(PICTURE_SUFFIXES)


def is_hidden(name: str) -> bool:
    """Returns whether the path runs through something hidden, or through what macOS adds to archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def fer_csv_among(names: Iterable[str]) -> str | None:
    """Returns the name of a fer2013.csv among the files, where no folder with pictures is among them."""
    names = sorted(name for name in names if not is_hidden(name))
    if any(is_picture(name) and "/" in name for name in names):
        return None
    tables = [name for name in names if PurePosixPath(name).name.lower() in CSV_NAMES]
    return tables[0] if tables else None


def place(names: Sequence[str], folders: Iterable[str], *, source: str) -> tuple[list[Placed], tuple[str, ...]]:
    """Returns where each picture belongs, sorted by split, emotion and name, and notes on what was left out.

    Args:
        names: of files, relative to the source, with / between folders.
        folders: the folders, in the same form; needed to see the empty ones.
        source: for messages.

    Raises:
        DatasetError: no pictures, no class folders, or an empty one.
    """
    pictures = [PurePosixPath(name) for name in names if is_picture(name) and not is_hidden(name)]
    if not pictures:
        raise DatasetError(f"{source} holds no pictures.", hint=_LAYOUT_HINT)
    depth = _depth_of_wrapping(pictures)
    around = pictures[0].parts[:depth]
    all_folders = [PurePosixPath(name).parts for name in folders if not is_hidden(name)]
    inner_folders = [parts[depth:] for parts in all_folders if parts[:depth] == around]
    if any(len(path.parts) > depth + 2 and path.parts[depth].lower() in PART_FOLDERS for path in pictures):
        return _parts_of_classes(pictures, inner_folders, depth=depth, source=source)
    return _classes(pictures, inner_folders, depth=depth, source=source)


def _depth_of_wrapping(pictures: list[PurePosixPath]) -> int:
    """Returns how many folders are around the whole. One with pictures directly in it is a class, not a wrapping."""
    depth = 0
    while len({path.parts[depth] for path in pictures}) == 1 and all(len(path.parts) > depth + 2 for path in pictures):
        here, below = (pictures[0].parts[level].lower() in PART_FOLDERS for level in (depth, depth + 1))
        if here and not below:
            break
        depth += 1
    return depth


def _parts_of_classes(
    pictures: list[PurePosixPath], folders: list[tuple[str, ...]], *, depth: int, source: str
) -> tuple[list[Placed], tuple[str, ...]]:
    in_parts = [path for path in pictures if path.parts[depth].lower() in PART_FOLDERS]
    placed = [
        Placed(str(path), PART_FOLDERS[path.parts[depth].lower()], _label(path.parts[depth + 1]))
        for path in in_parts
        if len(path.parts) > depth + 2
    ]
    needed = [parts for parts in folders if len(parts) in (1, 2) and parts[0].lower() in PART_FOLDERS]
    filled = {path.parts[depth : depth + levels] for path in in_parts for levels in (1, 2)}
    _refuse_empty(needed, filled, source)
    return _sorted(placed), _left_out(pictures, placed, depth)


def _classes(
    pictures: list[PurePosixPath], folders: list[tuple[str, ...]], *, depth: int, source: str
) -> tuple[list[Placed], tuple[str, ...]]:
    in_classes = [path for path in pictures if len(path.parts) > depth + 1]
    if not in_classes:
        raise DatasetError(f"{source} has pictures but no class folders.", hint=_LAYOUT_HINT)
    filled = {path.parts[depth : depth + 1] for path in in_classes}
    _refuse_empty([parts for parts in folders if len(parts) == 1], filled, source)
    placed = [Placed(str(path), ALL_IMAGES, _label(path.parts[depth])) for path in in_classes]
    return _sorted(placed), _left_out(pictures, placed, depth)


def _label(folder: str) -> str:
    return folder.strip().lower()


def _sorted(placed: list[Placed]) -> list[Placed]:
    return sorted(placed, key=lambda picture: (picture.part, picture.label, picture.name))


def _refuse_empty(needed: list[tuple[str, ...]], filled: set[tuple[str, ...]], source: str) -> None:
    empty = sorted("/".join(parts) for parts in needed if parts not in filled)
    if empty:
        raise DatasetError(
            f"{source}: the folder {empty[0]} holds no pictures"
            + (f" (and {len(empty) - 1} more such folders)." if len(empty) > 1 else "."),
            hint="Put pictures in it, or remove the folder.",
        )


def _left_out(pictures: list[PurePosixPath], placed: list[Placed], depth: int) -> tuple[str, ...]:
    kept = {picture.name for picture in placed}
    places = Counter("/".join(path.parts[:-1][: depth + 1]) for path in pictures if str(path) not in kept)
    return tuple(
        f"Left out, as in no class folder: {count:,} in {folder or 'the top folder'}."
        for folder, count in sorted(places.items())
    )
