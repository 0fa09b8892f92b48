"""Kills a Python process just before a chosen call, and looks whether what it left is whole.

What a training came to is compared bit by bit.
"""

import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from harness import ROOT as PROJECT

from fer_core.errors import FerError
from fer_core.paths import Paths
from fer_core.store.artifacts import read_h5_manifest
from fer_core.store.files import file_sha256
from fer_core.store.foreign import read_labels
from fer_core.store.promotion import current, labels_copy, model_copy
from fer_core.store.run import Run
from fer_core.store.runs import list_runs, open_run
from fer_core.store.runtimes import LiteRTModel

_KILL_IN_PYTHON = """
import collections, os, signal
counts, wanted, log = collections.Counter(), os.environ.get("KILL_AT"), os.environ["KILL_LOG"]
def watched(name, function):
    def call(*arguments, **options):
        counts[name] += 1
        moment = f"{name}:{counts[name]}"
        if wanted == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        if wanted is None:
            with open(log, "a") as file:
                file.write(f"{moment}\\n")
        return function(*arguments, **options)
    return call
for name in ("fsync", "replace", "rename", "link", "mkdir", "unlink"):
    setattr(os, name, watched(name, getattr(os, name)))
"""


class KilledAtCall:
    """Runs a Python command so that SIGKILL takes it just before a chosen call of those that put files in place.

    The command's sitecustomize counts them; they are named fsync:1, replace:1, fsync:2, …
    """

    def __init__(self, folder: Path):
        self._folder, self._log = folder, folder / "calls"
        (folder / "sitecustomize.py").write_text(_KILL_IN_PYTHON)

    def environment(self, environ: Mapping[str, str], kill_at: str | None) -> dict[str, str]:
        """Returns the environment in which Python kills itself before the call; without one, it logs its calls."""
        path = os.pathsep.join([str(self._folder), str(PROJECT)])
        own = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "KILL_LOG": str(self._log)}
        return {**environ, **own, **({"KILL_AT": kill_at} if kill_at else {})}

    def logged_calls(self) -> list[str]:
        """Returns the calls of the last run that was not killed, in their order."""
        return self._log.read_text().split()


_TIMINGS = ["seconds", "images_per_second"]
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
    history = pd.read_csv(run.history_csv, dtype=str, keep_default_na=False).drop(columns=_TIMINGS, errors="ignore")
    return tuple(history.itertuples(index=False, name=None))


def torn_files(paths: Paths) -> list[str]:
    """Returns a sentence for each file that is not whole under its final name; none should ever be there."""
    problems = []
    for path, is_whole in _checks(paths):
        try:
            problems += [] if is_whole(path) else [f"{path.name} is not whole, or nobody checks it"]
        except (FerError, OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            problems.append(f"{path.name}: {error}")
    return problems


def _checks(paths: Paths) -> Iterator[tuple[Path, Callable[[Path], object]]]:
    for path in paths.history.glob("[!.]*.csv"):
        yield path, _is_whole_csv
    for folder in sorted((paths.models / "runs").glob("[!.]*")):
        yield folder, lambda folder: (open_run(paths, folder.name).manifest, open_run(paths, folder.name).state)
        for path in sorted(path for path in folder.rglob("[!.]*") if path.is_file() and path.suffix != ".txt"):
            yield path, _CHECKS.get(path.suffix, lambda _: False)
    copies = {model_copy(paths): _CHECKS[".h5"], labels_copy(paths): read_labels}
    copies |= {paths.models / "current.json": lambda _: _points_to_its_copy(paths)}
    yield from ((path, check) for path, check in copies.items() if path.exists())


def _is_whole_csv(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return text.endswith("\n") and len({line.count(",") for line in text.splitlines()}) == 1


def _has_whole_lines(path: Path) -> bool:
    """A kill may tear the end of a line that is being appended; none may begin in the middle."""
    return all(line.startswith(b'{"kind"') for line in path.read_bytes().split(b"\n")[:-1] if line)


def _points_to_its_copy(paths: Paths) -> bool:
    pointer = current(paths)
    run = open_run(paths, pointer.run)
    copies = {file_sha256(run.model_h5), file_sha256(model_copy(paths))}
    return run.state.status == "SUCCEEDED" and copies == {pointer.sha256}


_CHECKS = {
    ".json": lambda path: [json.loads(path.read_text(encoding="utf-8"))],
    ".jsonl": _has_whole_lines,
    ".png": lambda path: path.read_bytes().endswith(_PNG_END),
    ".npz": lambda path: not zipfile.ZipFile(path).testzip(),
    ".h5": lambda path: read_h5_manifest(path) and _weights_sha256(path),
    ".tflite": LiteRTModel,
    ".bin": lambda path: path.stat().st_size % 8 == 0,  # hashes
}


def leftovers(paths: Paths) -> list[str]:
    """Returns the temporary files that are still there; none should be, once a run has been resumed to its end."""
    parts = [*paths.models.rglob(".*.part*"), *paths.history.rglob(".*.part*")]
    return [str(path.relative_to(paths.models.parent)) for path in parts]


def only_run(paths: Paths) -> Run | None:
    """Returns the run of a folder that has one, None before it has been created."""
    runs = list_runs(paths)
    return runs[0] if runs else None
