"""Which split and which emotion a picture belongs to, from the folders that it lies in.

Both layouts that people download: train/<emotion>/… with test/ and perhaps val/, or <emotion>/… alone; in any letter
case, with folders around the whole ("archive/fer2013/train/…") and with others beside it ("docs/screenshot.png").
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fer_core.data.dataset_folder import Found, find_data_set
from fer_core.data.folder_names import (
    OTHER_PICTURE_SUFFIXES,
    PICTURES_READ,
    is_emotion,
    is_fer2013_csv,
    is_hidden,
    is_picture,
    label_of,
    split_of,
)
from fer_core.data.listing import ALL_IMAGES
from fer_core.data.no_emotions import Read, check_emotions
from fer_core.errors import DatasetError

_LAYOUT_HINT = (
    "Expected are train/<emotion>/… and test/<emotion>/…, or <emotion>/… alone, with JPEG, PNG, BMP or WebP pictures."
)
_FEW = 3
_OTHER_SOURCES = (".csv", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class Placed:
    """A picture's name in its source, and what its folders say."""

    name: str
    part: str
    label: str


def fer_csv_among(names: Iterable[str]) -> tuple[str | None, tuple[str, ...]]:
    """Returns the name of a fer2013.csv among the files, if no folder of a split or emotion has pictures, and notes."""
    paths = [PurePosixPath(name) for name in sorted(names) if not is_hidden(name)]
    tables = [path for path in paths if is_fer2013_csv(path.name)]
    pictures = [path for path in paths if is_picture(path.name)]
    if not tables or any(split_of(part) or is_emotion(part) for path in pictures for part in path.parts[:-1]):
        return None, ()
    counts = Counter(str(path.parent) for path in pictures)
    notes = (
        f"Left out, as beside {tables[0].name}: {count:,} in {'the top folder' if folder == '.' else folder}."
        for folder, count in sorted(counts.items())
    )
    return str(tables[0]), tuple(notes)


def place(
    names: Sequence[str], folders: Iterable[str], *, source: str, read: Read = lambda name: b""
) -> tuple[list[Placed], tuple[str, ...]]:
    """Returns where each picture belongs, sorted by split, emotion and name, and notes on what was left out.

    Args:
        names: of files, relative to the source, with / between folders.
        folders: the folders, in the same form; needed to see the empty ones.
        source: for messages.
        read: returns how a file begins; only asked of what may be a list of labels.

    Raises:
        DatasetError: no pictures, no class folders, an empty one, several data sets, or folders that are no emotions.
    """
    names = [name for name in names if not is_hidden(name)]
    pictures = [PurePosixPath(name) for name in names if is_picture(name)]
    others = sorted(name for name in names if not is_picture(name))
    if not pictures:
        raise DatasetError(f"{source} holds no pictures{_but(others)}.", hint=_hint_for(others))
    found = find_data_set(pictures, source)
    empty = _empty(found, names, [name for name in folders if not is_hidden(name)])
    _refuse_empty(empty, others, source)
    guess = check_emotions(found.pictures, others, source=source, read=read)
    placed = [
        Placed(str(one.path), one.split if found.has_splits else ALL_IMAGES, label_of(one.folder, source))
        for one in found.pictures
    ]
    placed.sort(key=lambda picture: (picture.part, picture.label, picture.name))
    inside = {picture.name for picture in placed}
    outside = [path for path in pictures if str(path) not in inside]
    return placed, (*guess, *_outside(found, outside), *_not_read(others))


def _empty(found: Found, names: Sequence[str], folders: Sequence[str]) -> list[str]:
    """Returns the folders that should be splits or classes and have no pictures, as paths in the source."""
    depth = len(found.root)
    filled = {path.parts[:levels] for path in map(PurePosixPath, names) for levels in range(len(path.parts))}
    with_pictures = {one.path.parts[:levels] for one in found.pictures for levels in range(len(one.path.parts))}
    empty = []
    for name in sorted(folders):
        parts = PurePosixPath(name).parts
        if parts[:depth] != found.root or parts in with_pictures:
            continue
        is_class = len(parts) == depth + 1
        if found.has_splits:
            is_class = len(parts) in (depth + 1, depth + 2) and split_of(parts[depth]) is not None
        # A folder of something else is no class: docs/README.md, annotations/1.npy.
        if is_class and (is_emotion(parts[-1]) or parts not in filled):
            empty.append(name)
    return empty


def _refuse_empty(empty: Sequence[str], others: Sequence[str], source: str) -> None:
    if empty:
        but = _but([name for name in others if name.startswith(f"{empty[0]}/")])
        raise DatasetError(
            f"{source}: the folder {empty[0]} holds no pictures{but}"
            + (f" (and {len(empty) - 1} more such folders)." if len(empty) > 1 else "."),
            hint="Put pictures in it, or remove the folder.",
        )


def _outside(found: Found, outside: Sequence[PurePosixPath]) -> list[str]:
    depth = len(found.root)
    notes: Counter[tuple[str, str]] = Counter()
    for path in outside:
        parts = path.parts[:-1]
        is_inside = parts[:depth] == found.root and len(parts) > depth and found.has_splits and split_of(parts[depth])
        folder = "/".join(parts[: depth + 1] if parts[:depth] == found.root else parts[:1])
        notes["as in no class folder" if is_inside else _beside(found), folder or "the top folder"] += 1
    return [f"Left out, {reason}: {count:,} in {folder}." for (reason, folder), count in sorted(notes.items())]


def _beside(found: Found) -> str:
    if not found.has_splits:
        return "as beside the classes"
    splits = {one.path.parts[len(found.root)] for one in found.pictures}
    return f"as beside {' and '.join(sorted(splits))}"


def _not_read(others: Sequence[str]) -> list[str]:
    unread = [name for name in others if name.lower().endswith(OTHER_PICTURE_SUFFIXES)]
    return [f"Left out, as only {PICTURES_READ} are read: {_kinds(unread)}."] if unread else []


def _but(others: Sequence[str]) -> str:
    """Returns what there is instead of pictures: a few files by name, many by their suffixes."""
    names = [PurePosixPath(name).name for name in others]
    if not names:
        return ""
    return f", but {' and '.join(names) if len(names) < _FEW else _kinds(names)} (read are {PICTURES_READ})"


def _hint_for(others: Sequence[str]) -> str:
    if any(name.lower().endswith(_OTHER_SOURCES) for name in others):
        return "To read a table or an archive in it, give that file itself as --data (unpacked, if it lies in another)."
    return _LAYOUT_HINT


def _kinds(names: Sequence[str]) -> str:
    counts = Counter(PurePosixPath(name).suffix.lower() for name in names)
    kinds = [f"{count:,} {suffix or 'without a suffix'}" for suffix, count in counts.most_common(_FEW)]
    return ", ".join(kinds) + (" and others" if len(counts) > _FEW else "")
