"""Which split and which emotion a picture belongs to, from the folders that it lies in.

Both layouts that people download: train/<emotion>/… with test/ and perhaps val/, or <emotion>/… alone; in any letter
case, with folders around the whole ("archive/fer2013/train/…") and with others beside it ("docs/screenshot.png").
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fer_core.data.contents import ALL_IMAGES
from fer_core.data.folder_names import (
    OTHER_PICTURE_SUFFIXES,
    PICTURES_READ,
    InClass,
    Read,
    check_emotions,
    is_emotion,
    is_fer2013_csv,
    is_hidden,
    is_picture,
    label_of,
    split_of,
)
from fer_core.errors import DatasetError

_LAYOUT_HINT = (
    "Expected are train/<emotion>/… and test/<emotion>/…, or <emotion>/… alone, with JPEG, PNG, BMP or WebP pictures."
)
_FEW = 3
_OTHER_SOURCES = (".csv", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_STRAY_PICTURES, _PICTURES_OF_A_CLASS = 2, 10
"""A folder of so few pictures is no class where at least two others have so many."""
_BESIDE = {
    *("doc", "docs", "result", "results", "plots", "figures", "samples", "sample images", "screenshots"),
    *("assets", "demo", "examples"),
}

Folder = tuple[str, ...]


@dataclass(frozen=True)
class Placed:
    """A picture's name in its source, and what its folders say."""

    name: str
    part: str
    label: str


@dataclass(frozen=True)
class Found:
    """The data set's own folder, whether its folders are splits, and its pictures."""

    root: Folder
    has_splits: bool
    pictures: list[InClass]


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
    found = _find_data_set(pictures, source)
    _refuse_empty(found, names, [name for name in folders if not is_hidden(name)], others, source=source)
    guess = check_emotions(found.pictures, others, source=source, read=read)
    placed = [
        Placed(str(one.path), one.split if found.has_splits else ALL_IMAGES, label_of(one.folder, source))
        for one in found.pictures
    ]
    placed.sort(key=lambda picture: (picture.part, picture.label, picture.name))
    inside = {picture.name for picture in placed}
    outside = [path for path in pictures if str(path) not in inside]
    return placed, (*guess, *_outside(found, outside), *_not_read(others))


def _find_data_set(pictures: Sequence[PurePosixPath], source: str) -> Found:
    """Returns the data set. Raises DatasetError where there are several, or no class folders."""
    root = _split_root(pictures, source)
    if root is not None:
        inside = [_in_split(path, len(root)) for path in pictures if path.parts[: len(root)] == root]
        return Found(root, True, [picture for picture in inside if picture is not None])
    counts = Counter(path.parts[:-1] for path in pictures if len(path.parts) > 1)
    stray = _stray(counts)
    folders = [folder for folder in counts if folder not in stray]
    if not folders:
        raise DatasetError(
            f"{source} has pictures but no class folders.", hint="Expected are <emotion>/… or train/<emotion>/…."
        )
    root = _class_root(folders, source)
    kept = {folder for folder in folders if folder[: len(root)] == root and len(folder) > len(root)}
    return Found(root, False, [InClass(path, len(root)) for path in pictures if path.parts[:-1] in kept])


def _split_root(pictures: Sequence[PurePosixPath], source: str) -> Folder | None:
    """Returns the folder that holds folders of splits with class folders in them, or None."""
    splits: defaultdict[Folder, set[str]] = defaultdict(set)
    for path in pictures:
        for level in range(len(path.parts) - 2):
            split = split_of(path.parts[level])
            if split and not split_of(path.parts[level + 1]):
                root = path.parts[:level]
                while root and split_of(root[-1]) == split:  # some archives repeat the split: train/train/sad
                    root = root[:-1]
                splits[root].add(split)
                break
    trained = [root for root, names in splits.items() if "train" in names]
    in_folders = (path.parts for path in pictures if len(path.parts) > 1)
    if not trained and any(all(parts[:level] not in splits for level in range(len(parts))) for parts in in_folders):
        return None  # docs/test/1/a.png beside a data set
    return _only(trained or splits, pictures, source)


