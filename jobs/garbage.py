"""What can go: found by reading, listed with its size, and removed in a second step.

Never the model in use, those before it, what is shipped, or anything that an unfinished run or search still needs.
"""

import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import ArtifactError
from fer_core.job.progress import Look
from fer_core.paths import Paths
from fer_core.store.files import file_sha256, read_json
from fer_core.store.promotion import current, model_in_use
from fer_core.store.run import Run
from fer_core.store.runs import SHIPPED, UNFINISHED, list_runs
from fer_core.tuning.entries import SearchState
from fer_core.tuning.ranking import ranked
from fer_core.tuning.state import Search, list_searches, load_state

_TEMPORARY = ".*.part*"
_DAY = 86_400.0
_TEMPORARY_SECONDS = _DAY
"""Nothing is written for so long: who began a temporary file that old was killed."""
_SEARCH_ENDS = ("SUCCEEDED", "FAILED")
"""A cancelled search may be resumed."""


class Garbage(NamedTuple):
    """A file or folder that can go, and why."""

    kind: str
    path: Path
    size: int
    """In bytes."""
    run: str | None = None
    """Whose weights it is."""


def find_garbage(paths: Paths, *, keep_days: float, now: datetime) -> list[Garbage]:
    """Returns all that can go, grouped by kind. Removes nothing; what cannot be read is left alone.

    Raises ArtifactError if it cannot be told which model is in use.
    """
    return list(_Search(paths, keep_days, now).garbage())


def remove_garbage(paths: Paths, found: Iterable[Garbage]) -> int:
    """Removes what was found, but for weights that have come into use since; returns how many bytes were freed."""
    freed = 0
    for garbage in found:
        if garbage.run is not None and garbage.run in runs_in_use(paths):
            continue
        if garbage.path.is_dir() and not garbage.path.is_symlink():
            shutil.rmtree(garbage.path, ignore_errors=True)
        else:
            garbage.path.unlink(missing_ok=True)
        freed += 0 if garbage.path.exists() else garbage.size
    return freed


def runs_in_use(paths: Paths) -> frozenset[str]:
    """Returns the ids of the run in use and of those before it. Raises ArtifactError if the pointer is broken."""
    pointer = current(paths)
    return frozenset((pointer.run, *pointer.previous)) if pointer else frozenset()


