"""Looks into a model file before Keras does, and refuses what is not a plain model: code, traps, and what is damaged.

Two formats, by what is in the file: HDF5 (the description is an attribute, or a JSON beside it) and the archive .keras.
No Keras.
"""

import io
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fer_core.errors import ArtifactError, first_line, missing_package
from fer_core.resources import child_environment, limit_memory, memory_bytes
from fer_core.store.architecture import ModelMetadata, first_objection, metadata_of
from fer_core.store.foreign import current_description, is_of_keras_1, network_beside, read_network

if TYPE_CHECKING:
    import h5py

LONGEST_SECONDS = 30.0  # the largest file that is allowed is read in a few seconds

_MEMBERS = {"config.json": 2**24, "metadata.json": 2**20, "model.weights.h5": 2**30}
"""What a .keras archive holds, and how many bytes each may have."""
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What Keras writes. Of others Python unpacks far more than is asked for, whatever size they declare."""
_SURELY_SMALL = 2**26
_MOST_COMPRESSION = 100
_LARGEST_DESCRIPTION = _LARGEST_ATTRIBUTE = 2**24
_LARGEST_H5 = 2**31
_LARGEST_ARRAY = 150_000_000  # numbers. A whole VGG-16 with its dense layers has 138 million.
_LARGEST_FILE = 500_000_000  # numbers: as many, with the two moments that an optimizer keeps of each
_MOST_OBJECTS = 50_000
_LARGEST_NUMBER = 8  # bytes: a float64. HDF5 knows larger ones, of which Keras has no use.
_DAMAGED = (
    *(OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError, MemoryError),
    *(zipfile.BadZipFile, zlib.error),
)  # what h5py, zipfile and json raise for files that were cut off or changed; RecursionError is a RuntimeError

_WHOLE = (
    "It must be a whole model of stock layers of Keras 3 alone, as `model.save(path)` writes it, e.g. with Rescaling in"
    " place of a Lambda. Load one of an older Keras with that, and give its weights to the same network."
)
_BROKEN = "It is damaged; get it once more from its maker."
_WEIGHTS_ONLY = (
    "Put the network beside it, as `model.to_json()` writes it: {}.json. Or let its maker save both with"
    " `model.save(path)`."
)
_OF_KERAS_1 = (
    "Load it with Keras 2.2 (`pip install keras==2.2.4 tensorflow==1.15`, in an environment with Python 3.7), and save"
    " it again."
)
_POINTER = b"version https://git-lfs"
_ZIP = b"PK"
_REFUSED = 2


def inspect_model(path: Path) -> ModelMetadata:
    """Returns what a .h5 or .keras file takes and gives, if it holds a plain Keras model and nothing else.

    Raises ArtifactError that names what is in it that must not be: a Lambda, a class or a function outside the list.
    """
    return metadata_of(inspected_description(path), where=str(path))


def inspected_description(path: Path) -> dict[str, Any]:
    """Returns the network that a file describes, in the form of Keras 3. Raises what `inspect_model` does."""
    check_is_file(path)
    try:
        description, version = _inspected_archive(path) if is_archive(path) else _inspected_h5(path)
    except _DAMAGED as error:
        raise _unreadable(path, f"it is damaged ({first_line(error)})") from error
    if is_of_keras_1(description, version):
        raise ArtifactError(f"{path} was written by Keras 1, which Keras 3 cannot read.", hint=_OF_KERAS_1)
    _refuse(path, first_objection(description))
    try:
        description = current_description(description)
    except (AttributeError, IndexError, KeyError, RecursionError, TypeError) as error:
        finding = f"what describes its network is not as Keras writes it ({type(error).__name__})"
        raise _unreadable(path, finding) from error
    _refuse(path, first_objection(description))
    return description


def is_archive(path: Path) -> bool:
    """Returns whether a file begins as a .keras archive, whatever its name. Raises OSError."""
    with path.open("rb") as file:
        return file.read(len(_ZIP)) == _ZIP


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
    input_shape, outputs, has_scaling = json.loads(child.stdout.splitlines()[-1])
    return ModelMetadata(tuple(input_shape), outputs, has_scaling)


def check_is_file(path: Path) -> None:
    """Raises ArtifactError if there is no such file."""
    if not path.is_file():
        raise ArtifactError(f"There is no model file {path}.", hint="`python train_emotion_model.py` makes one.")


def run_child(
    module: str, *arguments: object, timeout_seconds: float, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Returns how `python -m MODULE ARGUMENTS` ended, whose `__main__` calls `answer`, with all that it printed.

    What reads foreign files may crash, hang, or take all memory there. Raises the ArtifactError that was raised there,
    and subprocess.TimeoutExpired.
    """
    command = [sys.executable, "-P", "-m", module, *map(str, arguments)]
    environment = child_environment(**environment)
    child = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_seconds)
    if child.returncode == _REFUSED:
        problem, hint = json.loads(child.stdout.splitlines()[-1])
        raise ArtifactError(problem, hint=hint)
    return child


