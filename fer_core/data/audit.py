"""What is wrong with the data before anything is trained on it: imbalance, copies, contradictions, broken images.

Opens no file of the source again: everything was noted while decoding. Removes nothing, prints nothing.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np

from fer_core.data.contents import BadImage, Contents
from fer_core.data.dataset import Dataset, Unsplit
from fer_core.data.report import DataReport
from fer_core.data.splits import PART_ORDER, fer2013_titles

BLANK_DEVIATION = 3.0
"""A picture whose gray values have a smaller standard deviation (of 0..255) shows nothing."""


@dataclass(frozen=True)
class PartAudit:
    """One part as the source has it. `conflicting`: names and labels of the copies of each picture that has several."""

    name: str
    images: dict[str, int]
    extra_copies: int
    conflicting: tuple[dict[str, str], ...]


@dataclass(frozen=True)
class SharedImages:
    """How many images of `part` also occur in `other`, and how many of them only with another label there."""

    part: str
    other: str
    images: int
    other_label: int


@dataclass(frozen=True)
class NearDuplicate:
    """An image of `part` that looks like one of `other`, where no identical one is."""

    part: str
    name: str
    label: str
    other: str
    other_name: str
    other_label: str


@dataclass(frozen=True)
class Audit:
    """What is known of a data set's own parts, before validation images are taken out of them."""

    name: str
    source: str
    fingerprint: str
    labels: tuple[str, ...]
    parts: tuple[PartAudit, ...]
    shared: tuple[SharedImages, ...]
    near_duplicates: tuple[NearDuplicate, ...]
    blank: tuple[str, ...]
    unreadable: tuple[BadImage, ...]
    report: DataReport = field(default_factory=DataReport)
    """How the data was read."""

    def to_json(self) -> dict[str, Any]:
        """Returns the audit as what audit.json holds."""
        return asdict(self) | {"report": self.report.to_json()}


def audit(dataset: Dataset | Unsplit) -> Audit:
    """Returns what the data set's images look like as a set, whether or not they can be split."""
    contents = dataset.contents
    titles = fer2013_titles(contents) or {part: part for part in contents.parts}
    parts = sorted(contents.parts, key=PART_ORDER.index)
    pairs = [(part, other) for later, part in enumerate(parts) for other in parts[:later]]
    return Audit(
        name=dataset.name,
        source=dataset.source,
        fingerprint=contents.fingerprint,
        labels=contents.labels,
        parts=tuple(_part(contents, part, titles[part]) for part in parts),
        shared=tuple(_shared(contents, pair, titles) for pair in pairs),
        near_duplicates=tuple(
            found for pair in pairs for found in _near_duplicates(contents, dataset.pixels, pair, titles)
        ),
        blank=tuple(sorted(contents.names[i] for i in np.flatnonzero(contents.deviations < BLANK_DEVIATION))),
        unreadable=contents.bad_images,
        report=contents.report,
    )


def _part(contents: Contents, part: str, title: str) -> PartAudit:
    positions = contents.in_part(part)
    _, group_of, sizes = np.unique(contents.hashes[positions], return_inverse=True, return_counts=True)
    by_group = np.split(positions[np.argsort(group_of, kind="stable")], np.cumsum(sizes)[:-1])
    copies = [group for group in by_group if len(group) > 1]
    conflicting = [group for group in copies if len(np.unique(contents.label_numbers[group])) > 1]
    return PartAudit(
        name=title,
        images=contents.counts()[part],
        extra_copies=int((sizes - 1).sum()),
        conflicting=tuple(
            sorted(({contents.names[i]: contents.label(i) for i in group} for group in conflicting), key=min)
        ),
    )


def _shared(contents: Contents, pair: tuple[str, str], titles: dict[str, str]) -> SharedImages:
    part, other = (contents.in_part(name) for name in pair)
    shared = part[np.isin(contents.hashes[part], contents.hashes[other])]
    there = set(zip(contents.hashes[other].tolist(), contents.label_numbers[other].tolist(), strict=True))
    here = zip(contents.hashes[shared].tolist(), contents.label_numbers[shared].tolist(), strict=True)
    return SharedImages(titles[pair[0]], titles[pair[1]], len(shared), sum(image not in there for image in here))


def _near_duplicates(
    contents: Contents, pixels: np.ndarray, pair: tuple[str, str], titles: dict[str, str]
) -> Iterator[NearDuplicate]:
    part, other = (contents.in_part(name) for name in pair)
    part = part[~np.isin(contents.hashes[part], contents.hashes[other])]
    chosen = (np.asarray(pixels[contents.rows[positions]]) for positions in (part, other))
    pairs = near_duplicates(*(one if one.ndim == 3 else one.mean(axis=3).astype(np.uint8) for one in chosen))
    for one, two in zip(part[pairs[:, 0]], other[pairs[:, 1]], strict=True):
        yield NearDuplicate(
            part=titles[pair[0]],
            name=contents.names[one],
            label=contents.label(one),
            other=titles[pair[1]],
            other_name=contents.names[two],
            other_label=contents.label(two),
        )


HASH_DISTANCE = 10
"""Hashes of near-duplicates differ in at most so many of 64 bits. Most candidates are no duplicates."""
CORRELATION = 0.92
"""The pixels of near-duplicates correlate at least so much. Of 400 pairs of FER-2013 a person found one false."""

_SIDE, _FREQUENCIES, _ROWS_AT_ONCE = 32, 8, 512


def perceptual_hashes(pixels: np.ndarray) -> np.ndarray:
    """Returns a perceptual hash, uint64 (n,), of each picture: which of its lowest frequencies are above the median.

    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", 2010 (DCT based hash).

    Args:
        pixels: uint8 (n, side, side), gray.
    """
    steps = np.arange(_SIDE) + 0.5
    cosines = np.cos(np.pi / _SIDE * np.outer(np.arange(_FREQUENCIES), steps)).astype(np.float32)
    hashes = np.empty(len(pixels), np.uint64)
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        some = pixels[start : start + _ROWS_AT_ONCE]
        small = np.stack([cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for picture in some])
        frequencies = (cosines @ small.astype(np.float32) @ cosines.T).reshape(len(some), -1)
        bits = frequencies > np.median(frequencies[:, 1:], axis=1, keepdims=True)
        hashes[start : start + _ROWS_AT_ONCE] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return hashes


def near_duplicates(pixels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns which pictures look like which others, int64 (pairs, 2): positions in `pixels` and `others`, ascending.

    Identical ones are among them; a picture without contrast looks like none.

    Args:
        pixels, others: uint8 (n, side, side), gray.
    """
    hashes, other_hashes = perceptual_hashes(pixels), perceptual_hashes(others)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(pixels), _ROWS_AT_ONCE):
        distances = np.bitwise_count(hashes[start : start + _ROWS_AT_ONCE, np.newaxis] ^ other_hashes)
        candidates = np.add(np.argwhere(distances <= HASH_DISTANCE), (start, 0))
        for pairs in np.array_split(candidates, 1 + len(candidates) // _ROWS_AT_ONCE):
            ones, twos = _normalised(pixels[pairs[:, 0]]), _normalised(others[pairs[:, 1]])
            found.append(pairs[np.einsum("ij,ij->i", ones, twos) >= CORRELATION])
    return np.concatenate(found)


def _normalised(pixels: np.ndarray) -> np.ndarray:
    flat = pixels.reshape(len(pixels), pixels.shape[1] * pixels.shape[2]).astype(np.float32)
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)
