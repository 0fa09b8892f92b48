"""What all trials of a search must have in common, wherever they are trained: the images, and the code that trains.

No Keras.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from fer_core.data.dataset import Dataset

_PACKAGE = Path(__file__).parents[1]
_TRAINS_NOTHING = ("cli", "live", "web")


class Fingerprints(NamedTuple):
    """What a process that asks for a trial has before it."""

    data_fingerprint: str
    code_fingerprint: str
    data_source: str | None = None
    """Where the images lie on this machine."""


def fingerprints_of(dataset: "Dataset") -> Fingerprints:
    """Returns the facts of this process, which has loaded `dataset`."""
    return Fingerprints(dataset.fingerprint, code_fingerprint(), dataset.source)


def code_fingerprint(package: Path = _PACKAGE) -> str:
    """Returns a sha256 (hex) over the Python files that a training depends on: names and contents."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in _TRAINS_NOTHING:
            content = path.read_bytes()
            digest.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()