def answer(task: Callable[[], str]) -> None:
    """In the child: prints what the task returns, or the ArtifactError that it raises. Gets half of the memory."""
    limit_memory(memory_bytes() // 2)
    try:
        print(task())
    except (ModuleNotFoundError, ArtifactError) as error:
        problem = error if isinstance(error, ArtifactError) else missing_package(error)
        print(json.dumps([str(problem), problem.hint]))
        sys.exit(_REFUSED)


def _inspected_h5(path: Path) -> tuple[Any, str]:
    """Returns the description, not checked yet, and the version of Keras that the file names, '' for none."""
    import h5py

    if not h5py.is_hdf5(path):
        raise _no_model(path)
    if path.stat().st_size > _LARGEST_H5:
        raise _unreadable(path, f"it has more than {_LARGEST_H5 // 2**30} GB")
    with h5py.File(path, "r") as file:
        _refuse(path, _attributes_objection(file))
        description = _description(path, file.attrs["model_config"]) if "model_config" in file.attrs else None
        version = file.attrs.get("keras_version", "")
        _refuse(path, _weights_objection(file))
    if description is None:
        network = network_beside(path)
        if network is None:
            finding = "it holds weights only, without the network that they belong to"
            raise _unreadable(path, finding, hint=_WEIGHTS_ONLY.format(path.stem.removesuffix(".weights")))
        description = read_network(network)
    return description, version.decode(errors="replace") if isinstance(version, bytes) else str(version)


def _no_model(path: Path) -> ArtifactError:
    with path.open("rb") as file:
        start = file.read(len(_POINTER))
    if start == _POINTER:
        hint = "`git lfs pull` in its repository fetches the model."
        return _unreadable(path, "it is a pointer of Git LFS, and the model lies elsewhere", hint=hint)
    if start.lstrip().startswith(b"<"):
        return _unreadable(path, "it is a web page", hint="Download the file itself, not the page that shows it.")
    return _unreadable(path, "it is neither an HDF5 file nor a .keras archive")


def _inspected_archive(path: Path) -> tuple[Any, str]:
    import h5py

    with zipfile.ZipFile(path) as archive:
        _refuse(path, _members_objection(archive.infolist()))
        missing = sorted({"config.json", "model.weights.h5"}.difference(archive.namelist()))
        if missing:
            raise _unreadable(path, f"it has no {' and no '.join(missing)}")
        # No more than was declared is read: whoever made the archive may have lied about the size.
        config, weights = (
            archive.open(name).read(archive.getinfo(name).file_size) for name in ("config.json", "model.weights.h5")
        )
        description = _description(path, config)
        with h5py.File(io.BytesIO(weights), "r") as file:
            _refuse(path, _weights_objection(file))
    return description, ""


def _members_objection(members: list[zipfile.ZipInfo]) -> str | None:
    names = [member.filename for member in members]
    other = sorted(set(names) - set(_MEMBERS))
    if other or len(names) > len(set(names)):
        return f"it holds more than a model: {other[0] if other else 'two files of one name'!r}"
    for member in members:
        if member.compress_type not in _PACKED:
            return f"{member.filename} in it is packed in a way that Keras does not use"
        is_bomb = member.file_size > max(_SURELY_SMALL, _MOST_COMPRESSION * member.compress_size)
        if is_bomb or member.file_size > _MEMBERS[member.filename]:
            return f"{member.filename} in it is too large ({member.file_size:,} bytes)"
    return None


def _description(path: Path, text: Any) -> Any:
    if not isinstance(text, str | bytes) or len(text) > _LARGEST_DESCRIPTION:
        raise _unreadable(path, "what should describe its network is no text, or far too long")
    return json.loads(text)


def _attributes_objection(item: "h5py.Group | h5py.Dataset") -> str | None:
    """Looks at types and sizes only: HDF5 reads some types beyond its memory where a file was tampered with."""
    from h5py import h5a, h5t

    for number in range(h5a.get_num_attrs(item.id)):
        attribute = h5a.open(item.id, index=number)
        name, kind = attribute.name.decode(errors="replace"), attribute.get_type()
        if kind.get_class() not in (h5t.STRING, h5t.INTEGER, h5t.FLOAT, h5t.ENUM):
            return f"the attribute {name!r} in it is neither text nor numbers"
        if attribute.get_space().get_simple_extent_npoints() * kind.get_size() > _LARGEST_ATTRIBUTE:
            return f"the attribute {name!r} in it is far too long"
    return None


def _weights_objection(file: "h5py.File") -> str | None:
    """Returns what is in an open HDF5 file that plain weights have not; None if there is nothing.

    HDF5 can point to other files, announce arrays far larger than the file, and give one object many names, by each of
    which Keras would read it again.
    """
    import h5py

    groups, datasets, addresses = [file], [], {h5py.h5o.get_info(file.id).addr}

    def check(name: str, link: object) -> str | None:
        if not isinstance(link, h5py.HardLink):
            return f"{name!r} in it points elsewhere ({type(link).__name__})"
        item = file[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in addresses:
            return f"{item.name!r} in it is there under another name too"
        addresses.add(address)
        if isinstance(item, h5py.Group):
            groups.append(item)
        elif isinstance(item, h5py.Dataset):
            datasets.append(item)
        else:
            return f"{item.name!r} in it is no weights"
        return _attributes_objection(item) or (_array_objection(item) if isinstance(item, h5py.Dataset) else None)

    if objection := file.visititems_links(check):  # ends where there is one
        return objection
    if sum(item.size or 0 for item in datasets) > _LARGEST_FILE or len(addresses) > _MOST_OBJECTS:
        return f"it has more than {_LARGEST_FILE:,} weights, or more than {_MOST_OBJECTS:,} parts"
    return _lists_objection(file, groups, datasets)


def _lists_objection(file: "h5py.File", groups: "list[h5py.Group]", datasets: "list[h5py.Dataset]") -> str | None:
    """Returns what is wrong with the lists by which Keras finds weights, and with how much it would read."""
    named = []
    for group, names in _lists_of_names(groups):
        if objection := _names_objection(names):
            return f"the names in {group.name!r} {objection}"
        named += [group.get(name) for name in names]
    # What is announced and never written takes no room in a file; what is named in several groups is read for each.
    total_bytes = max(sum(array.nbytes for array in arrays if hasattr(array, "nbytes")) for arrays in (datasets, named))
    if total_bytes > max(_SURELY_SMALL, _MOST_COMPRESSION * file.id.get_filesize()):
        return f"its weights have {total_bytes:,} bytes, most of which are not in it"
    if total_bytes > memory_bytes() // 3:
        return f"its weights have {total_bytes:,} bytes, more than a third of this machine's memory"
    return None


def _array_objection(array: "h5py.Dataset") -> str | None:
    if array.external or array.is_virtual:
        return f"the weights {array.name!r} lie in another file"
    if array.dtype.kind not in "biuf":
        return f"the weights {array.name!r} are no numbers"
    if array.dtype.itemsize > _LARGEST_NUMBER:
        return f"the weights {array.name!r} are numbers of {array.dtype.itemsize} bytes"
    return f"the weights {array.name!r} are {array.size:,} numbers" if (array.size or 0) > _LARGEST_ARRAY else None


def _names_objection(names: list[str]) -> str | None:
    """Keras reads whatever stands in a list of names: nothing is to stand there twice, or to be counted nowhere."""
    if len(names) > _MOST_OBJECTS or len(set(names)) < len(names):
        return f"are more than {_MOST_OBJECTS:,}, or one of them is there twice"
    leads_elsewhere = any(part in ("", ".", "..") for name in names for part in name.split("/"))
    return "lead elsewhere" if leads_elsewhere else None


def _lists_of_names(groups: "list[h5py.Group]") -> Iterator[tuple["h5py.Group", list[str]]]:
    import numpy as np

    for group in groups:
        for attribute in group.attrs:
            if attribute.rstrip("0123456789") in ("layer_names", "weight_names"):
                names = np.ravel(group.attrs[attribute])[: _MOST_OBJECTS + 1].tolist()
                yield group, [one.decode(errors="replace") if isinstance(one, bytes) else str(one) for one in names]


def _refuse(path: Path, objection: str | None) -> None:
    if objection:
        raise ArtifactError(f"{path} is refused: {objection}.", hint=_WHOLE)


def _unreadable(path: Path, finding: str, *, hint: str = _WHOLE) -> ArtifactError:
    return ArtifactError(f"{path} cannot be read as a Keras model: {finding}.", hint=hint)


if __name__ == "__main__":
    answer(lambda: json.dumps(inspect_model(Path(sys.argv[1]))))