class _Search:
    """One look through the folders."""

    def __init__(self, paths: Paths, keep_days: float, now: datetime):
        self._paths, self._now = paths, now.timestamp()
        self._oldest = self._now - keep_days * _DAY
        self._in_use = runs_in_use(paths)
        self._runs = {run.id: run for run in list_runs(paths)}
        self._statuses = {run.id: _status(run) for run in self._runs.values()}

    def garbage(self) -> Iterator[Garbage]:
        runs = (self._checkpoints, self._weights, self._soft_labels)
        for look in (*runs, self._temporary, self._tasks, self._logs, self._analyses):
            yield from look()

    def _checkpoints(self) -> Iterator[Garbage]:
        going_on = {search.id for search, state in self._searches if state.status not in _SEARCH_ENDS}
        for run in self._runs.values():
            # A trial's checkpoint is what Hyperband goes on from.
            if self._statuses[run.id] == "SUCCEEDED" and run.manifest.parent not in going_on:
                yield from _found("checkpoint of a finished run", run.checkpoint)

    def _weights(self) -> Iterator[Garbage]:
        for search, state in self._searches:
            if state.status in _SEARCH_ENDS:
                best = ranked(state.trials, search.spec.objective)[: search.spec.keep_top_k]
                kept = {entry.run for entry in best} | {state.winner} | self._in_use | self._starting_points
                for entry in state.trials:
                    if entry.run not in kept and self._statuses.get(entry.run, "RUNNING") not in UNFINISHED:
                        yield from self._weights_of(self._runs[entry.run])

    def _weights_of(self, run: Run) -> Iterator[Garbage]:
        for path in (run.model_h5, run.model_tflite, run.model_int8):
            yield from _found("weights beyond the best of a search", path, run=run.id)

    def _soft_labels(self) -> Iterator[Garbage]:
        """A distillation that goes on without them asks again, and gets the same answers."""
        for path in sorted((self._paths.cache / "lessons").glob("*.npy")):
            if _changed(path) < self._oldest:
                yield from _found("what teachers said", path)

    def _temporary(self) -> Iterator[Garbage]:
        for folder in (self._paths.models, self._paths.history):
            for path in sorted(folder.rglob(_TEMPORARY)):
                is_inside = any(Path(part).match(_TEMPORARY) for part in path.relative_to(folder).parts[:-1])
                is_shipped = SHIPPED.resolve() in path.resolve().parents
                if not (is_inside or is_shipped) and _changed(path) < self._now - _TEMPORARY_SECONDS:
                    yield from _found("abandoned temporary file", path)

    def _tasks(self) -> Iterator[Garbage]:
        """What made neither a run nor a search: an analysis lies elsewhere."""
        for job in Look(self._paths).recent(None):
            if job.end is not None and not job.run and not job.search and _changed(job.folder) < self._oldest:
                yield from _found("record of a job", job.folder)

    def _logs(self) -> Iterator[Garbage]:
        going_on = {search.id for search, state in self._searches if state.status not in _SEARCH_ENDS}
        for path in sorted((self._paths.models / "searches").glob("[!.]*/output/*.txt")):
            if path.parents[1].name not in going_on and _changed(path) < self._oldest:
                yield from _found("log of a trial", path)

    def _analyses(self) -> Iterator[Garbage]:
        for path in sorted((self._paths.models / "analyses").glob("[!.]*")):
            if _changed(path / "evaluation.json") < self._oldest and _analysed_model(path) != self._model_in_use:
                yield from _found("analysis of a model", path)

    @cached_property
    def _searches(self) -> list[tuple[Search, SearchState]]:
        found = []
        for search in list_searches(self._paths):
            with suppress(ArtifactError):
                found.append((search, load_state(search)))
        return found

    @cached_property
    def _starting_points(self) -> set[str]:
        """The runs whose weights an unfinished run may still begin with, learn from or average."""
        unfinished = (run for run in self._runs.values() if self._statuses[run.id] in UNFINISHED)
        manifests = [manifest for run in unfinished if (manifest := _manifest(run))]
        named = ((one.config.init_from, *one.config.teacher, *one.members) for one in manifests)
        needed = {name for names in named for name in names if name}
        return {name for model in needed for name in (model, Path(model).parent.name)}

    @cached_property
    def _model_in_use(self) -> str | None:
        with suppress(ArtifactError):
            folder = model_in_use(self._paths)
            return file_sha256(folder / "model.h5") if folder else None
        return None


def _manifest(run: Run):
    with suppress(ArtifactError):
        return run.manifest
    return None


def _status(run: Run) -> str:
    """Returns the run's status; RUNNING too for one that is held, or cannot be read: both are left alone."""
    try:
        return "RUNNING" if run.is_held() or not run.manifest else run.state.status
    except ArtifactError:
        return "RUNNING"


def _found(kind: str, path: Path, *, run: str | None = None) -> Iterator[Garbage]:
    with suppress(FileNotFoundError):
        yield Garbage(kind, path, _size(path), run)


def _size(path: Path) -> int:
    if path.is_symlink() or not path.is_dir():
        return path.lstat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if not file.is_dir())


def _changed(path: Path) -> float:
    """Returns when a file was changed last, in seconds since 1970; infinity for one that is not there."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return math.inf


def _analysed_model(folder: Path) -> str | None:
    try:
        return read_json(folder / "evaluation.json", "analysis").get("model_sha256")
    except (ArtifactError, AttributeError):
        return None
