"""A model in two files, as tutorials save it: the network as JSON, and its weights as .h5. Which belong together.

By their names: fer.json and fer.h5, or x_structure.json and x_weights.h5; otherwise a file that is the only one.
"""

import json
import re
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError

_LARGEST = 2**24
_WORDS = re.compile(r"[ ._-]*(weights?|structure|architecture|network|config|arch)$")
_TENSORFLOW_JS = "modelTopology"


def network_beside(weights: Path) -> Path | None:
    """Returns the JSON beside weights that describes their network; None where there is none, or one of several."""
    own = [path for path in _files(weights.parent, ".json") if _is_network(path)]
    same = [path for path in own if _stem(path) == _stem(weights)]
    plain = [path for path in own if _stem(path) == "model"]
    return next((found[0] for found in (same, plain, own) if len(found) == 1), None)


def weights_beside(network: Path) -> Path:
    """Returns the .h5 beside a network's JSON that holds its weights. Raises ArtifactError: none, or several."""
    content = _content(network)
    if isinstance(content, dict) and _TENSORFLOW_JS in content:
        raise ArtifactError(
            f"{network} is a model of TensorFlow.js.", hint="Export it as Keras (.h5), and give that file."
        )
    if not _is_network(network):
        raise ArtifactError(f"{network} describes no network of Keras.", hint="Give the model's .h5 or .keras.")
    beside = [path for path in _files(network.parent, ".h5", ".hdf5") if network_beside(path) == network]
    same = [path for path in beside if _stem(path) == _stem(network)]
    apart = [path for path in beside if not _has_network(path)]
    found = next((found[0] for found in (same, apart) if len(found) == 1), None)
    if found is None:
        finding = "its weights are missing" if not apart else "several files beside it may be its weights"
        raise ArtifactError(
            f"{network} describes a network only: {finding}.",
            hint=f"Put the weights beside it as {network.stem}.h5, and give either of the two.",
        )
    return found


def read_network(path: Path) -> Any:
    """Returns what a network's JSON describes, not checked. Raises ValueError for what is no JSON, OSError."""
    if path.stat().st_size > _LARGEST:
        raise ValueError("the description of its network is far too long")
    content = json.loads(path.read_bytes())
    return json.loads(content) if isinstance(content, str) else content  # json.dump(model.to_json())


def _content(path: Path) -> Any:
    try:
        return read_network(path)
    except (OSError, ValueError, RecursionError):
        return None


def _is_network(path: Path) -> bool:
    content = _content(path)
    return isinstance(content, dict) and "class_name" in content and "config" in content


def _files(folder: Path, *suffixes: str) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.is_file())


def _has_network(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return "model_config" in file.attrs
    except OSError:
        return False


def _stem(path: Path) -> str:
    stem = path.stem.lower()
    return _WORDS.sub("", stem) or stem
