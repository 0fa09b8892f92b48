"""Classes that no part to train on has: nothing can be learnt of them, so their images are left out and named."""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from fer_core.data.contents import Contents, fingerprint


def trained_classes(contents: Contents, trained: Collection[str]) -> Contents:
    """Returns the contents without the classes that no part to train on has; the report names them.

    Args:
        trained: the parts to train on. Where there are none of them, all stays.
    """
    counts = contents.counts()
    training = [counts[part] for part in contents.parts if part in trained]
    lacking = [label for label in contents.labels if training and not any(one[label] for one in training)]
    if not lacking or len(lacking) == len(contents.labels):
        return contents
    kept = tuple(label for label in contents.labels if label not in lacking)
    is_kept = ~np.isin(contents.label_numbers, [contents.labels.index(label) for label in lacking])
    for label in lacking:
        images = sum(one[label] for one in counts.values())
        contents.report.leave_out(f"as training has none of its class ({label})", images=images)
    return _chosen(contents, is_kept, kept)


def _chosen(contents: Contents, is_kept: np.ndarray, labels: tuple[str, ...]) -> Contents:
    columns = [contents.labels.index(label) for label in labels]
    label_numbers, parts = np.searchsorted(columns, contents.label_numbers[is_kept]), contents.parts
    part_numbers, hashes = contents.part_numbers[is_kept], contents.hashes[is_kept]
    positions = np.flatnonzero(is_kept)
    shares = contents.shares
    if shares is not None:
        shares = shares[is_kept][:, columns]
        shares = shares / shares.sum(axis=1, keepdims=True)
    return replace(
        contents,
        labels=labels,
        names=[contents.names[position] for position in positions],
        part_numbers=part_numbers,
        label_numbers=label_numbers,
        hashes=hashes,
        deviations=contents.deviations[is_kept],
        rows=contents.rows[is_kept],
        fingerprint=fingerprint(hashes, (label_numbers, part_numbers), (labels, parts)),
        persons=tuple(contents.persons[position] for position in positions) if contents.persons else (),
        shares=shares,
        only_trains=None if contents.only_trains is None else contents.only_trains[is_kept],
    )
