"""All runs in lines of a list, and histories without a run. What has not changed is not read again."""

import re
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from fer_core.errors import ArtifactError, FerError, NoSuchArtifactError
from fer_core.paths import Paths, run_name, shipped_models
from fer_core.store.manifest import Manifest
from fer_core.store.promotion import current
from fer_core.store.run import NOTES_FILE, Run, State, notes_of
from fer_core.store.runs import UNFINISHED, list_runs, open_run
from fer_core.training.history import History, read_history
from fer_core.web.answers import RunAnswer
from fer_core.web.data_choice import choice_of

SHIPPED = "shipped-best"
"""By this name the project's own model is a run like the others."""
SETTINGS = (
    *("network", "optimizer", "learning_rate", "batch_size", "schedule", "weight_decay", "label_smoothing", "mixup"),
    *("class_weights", "seed"),
)
"""The settings that a list of runs can show."""
UNREADABLE = "UNREADABLE"
"""The status of a run of which something cannot be read; its message says what."""
_NAME = re.compile(r"[\w. ()+-]{1,200}\.csv")
_ID = re.compile(r"\d{8}-\d{6}-[\w.-]{1,100}")
"""What runs and searches are named by the program."""
_MOST_CACHED = 20_000


class RunList:
    """The runs of the models folder, and the histories beside them."""

    def __init__(self, paths: Paths):
        self._paths = paths
        # By the times of their files.
        self._line = lru_cache(_MOST_CACHED)(lambda run, *changed: run_line(run))
        self._history = lru_cache(_MOST_CACHED)(lambda path, changed: _history(path, changed))

    def lines(self) -> list[RunAnswer]:
        """Returns all runs, the newest first, the project's own models at the end."""
        try:
            pointer = current(self._paths)
            in_use = pointer.run if pointer else SHIPPED
        except FerError:
            in_use = ""
        runs = [*reversed(list_runs(self._paths)), *_shipped(self._paths)]
        lines = [line for run in runs if (line := self._line_or_problem(run)) is not None]
        return [line.model_copy(update={"is_in_use": True}) if line.id == in_use else line for line in lines]

    def lone_histories(self, lines: list[RunAnswer]) -> list[History]:
        """Returns the history CSVs that none of these runs wrote, the newest first.

        One that cannot be read has a `problem`; one whose name no address can have is left out.
        """
        of_runs = {line.history_csv for line in lines}
        paths = [path for path in self._paths.history.glob("*.csv") if _NAME.fullmatch(path.name)]
        found = [self._history(path, _changed(path)) for path in paths if path.name not in of_runs]
        return sorted(found, key=lambda history: (history.date, history.path.name), reverse=True)

    def _line_or_problem(self, run: Run) -> RunAnswer | None:
        """Returns the run's line, None for one that is just being removed; one that is broken must not hide others."""
        try:
            return self._line(
                run, *(_changed(run.folder / name) for name in ("manifest.json", "state.json", NOTES_FILE))
            )
        except ArtifactError as error:
            return _unreadable(run, str(error)) if run.folder.is_dir() else None


def run_line(run: Run) -> RunAnswer:
    """Returns a run as a line. Raises ArtifactError if its files cannot be read."""
    manifest, state = run.manifest, run.state
    scores, notes = manifest.scores or {}, notes_of(run)
    name = manifest.recipe or manifest.config.network
    names = ("accuracy", "accuracy_interval", "macro_f1", "split", "images")
    return RunAnswer(
        id=id_of(run),
        title=notes.name or name,
        name=name,
        tags=list(notes.tags),
        notes=notes.notes,
        is_archived=notes.archived,
        seconds=_seconds(state),
        settings={setting: getattr(manifest.config, setting) for setting in SETTINGS},
        parents=_parents(manifest),
        data=manifest.data_name or manifest.config.data,
        is_in_use=False,
        data_set=choice.id if (choice := choice_of(manifest)) else None,
        **{name: getattr(manifest, name) for name in ("kind", "parent", "created_utc", "history_csv")},
        **{name: getattr(state, name) for name in ("status", "epoch", "epochs", "finished_utc", "message")},
        **{name: scores.get(name) for name in names},
    )


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


def find_history(paths: Paths, name: str) -> History:
    """Returns the history CSV of that name. Raises ArtifactError if there is none, or it cannot be read."""
    path = paths.history / name
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NoSuchArtifactError(f"There is no history {name[:200]!r}.", hint="The page of the runs lists them.")
    return read_history(path)


def _seconds(state: State) -> float | None:
    if state.started_utc is None or state.finished_utc is None:
        return None
    start, end = map(datetime.fromisoformat, (state.started_utc, state.finished_utc))
    return max(0.0, (end - start).total_seconds())


def _parents(manifest: Manifest) -> list[str]:
    """What has no page is left out: a file that somebody gave."""
    names = map(page_id, (manifest.parent or "").split(" "))
    return [name for name in names if name == SHIPPED or _ID.fullmatch(name)]


def _unreadable(run: Run, problem: str) -> RunAnswer:
    texts = {"title": run.id, "name": run.id, "kind": "", "created_utc": "", "history_csv": "", "epoch": 0, "notes": ""}
    texts |= {"parents": [], "tags": [], "settings": {}, "is_archived": False}
    known = {"id": id_of(run), "status": UNREADABLE, "message": problem, "is_in_use": False}
    return RunAnswer.model_construct(**(dict.fromkeys(RunAnswer.model_fields) | texts | known))


def _history(path: Path, changed: int) -> History:
    try:
        return read_history(path)
    except ArtifactError as error:
        return History(path=path, date=datetime.fromtimestamp(changed / 1e9, UTC), problem=str(error))


def is_open(line: RunAnswer) -> bool:
    """Returns whether a run waits or is trained."""
    return line.status in UNFINISHED


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # it is being removed, or a link that leads nowhere
        return 0


def _shipped(paths: Paths) -> list[Run]:
    return [Run(folder, paths.history) for folder in shipped_models()]