def _in_split(path: PurePosixPath, place: int) -> InClass | None:
    split = split_of(path.parts[place])
    while split and len(path.parts) > place + 1 and split_of(path.parts[place]) == split:
        place += 1
    return InClass(path, place) if split and len(path.parts) > place + 1 else None


def _class_root(folders: Sequence[Folder], source: str) -> Folder:
    """Returns the folder whose folders are the classes: by the names of emotions, else by where the pictures lie."""
    children: defaultdict[Folder, set[str]] = defaultdict(set)
    siblings: defaultdict[Folder, set[str]] = defaultdict(set)
    for folder in folders:
        siblings[folder[:-1]].add(folder[-1])
        for level, name in enumerate(folder):
            children[folder[:level]].add(name)
    known = [root for root, names in children.items() if sum(map(is_emotion, names)) > 1]
    found = _only(known or [root for root, names in siblings.items() if len(names) > 1], (), source)
    if found is not None:
        return found
    first, last = min(folders), max(folders)  # the folder around all of them
    depth = 0
    while depth < min(len(first), len(last)) - 1 and first[depth] == last[depth]:
        depth += 1
    return first[:depth]


def _stray(counts: Counter[Folder]) -> set[Folder]:
    """Returns the folders beside the data set: a screenshot in docs/ makes no class of it."""
    has_classes = sum(count >= _PICTURES_OF_A_CLASS for count in counts.values()) > 1
    unknown = {folder: count for folder, count in counts.items() if not any(map(is_emotion, folder))}
    knows_emotions = len(unknown) < len(counts)
    return {
        folder
        for folder, count in unknown.items()
        if (has_classes and count <= _STRAY_PICTURES) or (knows_emotions and folder[-1].lower() in _BESIDE)
    }


def _only(roots: Collection[Folder], pictures: Sequence[PurePosixPath], source: str) -> Folder | None:
    """Returns the one folder that lies in no other of them, None of none. Raises DatasetError of several."""
    others = set(roots)
    tops = sorted(root for root in others if not any(root[:level] in others for level in range(len(root))))
    if len(tops) > 1:
        with_emotions = {
            top
            for top in tops
            for path in pictures
            if path.parts[: len(top)] == top and any(map(is_emotion, path.parts[len(top) : -1]))
        }
        tops = sorted(with_emotions) or tops
    if len(tops) > 1:
        shown = ", ".join("/".join(top) or "." for top in tops[:_FEW]) + (", …" if len(tops) > _FEW else "")
        raise DatasetError(
            f"{source} could be {len(tops):,} data sets, each with folders of its own: {shown}.",
            hint="Give one of them, or arrange the pictures as train/<emotion>/… and test/<emotion>/….",
        )
    return tops[0] if tops else None


def _refuse_empty(
    found: Found, names: Sequence[str], folders: Sequence[str], others: Sequence[str], *, source: str
) -> None:
    """Refuses folders that should be splits or classes and have no pictures."""
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
    if empty:
        but = _but([name for name in others if name.startswith(f"{empty[0]}/")])
        more = f" (and {len(empty) - 1} more such folders)" if len(empty) > 1 else ""
        raise DatasetError(
            f"{source}: the folder {empty[0]} holds no pictures{but}{more}.",
            hint="Put pictures in it, or remove the folder.",
        )


def _outside(found: Found, outside: Sequence[PurePosixPath]) -> list[str]:
    depth = len(found.root)
    splits = " and ".join(sorted({one.path.parts[depth] for one in found.pictures}))
    beside = f"as beside {splits if found.has_splits else 'the classes'}"
    notes: Counter[tuple[str, str]] = Counter()
    for path in outside:
        parts = path.parts[:-1]
        is_inside = parts[:depth] == found.root and len(parts) > depth and found.has_splits and split_of(parts[depth])
        folder = "/".join(parts[: depth + 1] if parts[:depth] == found.root else parts[:1])
        notes["as in no class folder" if is_inside else beside, folder or "the top folder"] += 1
    return [f"Left out, {reason}: {count:,} in {folder}." for (reason, folder), count in sorted(notes.items())]


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
