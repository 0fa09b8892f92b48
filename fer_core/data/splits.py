"""Which images train, validate and test, where the source leaves that open. Byte-identical copies stay on one side.

The choice depends on the images' contents, their labels and the seed alone: not on names, order or place. A few more
images move few of the others to another side.
"""

import hashlib

import numpy as np


def held_out(labels: np.ndarray, hashes: np.ndarray, *, fraction: float, key: str) -> np.ndarray:
    """Returns which images to hold out: of each label that fraction, rounded; at least one where two are different.

    Args:
        labels: int64 (n,).
        hashes: uint64 (n,), of the contents: images with the same one stay on one side, whatever their labels.
        fraction: 0..1, exclusive.
        key: another key, another choice.

    Returns:
        bool (n,). A group of copies is taken whole or not at all, so a label's share can be a few images smaller, or
        larger where every group is.
    """
    contents, group_of, sizes = np.unique(hashes, return_inverse=True, return_counts=True)
    label_of_group = _smallest_labels(labels, group_of)
    order = np.argsort(_mixed(contents, key), kind="stable")
    chosen = np.zeros(len(contents), bool)
    for label in np.unique(labels):
        groups = order[label_of_group[order] == label]
        wanted = max(1, round(fraction * int((labels == label).sum()))) if len(groups) > 1 else 0
        chosen[_filling(groups, sizes, wanted)] = True
        if wanted and not chosen[groups].any():  # each picture has more copies than images are wanted
            chosen[groups[sizes[groups].argmin()]] = True
    return chosen[group_of]


def _smallest_labels(labels: np.ndarray, group_of: np.ndarray) -> np.ndarray:
    """Returns the smallest label in each group of copies: one that does not depend on the images' order."""
    by_group = np.lexsort((labels, group_of))
    return labels[by_group[np.flatnonzero(np.diff(group_of[by_group], prepend=-1))]]


def _filling(groups: np.ndarray, sizes: np.ndarray, wanted: int) -> list[int]:
    taken: list[int] = []
    for group in groups:
        if wanted == 0:
            break
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
