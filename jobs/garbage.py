"""What can go: found by reading, listed with its size, and removed in a second step.

Never the model in use, those before it, what is shipped, or anything that an unfinished run or search still needs.
"""

import math
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import ArtifactError
from fer_core.job.progress import recent_jobs
from fer_core.paths import SHIPPED, Paths
from fer_core.store.files import file_sha256, read_json
from fer_core.store.promotion import current, model_in_use
from fer_core.store.run import Run
from fer_core.store.runs import UNFINISHED, list_runs
from fer_core.tuning.entries import SearchState, ranked
from fer_core.tuning.state import Search, list_searches, load_state

_TEMPORARY = ".*.part*"
_DAY = 86_400.0  # nothing is written for so long: who began a temporary file that old was killed
_SEARCH_ENDS = ("SUCCEEDED", "FAILED")  # A cancelled search may be resumed


class Garbage(NamedTuple):
    """A file or folder that can go, and why."""

    kind: str
    path: Path
    size: int  # in bytes
    run: str | None = None  # whose weights it is


def find_garbage(paths: Paths, *, keep_days: float, now: datetime) -> list[Garbage]:
    """Returns all that can go, grouped by kind. Removes nothing; what cannot be read is left alone.

    Raises ArtifactError if it cannot be told which model is in use.
    """
    searches = []
    for search in list_searches(paths):
        with suppress(ArtifactError):
            searches.append((search, load_state(search)))
    oldest = now.timestamp() - keep_days * _DAY
    return [
        *_of_runs(paths, searches),
        *_temporary(paths, now.timestamp() - _DAY),
        *_old(paths, searches, oldest),
    ]


def remove_garbage(paths: Paths, found: Iterable[Garbage]) -> int:
    """Removes what was found, but for weights that have come into use since; returns how many bytes were freed."""
    freed = 0
    for garbage in found:
        if garbage.run is not None and garbage.run in _runs_in_use(paths):
            continue
        if garbage.path.is_dir() and not garbage.path.is_symlink():
            shutil.rmtree(garbage.path, ignore_errors=True)
        else:
            with suppress(OSError):  # what somebody else owns stays
                garbage.path.unlink()
        freed += 0 if garbage.path.exists() else garbage.size
    return freed


def _runs_in_use(paths: Paths) -> set[str]:
    pointer = current(paths)
    return {pointer.run, *pointer.previous} if pointer else set()


def _of_runs(paths: Paths, searches: list[tuple[Search, SearchState]]) -> Iterator[Garbage]:
    in_use, runs = _runs_in_use(paths), {run.id: run for run in list_runs(paths)}
    statuses = {run.id: _status(run) for run in runs.values()}
    ended = {search.id for search, state in searches if state.status in _SEARCH_ENDS}
    # Those of other versions, which cannot be read, may go on as well.
    going_on = {folder.name for folder in (paths.models / "searches").glob("[!.]*")} - ended
    for run in runs.values():
        # A trial's checkpoint is what Hyperband goes on from.
        if statuses[run.id] == "SUCCEEDED" and run.manifest.parent not in going_on:
            yield from _garbage("checkpoint of a finished run", run.checkpoint)
    needed = in_use | _starting_points(run for run in runs.values() if statuses[run.id] in UNFINISHED)
    for search, state in searches:
        best = ranked(state.trials, search.spec.objective)[: search.spec.keep_top_k]
        kept = {entry.run for entry in best} | {state.winner} | needed
        for entry in state.trials if state.status in _SEARCH_ENDS else ():
            if entry.run not in kept and statuses.get(entry.run, "RUNNING") not in UNFINISHED:
                run = runs[entry.run]
                for path in (run.model_h5, run.model_tflite, run.model_int8):
                    yield from _garbage("weights beyond the best of a search", path, run=run.id)


def _status(run: Run) -> str:
    """Returns the run's status; RUNNING too for one that is held, or cannot be read: both are left alone."""
    try:
        return "RUNNING" if run.is_held() or not run.manifest else run.state.status
    except ArtifactError:
        return "RUNNING"


def _starting_points(unfinished: Iterable[Run]) -> set[str]:
    """Returns the runs whose weights an unfinished run may still begin with, learn from or average."""
    needed: set[str] = set()
    for run in unfinished:
        with suppress(ArtifactError):
            manifest = run.manifest
            models = filter(None, (manifest.config.init_from, *manifest.config.teacher, *manifest.members))
            needed |= {name for model in models for name in (model, Path(model).parent.name)}
    return needed


def _temporary(paths: Paths, oldest: float) -> Iterator[Garbage]:
    for folder in (paths.models, paths.history):
        for path in sorted(folder.rglob(_TEMPORARY)):
            is_inside = any(Path(part).match(_TEMPORARY) for part in path.relative_to(folder).parts[:-1])
            is_shipped = SHIPPED.resolve() in path.resolve().parents
            if not (is_inside or is_shipped) and _changed(path) < oldest:
                yield from _garbage("abandoned temporary file", path)


def _old(paths: Paths, searches: list[tuple[Search, SearchState]], oldest: float) -> Iterator[Garbage]:
    # A distillation that goes on without them asks again, and gets the same answers.
    for path in sorted((paths.cache / "lessons").glob("*.npy")):
        if _changed(path) < oldest:
            yield from _garbage("what teachers said", path)
    for job in recent_jobs(paths, None):
        if job.end is not None and not (job.run or job.search or job.study) and _changed(job.folder) < oldest:
            yield from _garbage("record of a job", job.folder)
    ended = {search.id for search, state in searches if state.status in _SEARCH_ENDS}
    for path in sorted((paths.models / "searches").glob("[!.]*/output/*.txt")):
        if path.parents[1].name in ended and _changed(path) < oldest:
            yield from _garbage("log of a trial", path)
    model = model_in_use(paths)
    in_use = file_sha256(model / "model.h5") if model else None
    for path in sorted((paths.models / "analyses").glob("[!.]*")):
        with suppress(ArtifactError, AttributeError):
            of = read_json(path / "evaluation.json", "analysis").get("model_sha256")
            if of != in_use and _changed(path / "evaluation.json") < oldest:
                yield from _garbage("analysis of a model", path)


def _garbage(kind: str, path: Path, *, run: str | None = None) -> Iterator[Garbage]:
    with suppress(FileNotFoundError):
        is_file = path.is_symlink() or not path.is_dir()
        files = [path] if is_file else [file for file in path.rglob("*") if not file.is_dir()]
        yield Garbage(kind, path, sum(file.lstat().st_size for file in files), run)


def _changed(path: Path) -> float:
    """Returns when a file was changed last, in seconds since 1970; infinity for one that is not there."""
    try:
        return path.lstat().st_mtime
    except OSError:
        return math.inf
