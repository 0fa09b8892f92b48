"""What a training left: whether every file under its final name is whole, and what the training came to."""

import csv
import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from fer_core.errors import FerError
from fer_core.paths import Paths
from fer_core.store.artifacts import MANIFEST_ATTRIBUTE, read_labels
from fer_core.store.files import file_sha256
from fer_core.store.promotion import current, labels_copy, model_copy
from fer_core.store.run import Run
from fer_core.store.runs import list_runs, open_run

_TIMINGS = ("seconds", "images_per_second")
_PNG_END = b"IEND\xaeB`\x82"


@dataclass(frozen=True)
class Outcome:
    """What a finished training came to, but for the time that it took."""

    weights: str
    """sha256 of all weights in model.h5."""
    checkpoint: str
    """sha256 of all arrays in the checkpoint: model, optimizer, random generators, best epoch."""
    history: tuple[tuple[str, ...], ...]
    """The rows of the history CSV without their timing columns."""


def outcome(run: Run) -> Outcome:
    """Returns what a finished run came to."""
    return Outcome(_weights_sha256(run.model_h5), _checkpoint_sha256(run.checkpoint / "checkpoint.npz"), _history(run))


def _weights_sha256(path: Path) -> str:
    """In the model's order: the names of layers depend on what else a process has built."""
    digest = hashlib.sha256()
    with h5py.File(path, "r") as file:
        layers = file["model_weights"]
        for layer in layers.attrs["layer_names"]:
            for name in layers[layer].attrs["weight_names"]:
                digest.update(np.asarray(layers[layer][name]).tobytes())
    return digest.hexdigest()


def _checkpoint_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with np.load(path) as file:
        for name in sorted(set(file.files) - {"progress"}):
            digest.update(name.encode() + file[name].tobytes())
        metadata = json.loads(file["progress"].tobytes())
    digest.update(repr((metadata["epoch"], metadata["best_epoch"], metadata["best_value"])).encode())
    return digest.hexdigest()


def _history(run: Run) -> tuple[tuple[str, ...], ...]:
    with run.history_csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(tuple(value for name, value in row.items() if name not in _TIMINGS) for row in rows)


def torn_files(paths: Paths) -> list[str]:
    """Returns a sentence for each file that is not whole under its final name; none should ever be there."""
    problems = [_problem(path, check) for path, check in _checks(paths)]
    return [problem for problem in problems if problem]


def _checks(paths: Paths) -> Iterator[tuple[Path, object]]:
    for path in paths.history.glob("[!.]*.csv"):
        yield path, _check_csv
    for folder in sorted((paths.models / "runs").glob("[!.]*")):
        yield folder, lambda folder: (open_run(paths, folder.name).manifest, open_run(paths, folder.name).state)
        for path in sorted(path for path in folder.rglob("[!.]*") if path.is_file()):
            yield path, _CHECKS.get(path.name) or _CHECKS.get(path.suffix, _check_is_known)
    if model_copy(paths).exists():
        yield model_copy(paths), _check_h5
    if labels_copy(paths).exists():
        yield labels_copy(paths), read_labels
    if (paths.models / "current.json").exists():
        yield paths.models / "current.json", lambda _: _check_pointer(paths)


def _problem(path: Path, check) -> str | None:
    try:
        check(path)
    except (FerError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        return f"{path.name}: {error}"
    return None


def _check_csv(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    widths = {line.count(",") for line in text.splitlines()}
    if not text.endswith("\n") or len(widths) != 1:
        raise ValueError("has a torn line")


def _check_json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


def _check_lines(path: Path) -> None:
    """A kill may tear the end of a line that is being appended; none may begin in the middle."""
    lines = [line for line in path.read_bytes().split(b"\n")[:-1] if line]
    torn = [line for line in lines if not line.startswith(b'{"kind"')]
    if torn:
        raise ValueError(f"has a line that begins in the middle: {torn[0][:60]!r}")


def _check_png(path: Path) -> None:
    if not path.read_bytes().endswith(_PNG_END):
        raise ValueError("is cut off")


def _check_npz(path: Path) -> None:
    with zipfile.ZipFile(path) as file:
        if file.testzip():
            raise ValueError(f"{file.testzip()} is damaged")


def _check_h5(path: Path) -> None:
    with h5py.File(path, "r") as file:
        json.loads(file.attrs[MANIFEST_ATTRIBUTE])
    _weights_sha256(path)


def _check_tflite(path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    Interpreter(model_path=str(path)).allocate_tensors()


def _check_hashes(path: Path) -> None:
    if path.stat().st_size % 8:
        raise ValueError("has no whole number of hashes")


def _check_pointer(paths: Paths) -> None:
    pointer = current(paths)
    run = open_run(paths, pointer.run)
    if run.state.status != "SUCCEEDED" or file_sha256(run.model_h5) != pointer.sha256:
        raise ValueError(f"points to run {run.id}, which is {run.state.status} or has another model")
    if file_sha256(model_copy(paths)) != pointer.sha256:
        raise ValueError("the copy beside it is of another model")


def _check_is_known(path: Path) -> None:
    if path.suffix != ".txt":
        raise ValueError("is a file that nobody checks")


_CHECKS = {
    ".json": _check_json,
    ".jsonl": _check_lines,
    ".png": _check_png,
    ".npz": _check_npz,
    ".h5": _check_h5,
    ".tflite": _check_tflite,
    ".bin": _check_hashes,
}


def leftovers(paths: Paths) -> list[str]:
    """Returns the temporary files that are still there; none should be, once a run has been resumed to its end."""
    parts = [*paths.models.rglob(".*.part*"), *paths.history.rglob(".*.part*")]
    return [str(path.relative_to(paths.models.parent)) for path in parts]


def only_run(paths: Paths) -> Run | None:
    """Returns the run of a folder that has one, None before it has been created."""
    runs = list_runs(paths)
    return runs[0] if runs else None
