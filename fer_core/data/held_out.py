"""Which images are held out, and which fold each lies in: copies, and pictures of one person, stay on one side.

That depends on the images' contents, their labels and a key alone: not on names, order or place. A few more images move
few of the others to another side.
"""

import hashlib
from collections.abc import Sequence

import numpy as np


def held_out(
    labels: np.ndarray, hashes: np.ndarray, *, fraction: float, key: str, persons: Sequence[str] | None = None
) -> np.ndarray:
    """Returns which images to hold out: of each label that fraction, rounded; at least one where two are different.

    Args:
        labels: int64 (n,).
        hashes: uint64 (n,), of the contents: images with the same one stay on one side, whatever their labels.
        fraction: 0..1, exclusive.
        key: another key, another choice.
        persons: who each image shows ('' unknown): all images of a person stay on one side.

    Returns:
        bool (n,). A group of copies is taken whole or not at all, so a label's share can be a few images smaller, or
        larger where every group is.
    """
    if not len(labels):
        return np.zeros(0, bool)
    if persons is not None:
        return _persons_out(labels, hashes, _person_groups(hashes, persons), fraction=fraction, key=key)
    contents, group_of, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    label_of_group = _smallest(labels, group_of)
    order = np.argsort(_mixed(contents, key), kind="stable")
    chosen = np.zeros(len(contents), bool)
    for label in np.unique(labels):
        groups = order[label_of_group[order] == label]
        wanted = max(1, round(fraction * int((labels == label).sum()))) if len(groups) > 1 else 0
        chosen[_filling(groups, sizes, wanted)] = True
        if wanted and not chosen[groups].any():  # each picture has more copies than images are wanted
            chosen[groups[sizes[groups].argmin()]] = True
    return chosen[group_of]


def fold_numbers(
    labels: np.ndarray, hashes: np.ndarray, folds: int, *, persons: Sequence[str] | None = None
) -> np.ndarray:
    """Returns which of the folds each image lies in: int64 (n,), 0..folds-1, of each label nearly as many in each.

    Images with the same content lie in one. The folds depend on the contents alone, so whatever is trained on the other
    folds of the same data has never seen an image of this one.

    Args:
        labels: int64 (n,).
        hashes: uint64 (n,), of the contents.
        persons: who each image shows ('' unknown): all images of a person lie in one fold.
    """
    groups = hashes if persons is None else _person_groups(hashes, persons)
    _, group_of = np.unique(groups, return_inverse=True)
    smallest = _smallest(hashes, group_of)  # who they are must not depend on names
    order = np.lexsort((_mixed(smallest, "folds"), _smallest(labels, group_of)))
    numbers = np.empty(len(smallest), np.int64)
    numbers[order] = np.arange(len(smallest)) % folds
    return numbers[group_of]


def _smallest(values: np.ndarray, group_of: np.ndarray) -> np.ndarray:
    """Returns the smallest value of each group of images, which does not depend on their order."""
    smallest = np.full(group_of.max() + 1, np.iinfo(values.dtype).max, values.dtype)
    np.minimum.at(smallest, group_of, values)
    return smallest


def _person_groups(hashes: np.ndarray, persons: Sequence[str]) -> np.ndarray:
    """Returns a group number for each image: persons, and those who share a copy of a picture, are one group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, content = np.unique(hashes, return_inverse=True)
    named = [who or f"\0{number}" for number, who in enumerate(persons)]
    _, person = np.unique(named, return_inverse=True)
    nodes = content.max() + 1 + person.max() + 1
    edges = (np.ones(len(person)), (content, content.max() + 1 + person))
    return connected_components(coo_array(edges, shape=(nodes, nodes)), directed=False)[1][content]


def _persons_out(
    labels: np.ndarray, hashes: np.ndarray, group_of: np.ndarray, *, fraction: float, key: str
) -> np.ndarray:
    """Takes groups while they fit, then others for labels that are missing; each label keeps an image on this side."""
    groups, sizes = np.unique(group_of, return_counts=True)
    place_of = np.searchsorted(groups, group_of)
    smallest = _smallest(hashes, place_of)  # who they are must not depend on names
    has = np.zeros((len(groups), labels.max() + 1), np.int64)
    np.add.at(has, (place_of, labels), 1)
    wanted, left, taken = max(1, round(fraction * len(labels))), has.sum(axis=0), np.zeros(len(groups), bool)
    order = np.argsort(_mixed(smallest, key), kind="stable")

    def take(place: int) -> None:
        nonlocal left
        if not taken[place] and not ((left - has[place] == 0) & (left > 0)).any():
            taken[place], left = True, left - has[place]

    for place in order:
        if sizes[place] <= wanted - sizes[taken].sum() or not taken.any():
            take(place)
    for label in np.flatnonzero(has[taken].sum(axis=0) == 0):
        candidates = [place for place in order if has[place, label] and sizes[place] <= max(wanted, sizes.min())]
        if not has[taken].sum(axis=0)[label]:
            for place in candidates[:1]:
                take(place)
    return taken[place_of]


def _filling(groups: np.ndarray, sizes: np.ndarray, wanted: int) -> list[int]:
    taken: list[int] = []
    for group in groups:
        if sizes[group] <= wanted:
            taken.append(group)
            wanted -= sizes[group]
    return taken


def _mixed(hashes: np.ndarray, key: str) -> np.ndarray:
    """Returns uint64 numbers that look random and depend on hash and key (the finaliser of SplitMix64)."""
    start = np.uint64(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
    mixed = hashes ^ start
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
