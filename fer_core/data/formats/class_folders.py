"""Class folders: which split and which emotion a picture belongs to follows from the folders that it lies in.

Both layouts that people download: train/<emotion>/… with test/ and perhaps val/, or <emotion>/… alone; in any letter
case, with folders around the whole ("archive/fer2013/train/…") and with others beside it ("docs/screenshot.png").
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fer_core.data import folder_names
from fer_core.data.contents import ALL_IMAGES
from fer_core.data.folder_names import InClass, split_of
from fer_core.data.picture_header import PICTURES_READ
from fer_core.data.report import TOP, common_folder, folder_in, listed
from fer_core.data.tree import Found, Placed, Tree
from fer_core.errors import DatasetError
from fer_core.labels import is_emotion

_LAYOUT_HINT = "Expected are train/<emotion>/… and test/<emotion>/…, or <emotion>/… alone, with pictures."
_FEW = 3
_OTHER_SOURCES = (".csv", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")
_STRAY_PICTURES, _PICTURES_OF_A_CLASS = 2, 10
"""A folder of so few pictures is no class where at least two others have so many."""
_BESIDE = {
    *("doc", "docs", "result", "results", "plots", "figures", "samples", "sample images", "screenshots"),
    *("assets", "demo", "examples"),
}

_AROUND_CLASSES = {"images", "image", "imgs", "img", "pictures", "faces", "data"}
"""Folders in that of a split that say nothing: train/images/happy."""

Folder = tuple[str, ...]


@dataclass(frozen=True)
class DataSet:
    """The data set's own folder, whether its folders are splits, and its pictures."""

    root: Folder
    has_splits: bool
    pictures: list[InClass]
    note: str = ""


def recognise(tree: Tree) -> Found:
    """Returns where each picture belongs by the folders it lies in, and what was left out.

    Raises:
        DatasetError: no pictures, no class folders, an empty one, several data sets, or folders that are no emotions.
    """
    if not tree.pictures:
        raise DatasetError(f"{tree.source} holds no pictures{_but(tree.others)}.", hint=_hint_for(tree.others))
    found = _find_data_set(tree.pictures, tree.source)
    notes = [*filter(None, (found.note,)), *_empty_folders(found, tree)]
    folder_names.check_emotions(found.pictures, tree.others, source=tree.source, beginnings=tree.beginnings)
    paths = [one.path for one in found.pictures]
    placed = []
    for one, who in zip(found.pictures, folder_names.persons_in(paths) or [""] * len(paths), strict=True):
        part = one.split if found.has_splits else ALL_IMAGES
        placed.append(Placed(str(one.path), part, folder_names.label_of(one.folder, tree.source), person=who))
    used = set(paths)
    outside = _reasons(found, [path for path in tree.pictures if path not in used])
    return Found("class folders", placed, left_out=outside, root=found.root, notes=notes, is_usual=True)


def _find_data_set(pictures: Sequence[PurePosixPath], source: str) -> DataSet:
    """Returns the data set. Raises DatasetError where there are several, or no class folders."""
    root = _split_root(pictures, source)
    if root is not None:
        below = [path for path in pictures if path.parts[: len(root)] == root]
        inside = [_in_split(path, len(root)) for path in below]
        return _with_sibling(DataSet(root, True, [picture for picture in inside if picture is not None]), below)
    if found := _named_splits(pictures):
        return found
    counts = Counter(path.parts[:-1] for path in pictures if len(path.parts) > 1)
    stray = _stray(counts)
    folders = [folder for folder in counts if folder not in stray]
    if not folders:
        raise DatasetError(
            f"{source} has pictures but no class folders.", hint="Expected are <emotion>/… or train/<emotion>/…."
        )
    root = _class_root(folders, source)
    kept = {folder for folder in folders if folder[: len(root)] == root and len(folder) > len(root)}
    return DataSet(root, False, [InClass(path, len(root)) for path in pictures if path.parts[:-1] in kept])


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


def _named_splits(pictures: Sequence[PurePosixPath]) -> DataSet | None:
    """Returns splits whose folders have more words in their names: Train_Aligned_Faces beside Val_Aligned_Faces."""
    first = ((path, next((n for n, name in enumerate(path.parts[:-1]) if is_emotion(name)), 0)) for path in pictures)
    places = {path: place for path, place in first if place}
    splits = {path.parts[:place]: folder_names.split_in(path.parts[place - 1]) for path, place in places.items()}
    roots, names = {folder[:-1] for folder in splits}, {*splits.values()}
    if len(roots) != 1 or "train" not in names or None in names or not 1 < len(names) == len(splits):
        return None
    inside = [InClass(path, place, splits[path.parts[:place]]) for path, place in places.items()]
    return DataSet(roots.pop(), True, inside, f"Taken for splits, by their names: {listed(one[-1] for one in splits)}.")


