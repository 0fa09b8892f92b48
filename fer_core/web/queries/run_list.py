"""All runs in lines of a list, and histories without a run. What has not changed is not read again."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from fer_core.errors import ArtifactError, FerError, NoSuchArtifactError
from fer_core.paths import Paths
from fer_core.store.manifest import Manifest
from fer_core.store.promotion import current
from fer_core.store.run import Run
from fer_core.store.runs import list_runs, open_run, run_name, shipped_models
from fer_core.training.history import History, read_history

SHIPPED = "shipped-best"
"""By this name the project's own model is a run like the others."""
SORTS = ("created", "name", "status", "accuracy", "macro_f1")
_NAME = re.compile(r"[\w. ()+-]{1,200}\.csv")
_ID = re.compile(r"\d{8}-\d{6}-[\w.-]{1,100}")
"""What runs and searches are named by the program."""


class RunLine(NamedTuple):
    """A run in a line of a list."""

    id: str
    name: str
    """Its recipe, or its network where it has no recipe."""
    kind: str
    parent: str | None
    parents: tuple[str, ...]
    """What has a page of what it was made from: a search for a trial, else runs."""
    status: str
    epoch: int
    epochs: int | None
    accuracy: float | None
    """On its test images, as all scores here."""
    accuracy_interval: tuple[float, float] | None
    macro_f1: float | None
    split: str | None
    images: int | None
    data: str | None
    is_in_use: bool
    created_utc: str
    finished_utc: str | None
    message: str
    history_csv: str


UNREADABLE = "UNREADABLE"
"""The status of a run of which something cannot be read; its message says what."""


class RunList:
    """The runs of the models folder. Kept by the time at which their files were changed."""

    def __init__(self, paths: Paths):
        self._paths = paths
        self._kept: dict[Path, tuple[tuple[int, ...], RunLine]] = {}
        self._histories: dict[Path, tuple[int, History]] = {}

    def lines(self) -> list[RunLine]:
        """Returns all runs, the newest first, the project's own models at the end."""
        in_use = self._in_use()
        runs = [*reversed(list_runs(self._paths)), *_shipped(self._paths)]
        lines = [line for run in runs if (line := self._line(run)) is not None]
        folders = {run.folder for run in runs}
        self._kept = {folder: kept for folder, kept in list(self._kept.items()) if folder in folders}
        return [line._replace(is_in_use=line.id == in_use) for line in lines]

    def lone_histories(self, lines: list[RunLine]) -> list[History]:
        """Returns the history CSVs that none of these runs wrote, the newest first.

        One that cannot be read has a `problem`; one whose name no address can have is left out.
        """
        of_runs = {line.history_csv for line in lines}
        paths = [path for path in self._paths.history.glob("*.csv") if _NAME.fullmatch(path.name)]
        found = [self._history(path) for path in paths if path.name not in of_runs]
        self._histories = {path: kept for path, kept in list(self._histories.items()) if path in paths}
        return sorted(found, key=lambda history: (history.date, history.path.name), reverse=True)

    def _history(self, path: Path) -> History:
        changed = path.stat().st_mtime_ns if path.exists() else 0
        kept = self._histories.get(path)
        if kept is None or kept[0] != changed:
            kept = (changed, _listed(path))
            self._histories[path] = kept
        return kept[1]

    def _line(self, run: Run) -> RunLine | None:
        """Returns the run's line, None for one that is just being removed; one that is broken must not hide others."""
        try:
            marks = tuple((run.folder / name).stat().st_mtime_ns for name in ("manifest.json", "state.json"))
            kept = self._kept.get(run.folder)
            if kept is None or kept[0] != marks:
                kept = (marks, run_line(run))
                self._kept[run.folder] = kept
            return kept[1]
        except (ArtifactError, OSError) as error:
            return _unreadable(run, str(error)) if run.folder.is_dir() else None

    def _in_use(self) -> str:
        try:
            pointer = current(self._paths)
        except FerError:
            return ""
        return pointer.run if pointer else SHIPPED


