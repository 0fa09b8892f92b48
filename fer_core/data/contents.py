"""`Contents`: everything known of a source's images but their pixels, and how it is kept on disk beside them."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fer_core.data.decoding import BadImage, Decoded
from fer_core.emotions import in_model_order
from fer_core.errors import printable

_ARRAYS, _WORDS = "contents.npz", "contents.json"


@dataclass(frozen=True)
class Contents:
    """The images of a source, sorted by part, label and content: equal fingerprints mean equal images in equal order.

    Arrays of one entry per image: `part_numbers` and `label_numbers` int64 (positions in `parts` and `labels`),
    `hashes` uint64, `deviations` float32, `rows` int64 (where its pixels lie in the file of pixels).
    """

    parts: tuple[str, ...]
    labels: tuple[str, ...]
    names: list[str]
    part_numbers: np.ndarray
    label_numbers: np.ndarray
    hashes: np.ndarray
    deviations: np.ndarray
    rows: np.ndarray
    bad_images: tuple[BadImage, ...]
    notes: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.rows)

    def counts(self) -> dict[str, dict[str, int]]:
        """Returns images per part and label."""
        table = np.zeros((len(self.parts), len(self.labels)), np.int64)
        np.add.at(table, (self.part_numbers, self.label_numbers), 1)
        rows = [dict(zip(self.labels, row, strict=True)) for row in table.tolist()]
        return dict(zip(self.parts, rows, strict=True))

    def in_part(self, part: str) -> np.ndarray:
        """Returns the positions of the part's images, int64."""
        return np.flatnonzero(self.part_numbers == self.parts.index(part))


class ContentsBuilder:
    """Collects what the decoder passes on, without the pixels."""

    def __init__(self):
        self._images: list[tuple[str, str, int, str, float]] = []
        self._bad: list[BadImage] = []

    def __len__(self) -> int:
        return len(self._images)

    def add(self, decoded: Decoded) -> None:
        """Takes the next image; its row is the number of images before it."""
        picture = decoded.picture
        name = printable(picture.name, kept="")
        self._images.append((picture.part, picture.label, decoded.content, name, decoded.deviation))

    def add_bad(self, bad: BadImage) -> None:
        """Takes an image that could not be read."""
        self._bad.append(BadImage(printable(bad.name, kept=""), printable(bad.reason)))

    def finished(self, notes: tuple[str, ...]) -> Contents:
        """Returns the contents, sorted and fingerprinted."""
        order = sorted(range(len(self._images)), key=self._images.__getitem__)
        images = [self._images[row] for row in order]
        parts = tuple(sorted({image[0] for image in images}))
        labels = in_model_order(image[1] for image in images)
        part_numbers = _positions(parts, [image[0] for image in images])
        label_numbers = _positions(labels, [image[1] for image in images])
        hashes = np.array([image[2] for image in images], np.uint64)
        return Contents(
            parts=parts,
            labels=labels,
            names=[image[3] for image in images],
            part_numbers=part_numbers,
            label_numbers=label_numbers,
            hashes=hashes,
            deviations=np.array([image[4] for image in images], np.float32),
            rows=np.array(order, np.int64),
            bad_images=tuple(sorted(self._bad, key=lambda bad: bad.name)),
            notes=notes,
            fingerprint=fingerprint(hashes, (label_numbers, part_numbers), (labels, parts)),
        )


def fingerprint(hashes: np.ndarray, numbers: Sequence[np.ndarray], names: Sequence[Sequence[str]]) -> str:
    """Returns a sha256 (hex) over the images as a set: contents, columns of numbers, and the names those stand for."""
    order = np.lexsort((*numbers, hashes))
    digest = hashlib.sha256(json.dumps([list(column) for column in names]).encode())
    digest.update(hashes[order].astype(">u8"))
    for column in numbers:
        digest.update(column[order].astype(">u4"))
    return digest.hexdigest()


def save_contents(contents: Contents, folder: Path) -> None:
    """Writes the contents into the folder."""
    words, arrays = asdict(contents), {}
    for name in ("part_numbers", "label_numbers", "hashes", "deviations", "rows"):
        arrays[name] = words.pop(name)
    np.savez(folder / _ARRAYS, **arrays)
    (folder / _WORDS).write_text(json.dumps(words), encoding="ascii")


def load_contents(folder: Path) -> Contents:
    """Returns what `save_contents` wrote; raises OSError, ValueError or KeyError where it is not whole."""
    words = json.loads((folder / _WORDS).read_text(encoding="ascii"))
    with np.load(folder / _ARRAYS) as arrays:
        words.update({name: arrays[name] for name in arrays.files})
    for name in ("parts", "labels", "notes"):
        words[name] = tuple(words[name])
    words["bad_images"] = tuple(BadImage(**bad) for bad in words["bad_images"])
    return Contents(**words)


def _positions(names: tuple[str, ...], column: list[str]) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[name] for name in column], np.int64)
