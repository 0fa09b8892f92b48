"""All runs in lines of a list, and histories without a run. What has not changed is not read again.

`RunsQuery`: which of them a list shows, in which order, with which columns. All of it stands in the page's address.
"""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError, ConfigError, FerError, NoSuchArtifactError, did_you_mean
from fer_core.paths import Paths, run_name, shipped_models
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
PAGE = 50
"""Lines of one page."""
SHOWN = ("", "archived", "all")
_ORDERS = ("", "rising", "falling")
_FALLING = ("created", "accuracy", "macro_f1", "epoch", "seconds")
"""What begins with the largest."""
_OWN = ("status", "epoch", "accuracy", "macro_f1", "scored_on", "created")
COLUMNS = (*_OWN, "seconds", "notes", *SETTINGS)
SORTS = ("created", "name", *(name for name in COLUMNS if name not in ("created", "scored_on")))
TITLES = {"macro_f1": "Macro F1", "scored_on": "Scored on", "created": "Begun", "seconds": "Took"}
_NOT_SAVED = ("parent", "parents", "data_set", "seconds", "history_csv", "settings")
_CSV = tuple(name for name in RunAnswer.model_fields if name not in _NOT_SAVED)


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
        files = (run.folder / name for name in ("manifest.json", "state.json", NOTES_FILE))
        try:
            return self._line(run, *map(_changed, files))
        except ArtifactError as error:
            return _unreadable(run, str(error)) if run.folder.is_dir() else None


def run_line(run: Run) -> RunAnswer:
    """Returns a run as a line. Raises ArtifactError if its files cannot be read."""
    manifest, state = run.manifest, run.state
    scores, notes = manifest.scores or {}, notes_of(run)
    parents = map(page_id, (manifest.parent or "").split(" "))
    name = manifest.recipe or manifest.config.network
    choice = choice_of(manifest)
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
        # What has no page is left out: a file that somebody gave.
        parents=[parent for parent in parents if parent == SHIPPED or _ID.fullmatch(parent)],
        data=manifest.data_name or manifest.config.data,
        is_in_use=False,
        data_set=choice and choice.id,
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


def _unreadable(run: Run, problem: str) -> RunAnswer:
    known = {"id": id_of(run), "status": UNREADABLE, "message": problem, "title": run.id, "name": run.id}
    known |= dict.fromkeys(("kind", "created_utc", "history_csv", "notes"), "")
    known |= {"epoch": 0, "parents": [], "tags": [], "settings": {}, "is_archived": False, "is_in_use": False}
    return RunAnswer.model_construct(**(dict.fromkeys(RunAnswer.model_fields) | known))


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


@dataclass(frozen=True)
class RunsQuery:
    """What an address asks for; '' stands for everything, and for the usual order."""

    search: str = ""
    recipe: str = ""
    kind: str = ""
    status: str = ""
    tag: str = ""
    show: str = ""
    sort: str = "created"
    order: str = ""
    page: int = 1
    columns: tuple[str, ...] = _OWN

    @classmethod
    def of(cls, sent: Any) -> "RunsQuery":
        """Returns what a Werkzeug MultiDict asks for. Raises ConfigError for what there is not."""
        columns = tuple(name for name in COLUMNS if name in sent.getlist("columns")) or _OWN
        texts = {one.name: sent.get(one.name, "")[:200] for one in fields(cls) if one.type is str}
        texts["sort"] = texts["sort"] or "created"
        for name, known, what in (("sort", SORTS, "sorted by"), ("show", SHOWN, "shown as"), ("order", _ORDERS, "put")):
            if texts[name] not in known:
                hint = did_you_mean(texts[name], known)
                raise ConfigError(f"Runs cannot be {what} {texts[name][:60]!r}.", hint=hint)
        page = sent.get("page", "1")
        return cls(**texts, columns=columns, page=max(1, int(page[:6])) if page.isascii() and page.isdigit() else 1)

    def address(self, **changed: Any) -> dict[str, Any]:
        """Returns what stands in an address that asks for this with changes, the usual left out; from page 1 on."""
        wanted = {one.name: getattr(self, one.name) for one in fields(self)} | {"page": 1} | changed
        usual = RunsQuery()
        return {name: value for name, value in wanted.items() if value != getattr(usual, name)}

    @property
    def is_falling(self) -> bool:
        """Whether the largest comes first."""
        return self.order == "falling" if self.order else self.sort in _FALLING

    def heading(self, column: str) -> dict[str, Any]:
        """Returns the address for a click on a column's head: sorted by it, the other way round if it is already."""
        other_way = ("rising" if self.is_falling else "falling") if column == self.sort else ""
        return self.address(sort=column, order=other_way)

    def has_filter(self) -> bool:
        """Whether anything but archived runs is left out."""
        return any((self.search, self.recipe, self.kind, self.status, self.tag))

    def of_lines(self, lines: Sequence[RunAnswer]) -> list[RunAnswer]:
        """Returns the lines that are wanted, in their order; those that lack what is sorted by come last."""
        wanted = [line for line in lines if self._wants(line)]
        known = [line for line in wanted if value_of(line, self.sort) is not None]
        unknown = [line for line in wanted if value_of(line, self.sort) is None]
        return sorted(known, key=lambda line: _key(value_of(line, self.sort)), reverse=self.is_falling) + unknown

    def of_histories(self, histories: Sequence[History]) -> list[History]:
        """Returns the histories without a run that are wanted: they have a name, and nothing else to choose by."""
        if self.show == "archived" or any((self.recipe, self.kind, self.status, self.tag)):
            return []
        return [one for one in histories if _has_words(self.search, one.path.name)]

    def _wants(self, line: RunAnswer) -> bool:
        if self.show != "all" and line.is_archived != (self.show == "archived"):
            return False
        own = {"recipe": line.name, "kind": line.kind, "status": line.status}
        if any(getattr(self, name) not in ("", value) for name, value in own.items()):
            return False
        words = (line.title, line.name, line.id, line.data or "", line.status, line.notes, *line.tags)
        return (not self.tag or self.tag in line.tags) and _has_words(self.search, " ".join(words))


def choices(lines: Sequence[RunAnswer]) -> dict[str, list[str]]:
    """Returns what the filters offer."""
    readable = [line for line in lines if line.status != UNREADABLE]
    return {
        "recipe": sorted({line.name for line in readable}),
        "kind": sorted({line.kind for line in readable}),
        "status": sorted({line.status for line in lines}),
        "tag": sorted({tag for line in lines for tag in line.tags}),
    }


def value_of(line: RunAnswer, column: str) -> Any:
    """Returns what a line has in a column, None where it has nothing."""
    if column in SETTINGS:
        return line.settings.get(column)
    if column == "name":
        return line.title.lower()
    return getattr(line, {"created": "created_utc"}.get(column, column), None)


def runs_csv(lines: Sequence[RunAnswer]) -> str:
    """Returns a line per run, with all that lists can show: scores as fractions, intervals as 'low to high'."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_CSV, *SETTINGS))
    for line in lines:
        known = vars(line) | line.settings
        writer.writerow([_cell(known.get(name)) for name in (*_CSV, *SETTINGS)])
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, tuple):
        return " to ".join(f"{one:.4f}" for one in value)
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    # A spreadsheet would take it for a formula.
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def _has_words(wanted: str, text: str) -> bool:
    return all(word in text.lower() for word in wanted.lower().split())


def _key(value: Any) -> tuple[bool, Any]:
    """Numbers before texts: a setting may have either."""
    is_text = not isinstance(value, int | float)
    return is_text, str(value) if is_text else value