def find_run(paths: Paths, run_id: str) -> Run:
    """Returns a run by its id, or a model that came with the project by its page's. Raises ArtifactError."""
    shipped = [run for run in _shipped(paths) if id_of(run) == run_id]
    return shipped[0] if shipped else open_run(paths, run_id)


def id_of(run: Run) -> str:
    """Returns the id by which pages name a run."""
    return page_id(run_name(run.folder))


def page_id(name: str) -> str:
    """Returns the id by which pages name a run or model that records name so."""
    return name.replace("shipped/", "shipped-", 1)


def is_shipped(run_id: str) -> bool:
    """Whether that is the id of a page of a model that came with the project."""
    return run_id.startswith("shipped-")


def parents(manifest: Manifest) -> tuple[str, ...]:
    """Returns the ids of what a run was made from: the runs of an ensemble, a search, the model that it retrains.

    What has no page is left out: a file that somebody gave.
    """
    names = map(page_id, (manifest.parent or "").split(" "))
    return tuple(name for name in names if name == SHIPPED or _ID.fullmatch(name))


def run_line(run: Run) -> RunLine:
    """Returns a run as a line. Raises ArtifactError if its files cannot be read."""
    manifest, state = run.manifest, run.state
    scores = manifest.scores or {}
    return RunLine(
        id=id_of(run),
        name=manifest.recipe or manifest.config.network,
        kind=manifest.kind,
        parent=manifest.parent,
        parents=parents(manifest),
        status=state.status,
        epoch=state.epoch,
        epochs=state.epochs,
        accuracy=scores.get("accuracy"),
        accuracy_interval=_pair(scores.get("accuracy_interval")),
        macro_f1=scores.get("macro_f1"),
        split=scores.get("split"),
        images=scores.get("images"),
        data=manifest.data_name or manifest.config.data,
        is_in_use=False,
        created_utc=manifest.created_utc,
        finished_utc=state.finished_utc,
        message=state.message,
        history_csv=manifest.history_csv,
    )


def _unreadable(run: Run, problem: str) -> RunLine:
    nothing = RunLine(**dict.fromkeys(RunLine._fields))
    texts = {"name": run.id, "kind": "", "parents": (), "created_utc": "", "history_csv": "", "epoch": 0}
    return nothing._replace(id=id_of(run), status=UNREADABLE, message=problem, is_in_use=False, **texts)


def find_history(paths: Paths, name: str) -> History:
    """Returns the history CSV of that name. Raises ArtifactError if there is none, or it cannot be read."""
    path = paths.history / name
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NoSuchArtifactError(f"There is no history {name[:200]!r}.", hint="The page of the runs lists them.")
    return read_history(path)


def _listed(path: Path) -> History:
    try:
        return read_history(path)
    except ArtifactError as error:
        changed = datetime.fromtimestamp(path.stat().st_mtime if path.exists() else 0.0, UTC)
        return History(path=path, date=changed, problem=str(error))


def in_order(lines: list[RunLine], *, sort: str, recipe: str = "", kind: str = "") -> list[RunLine]:
    """Returns the lines of a recipe and kind ('' = all), sorted: scores and times fall, names rise; none come last."""
    wanted = [line for line in lines if recipe in ("", line.name) and kind in ("", line.kind)]
    column = {"created": "created_utc"}.get(sort, sort)
    known = [line for line in wanted if getattr(line, column) is not None]
    unknown = [line for line in wanted if getattr(line, column) is None]
    return sorted(known, key=lambda line: getattr(line, column), reverse=sort not in ("name", "status")) + unknown


def _shipped(paths: Paths) -> list[Run]:
    return [Run(folder, paths.history) for folder in shipped_models()]


def _pair(values: list[float] | None) -> tuple[float, float] | None:
    return tuple(values) if values and len(values) == 2 else None
