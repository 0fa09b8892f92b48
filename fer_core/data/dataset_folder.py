"""Finds the data set among all pictures of a source: the folder whose folders are splits, or emotions."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from fer_core.data.folder_names import is_emotion, split_of
from fer_core.errors import DatasetError

Folder = tuple[str, ...]

_STRAY_PICTURES, _PICTURES_OF_A_CLASS = 2, 10
"""A folder of so few pictures is no class where at least two others have so many."""
_BESIDE = {
    *("doc", "docs", "result", "results", "plots", "figures", "samples", "sample images", "screenshots"),
    *("assets", "demo", "examples"),
}
_SHOWN = 3


@dataclass(frozen=True)
class InClass:
    """A picture in a class folder, which stands at `place` in its path."""

    path: PurePosixPath
    place: int

    @property
    def folder(self) -> str:
        """The class folder's name."""
        return self.path.parts[self.place]

    @property
    def split(self) -> str | None:
        """The split that the folder around the class folder is named after."""
        return split_of(self.path.parts[self.place - 1]) if self.place else None

    @property
    def inner(self) -> Folder:
        """The folders inside of the class folder that the picture lies in."""
        return self.path.parts[self.place + 1 : -1]


@dataclass(frozen=True)
class Found:
    """The data set's own folder, whether its folders are splits, and its pictures."""

    root: Folder
    has_splits: bool
    pictures: list[InClass]


def find_data_set(pictures: Sequence[PurePosixPath], source: str) -> Found:
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
                splits[_outermost(path.parts[:level], split)].add(split)
                break
    trained = [root for root, names in splits.items() if "train" in names]
    if not trained and not all(_lies_in(path, splits) for path in pictures if len(path.parts) > 1):
        return None  # docs/test/1/a.png beside a data set
    return _only(trained or splits, pictures, source)


def _lies_in(path: PurePosixPath, roots: Collection[Folder]) -> bool:
    return any(path.parts[:level] in roots for level in range(len(path.parts)))


def _outermost(root: Folder, split: str) -> Folder:
    """Some archives repeat the split: train/train/sad."""
    while root and split_of(root[-1]) == split:
        root = root[:-1]
    return root


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
    wide = [root for root, names in siblings.items() if len(names) > 1]
    found = _only(known, (), source) if known else _only(wide, (), source)
    return found if found is not None else _around_all(folders)


def _around_all(folders: Sequence[Folder]) -> Folder:
    first, last = min(folders), max(folders)
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
        shown = ", ".join("/".join(top) or "." for top in tops[:_SHOWN]) + (", …" if len(tops) > _SHOWN else "")
        raise DatasetError(
            f"{source} could be {len(tops):,} data sets, each with folders of its own: {shown}.",
            hint="Give one of them, or arrange the pictures as train/<emotion>/… and test/<emotion>/….",
        )
    return tops[0] if tops else None
