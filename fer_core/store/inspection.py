"""Looks into a model file before Keras does, and refuses what is not a plain model: code, traps, and what is damaged.

Two formats, by the file's name as Keras has it: .h5 (HDF5, the description is an attribute) and .keras (an archive).
What may be described is in `allowed.py`. No Keras here: a file that is refused was never loaded.
"""

import contextlib
import io
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError
from fer_core.store.allowed import OLDER, first_objection
from fer_core.store.child import answer, run_child
from fer_core.store.model_metadata import ModelMetadata, metadata_of
from fer_core.store.weights import attributes_objection, weights_objection

H5_SUFFIXES = (".h5", ".hdf5")
MODEL_SUFFIXES = (*H5_SUFFIXES, ".keras")

LONGEST_SECONDS = 30.0
"""The largest file that is allowed is read in a few seconds."""

_MEMBERS = {"config.json": 2**24, "metadata.json": 2**20, "model.weights.h5": 2**30}
"""What a .keras archive holds, and how many bytes each may have."""
_PACKED = {zipfile.ZIP_STORED: "stored", zipfile.ZIP_DEFLATED: "deflated"}
"""What Keras writes. Of others Python unpacks far more than is asked for, whatever size they declare."""
_SURELY_SMALL = 2**26
_MOST_COMPRESSION = 100
_LARGEST_DESCRIPTION = 2**24
_LARGEST_H5 = 2**31
_DAMAGED = (
    *(OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What h5py, zipfile and json raise for files that were cut off or changed; RecursionError is a RuntimeError."""

_WHOLE = "It must be a whole model of stock Keras layers, as `model.save(path)` writes it."
_PLAIN = (
    "What is not Keras' own could run its maker's code here. Use a model of stock layers, e.g. Rescaling in place of a"
    " Lambda."
)
_BROKEN = "It is damaged; get it once more from its maker."
_OLDER = "Load it with the Keras that wrote it, give its weights to the same network of Keras 3, and save that."


def inspect_model(path: Path) -> ModelMetadata:
    """Returns what a .h5 or .keras file takes and gives, if it holds a plain Keras model and nothing else.

    Raises ArtifactError that names what is in it that must not be: a Lambda, a class or a function outside the list.
    """
    check_is_file(path)
    with _damage_named(path):
        description = _inspected_h5(path) if path.suffix in H5_SUFFIXES else _inspected_archive(path)
    return metadata_of(description, where=str(path))


def inspect_apart(path: Path, *, longest_seconds: float = LONGEST_SECONDS) -> ModelMetadata:
    """Returns and raises what `inspect_model` does, found in a process of its own; takes 0.3 s.

    Raises ArtifactError also where reading hangs or crashes, as HDF5 can on a file that was tampered with.
    """
    check_is_file(path)
    try:
        child = run_child("fer_core.store.inspection", path, timeout_seconds=longest_seconds)
    except subprocess.TimeoutExpired:
        raise _unreadable(path, f"reading it took longer than {longest_seconds:g} s", hint=_BROKEN) from None
    if child.returncode:
        raise _unreadable(path, f"reading it crashed (exit code {child.returncode})", hint=_BROKEN)
    found = json.loads(child.stdout.splitlines()[-1])
    return ModelMetadata(tuple(found["input_shape"]), found["outputs"], found["has_scaling"])


def check_is_file(path: Path) -> None:
    """Raises ArtifactError if there is no such file."""
    if not path.is_file():
        raise ArtifactError(f"There is no model file {path}.", hint="`python train_emotion_model.py` makes one.")


def _inspected_h5(path: Path) -> dict[str, Any]:
    import h5py

    if not h5py.is_hdf5(path):
        raise _unreadable(path, "it is no HDF5 file")
    if path.stat().st_size > _LARGEST_H5:
        raise _unreadable(path, f"it has more than {_LARGEST_H5 // 2**30} GB")
    with h5py.File(path, "r") as file:
        _refuse(path, attributes_objection(file))
        if "model_config" not in file.attrs:
            raise _unreadable(path, "it holds weights only, without the network that they belong to")
        text = file.attrs["model_config"]
        description = _harmless(path, text.decode() if isinstance(text, bytes) else text)
        _refuse(path, weights_objection(file))
    return description


def _inspected_archive(path: Path) -> dict[str, Any]:
    import h5py

    if path.suffix != ".keras":
        raise _unreadable(path, f"its name ends in none of {', '.join(MODEL_SUFFIXES)}")
    if not zipfile.is_zipfile(path):
        raise _unreadable(path, "it is no .keras archive")
    with zipfile.ZipFile(path) as archive:
        _check_members(path, archive.infolist())
        description = _harmless(path, _member(archive, "config.json"))
        with h5py.File(io.BytesIO(_member(archive, "model.weights.h5")), "r") as file:
            _refuse(path, weights_objection(file))
    return description


def _check_members(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    other = sorted(set(names) - set(_MEMBERS))
    if other or len(names) > len(set(names)):
        raise _refused(path, f"it holds more than a model: {other[0] if other else 'two files of one name'!r}")
    missing = sorted(set(_MEMBERS) - set(names) - {"metadata.json"})
    if missing:
        raise _unreadable(path, f"it has no {' and no '.join(missing)}")
    for member in members:
        if member.compress_type not in _PACKED:
            raise _refused(path, f"{member.filename} in it is packed in a way that Keras does not use")
        is_bomb = member.file_size > max(_SURELY_SMALL, _MOST_COMPRESSION * member.compress_size)
        if is_bomb or member.file_size > _MEMBERS[member.filename]:
            raise _refused(path, f"{member.filename} in it is too large ({member.file_size:,} bytes)")


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Reads no more than was declared: whoever made the archive may have lied about the size."""
    declared = archive.getinfo(name).file_size
    with archive.open(name) as stream:
        return stream.read(declared)


def _harmless(path: Path, text: Any) -> dict[str, Any]:
    if not isinstance(text, str | bytes) or len(text) > _LARGEST_DESCRIPTION:
        raise _unreadable(path, "what should describe its network is no text, or far too long")
    description = json.loads(text)
    if objection := first_objection(description):
        raise _refused(path, objection, hint=_hint(objection))
    return description


def _hint(objection: str) -> str:
    if OLDER in objection:
        return _OLDER
    return _PLAIN if "code" in objection or "Keras" in objection else _WHOLE


def _refuse(path: Path, objection: str | None) -> None:
    """Raises ArtifactError if there is an objection."""
    if objection:
        raise _refused(path, objection)


@contextlib.contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise _unreadable(path, f"it is damaged ({first_line})") from error


def _refused(path: Path, finding: str, *, hint: str = _WHOLE) -> ArtifactError:
    return ArtifactError(f"{path} is refused: {finding}.", hint=hint)


def _unreadable(path: Path, finding: str, *, hint: str = _WHOLE) -> ArtifactError:
    return ArtifactError(f"{path} cannot be read as a Keras model: {finding}.", hint=hint)


if __name__ == "__main__":
    answer(lambda: json.dumps(inspect_model(Path(sys.argv[1]))._asdict()))