def _with_sibling(found: DataSet, pictures: Sequence[PurePosixPath]) -> DataSet:
    """Returns the data set with a folder beside train/ that has the same class folders, as a split that is missing."""
    depth = len(found.root)
    classes, splits = {one.folder for one in found.pictures}, {one.split for one in found.pictures}
    siblings: defaultdict[str, list[PurePosixPath]] = defaultdict(list)
    for path in pictures:
        name = path.parts[depth]
        if (
            len(path.parts) > depth + 2
            and folder_names.split_in(name) not in splits
            and not folder_names.says_a_kind(name)
        ):
            siblings[name].append(path)
    same = {name: paths for name, paths in siblings.items() if {path.parts[depth + 1] for path in paths} == classes}
    missing = [split for split in ("test", "validation") if split not in splits]
    if "train" not in splits or len(classes) < 2 or len(same) != 1 or not missing:
        return found
    ((name, paths),) = same.items()
    split = folder_names.split_in(name) or missing[0]
    more = [InClass(path, depth + 1, split) for path in paths]
    note = f"Guessed: {name} is the {split} split, as it has the class folders of training."
    return DataSet(found.root, True, [*found.pictures, *more], note)


def _in_split(path: PurePosixPath, place: int) -> InClass | None:
    split = split_of(path.parts[place])
    while split and len(path.parts) > place + 1 and split_of(path.parts[place]) == split:
        place += 1
    while split and len(path.parts) > place + 2 and path.parts[place].lower() in _AROUND_CLASSES:
        place += 1
    return InClass(path, place, split) if split and len(path.parts) > place + 1 else None


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
    return common_folder([folder[:-1] for folder in folders])  # the folder around all of them


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
            hint="Give one of them, or arrange the pictures as train/<emotion>/… and test/<emotion>/…, with folders of "
            "persons inside.",
        )
    return tops[0] if tops else None


def _empty_folders(found: DataSet, tree: Tree) -> list[str]:
    """Returns notes on classes that lack pictures, but not in training; raises DatasetError of others."""
    depth = len(found.root)
    filled = {path.parts[:levels] for path in map(PurePosixPath, tree.names) for levels in range(len(path.parts))}
    with_pictures = {one.path.parts[:levels] for one in found.pictures for levels in range(len(one.path.parts))}
    empty, notes = [], []
    for name in tree.folders:
        parts = PurePosixPath(name).parts
        if parts[:depth] != found.root or parts in with_pictures:
            continue
        is_class = len(parts) == depth + 1
        if found.has_splits:
            is_class = len(parts) in (depth + 1, depth + 2) and split_of(parts[depth]) is not None
        # A folder of something else is no class: docs/README.md, annotations/1.npy.
        if is_class and (is_emotion(parts[-1]) or parts not in filled):
            is_tested = found.has_splits and len(parts) == depth + 2 and split_of(parts[depth]) != "train"
            (notes if is_tested else empty).append(name)
    if empty:
        but = _but([name for name in tree.others if name.startswith(f"{empty[0]}/")])
        more = f" (and {len(empty) - 1} more such folders)" if len(empty) > 1 else ""
        raise DatasetError(
            f"{tree.source}: the folder {empty[0]} holds no pictures{but}{more}.",
            hint="Put pictures in it, or remove the folder.",
        )
    return [f"The folder {name} holds no pictures." for name in notes]


def _reasons(found: DataSet, outside: Sequence[PurePosixPath]) -> dict[str, str]:
    depth = len(found.root)
    splits = " and ".join(sorted({one.path.parts[depth] for one in found.pictures}))
    beside = f"as beside {splits if found.has_splits else 'the classes'}"
    reasons = {}
    for path in outside:
        folder = folder_in(str(path), found.root)
        parts = path.parts[:-1]
        is_inside = parts[:depth] == found.root and len(parts) > depth and found.has_splits and split_of(parts[depth])
        reasons[str(path)] = "as in no class folder" if is_inside and folder != TOP else beside
    return reasons


def not_read(others: Iterable[str]) -> list[str]:
    """Returns a sentence on the pictures among these files that are of kinds which are not read, if there are some."""
    unread = [
        name
        for name in others
        if name.lower().endswith(folder_names.OTHER_PICTURE_SUFFIXES + folder_names.VIDEO_SUFFIXES)
    ]
    if not unread:
        return []
    is_heic = any(name.lower().endswith((".heic", ".heif")) for name in unread)
    hint = " (HEIC: `pip install pillow-heif`)" if is_heic else ""
    return [f"Left out, as only {PICTURES_READ} are read: {_kinds(unread)}{hint}."]


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
