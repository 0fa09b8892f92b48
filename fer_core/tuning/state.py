"""`Search`: a search in its folder models/searches/<id>, whose state.json is read and changed as a whole, under a lock.

state.json.bak is the state before the last change.
"""

import contextlib
import functools
import json
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from fer_core.errors import ArtifactError, NoSuchArtifactError, did_you_mean
from fer_core.paths import Paths
from fer_core.resources import file_lock
from fer_core.store.files import (
    Clock,
    create_atomically,
    full_disk_named,
    in_folder,
    read_whole,
    sweep,
    utc_now,
    utc_text,
    write_atomically,
)
from fer_core.store.manifest import checked_id
from fer_core.training.starting import with_fixed_models
from fer_core.tuning.entries import Plan, SearchState, ranked
from fer_core.tuning.space import Parameter
from fer_core.tuning.spec import STORED, SearchSpec, base_config, first_values, space_of
from fer_core.tuning.stage import confirmations_left

_EARLIER_PLAN = "spec.json"
"""Of earlier versions, whose searches are read once they have ended. Now the plan is part of the state."""
_WARM_STARTS = 5
"""So many of an earlier search's settings are tried first: enough to hold on to what it found."""


@dataclass(frozen=True)
class Search:
    """A search on disk. Its plan never changes; how far it is, `load_state` returns."""

    folder: Path
    paths: Paths

    state_json = in_folder("state.json")
    state_backup = in_folder("state.json.bak")
    trials_csv = in_folder("trials.csv")
    best_toml = in_folder("best.toml")

    @property
    def id(self) -> str:
        return self.folder.name

    @functools.cached_property
    def plan(self) -> Plan:
        """What is searched and how. Raises ArtifactError if it cannot be read."""
        return load_state(self).plan

    @property
    def spec(self) -> SearchSpec:
        return self.plan.spec

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.plan.parameters

    @property
    def exists(self) -> bool:
        """Whether there is a search, and no folder alone."""
        return self.state_json.is_file() or self.state_backup.is_file()

    def run_folder(self, run_id: str) -> Path:
        """Returns where the run of a trial lies, also before there is one."""
        return self.paths.models / "runs" / run_id


class Summary(NamedTuple):
    """A search in a line of a list."""

    id: str
    status: str
    recipe: str
    oracle: str
    objective: str
    max_trials: int
    asked: int
    """Trials so far; running, completed and failed are of these."""
    running: int
    completed: int
    failed: int
    confirmations: int
    """Those that are finished."""
    confirming: int
    """How many confirmations are wanted, once the trials are over and the search goes on; else 0."""
    best_score: float | None
    best_trial: int | None
    best_run: str | None
    winner: str | None
    """The run, once the search has ended."""
    created_utc: str
    started_utc: str | None
    first_estimate_seconds: float | None
    ends_utc: str | None
    """When it will have ended, by the last estimate; None where it does not run or nothing was measured."""
    message: str


def create_search(paths: Paths, spec: SearchSpec, *, search_id: str | None = None, clock: Clock = utc_now) -> Search:
    """Returns a new search, or the one of that id if it is there already.

    Raises:
        ConfigError: for settings that cannot be searched. ArtifactError: `warm_start` is no search. DiskFullError.
    """
    name = search_id or f"{clock():%Y%m%d-%H%M%S}-{spec.recipe}-{spec.oracle}-{secrets.token_hex(2)}"
    search = Search(paths.models / "searches" / checked_id(name, "search id"), paths)
    if not search.exists:
        state = SearchState(plan=_plan(paths, spec, utc_text(clock())))
        with contextlib.suppress(FileExistsError), full_disk_named(search.folder):  # another process was faster
            search.folder.mkdir(parents=True, exist_ok=True)
            create_atomically(search.state_json, state.to_json())
    return search


def open_search(paths: Paths, search_id: str) -> Search:
    """Returns an existing search. Raises ArtifactError if there is none of that id, or it is no id."""
    search = Search(paths.models / "searches" / checked_id(search_id, "search id"), paths)
    if search.exists:
        return search
    ids = [one.id for one in list_searches(paths)]
    none = "There are no searches yet; `python -m jobs submit tune` starts one."
    hint = did_you_mean(search_id, ids) if ids else none
    raise NoSuchArtifactError(f"There is no search {search_id!r} in {search.folder.parent}.", hint=hint)


def list_searches(paths: Paths) -> list[Search]:
    """Returns all searches, oldest first."""
    searches = (Search(folder, paths) for folder in sorted((paths.models / "searches").glob("[!.]*")))
    return [search for search in searches if search.exists]


@contextlib.contextmanager
def changing(search: Search) -> Iterator[SearchState]:
    """Yields the state, which no other process reads to change it meanwhile, and saves it once at the end.

    After an exception nothing is saved. Not to be nested.

    Raises:
        ArtifactError: the state is lost, or of an earlier version. DiskFullError.
    """
    with file_lock(search.folder / ".state.lock", poll_seconds=0.01):
        _refuse_earlier_version(search)
        state, before = _read(search)
        yield state
        after = state.to_json()
        if after != before:
            sweep(search.folder)
            if before is not None:
                write_atomically(search.state_backup, before)
            write_atomically(search.state_json, after)


def load_state(search: Search) -> SearchState:
    """Returns how far the search is, to look at.

    Raises ArtifactError if that is lost, or an earlier version began the search and it has not ended.
    """
    state, _ = _read(search)
    if state.status == "RUNNING":
        _refuse_earlier_version(search)
    return state


def summary(search: Search) -> Summary:
    """Returns what a list of searches shows. Raises ArtifactError if the search cannot be read."""
    state = load_state(search)
    spec, counts = state.plan.spec, Counter(entry.status for entry in state.trials)
    best = next(iter(ranked(state.entries, spec.objective)), None)
    again = [entry for entry in state.entries if entry.kind == "confirm"]
    is_confirming = state.status == "RUNNING" and again
    known = {name: getattr(spec, name) for name in ("recipe", "oracle", "objective", "max_trials")}
    known |= {name: getattr(state, name) for name in ("status", "winner", "started_utc", "message")}
    return Summary(
        id=search.id,
        asked=counts.total(),
        running=counts["RUNNING"],
        completed=counts["COMPLETED"],
        failed=counts["FAILED"],
        confirmations=sum(entry.status == "COMPLETED" for entry in again),
        confirming=len(again) + len(confirmations_left(state)) if is_confirming else 0,
        best_score=best and best.score,
        best_trial=best and best.number,
        best_run=best and best.run,
        created_utc=state.plan.created_utc,
        first_estimate_seconds=state.first_estimate_seconds,
        ends_utc=state.ends_utc if state.status == "RUNNING" else None,
        **known,
    )


def _plan(paths: Paths, spec: SearchSpec, created_utc: str) -> Plan:
    earlier: list[dict[str, Any]] = []
    if spec.warm_start is not None:
        state, _ = _read(open_search(paths, spec.warm_start))
        earlier = [entry.settings for entry in ranked(state.entries, state.plan.spec.objective)[:_WARM_STARTS]]
    return Plan(
        created_utc=created_utc,
        spec=spec,
        base=with_fixed_models(base_config(spec), paths),
        parameters=space_of(spec),
        first_values=first_values(spec, earlier),
    )


def _read(search: Search) -> tuple[SearchState, bytes | None]:
    """The content of the file comes with the state; None where only the backup can be read."""
    try:
        content = read_whole(search.state_json)
        return _parsed(search, content), content
    except (FileNotFoundError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):
            return _parsed(search, read_whole(search.state_backup)), None
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        what = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise ArtifactError(
            f"{search.state_json} is no state of a search of this version ({what}).",
            hint="Restore it, or start a new search.",
        ) from None
    except OSError as error:
        message = f"{search.state_json} cannot be read: {error.strerror}."
        raise ArtifactError(message, hint="Check the file and its access rights.") from error


def _parsed(search: Search, content: bytes) -> SearchState:
    plan = search.folder / _EARLIER_PLAN
    if plan.is_file():
        values = json.loads(content) | {"plan": json.loads(read_whole(plan))}
        return SearchState.model_validate(values, context=STORED)
    return SearchState.model_validate_json(content, context=STORED)


def _refuse_earlier_version(search: Search) -> None:
    if (search.folder / _EARLIER_PLAN).is_file():
        raise ArtifactError(
            f"Search {search.id} was begun by an earlier version and has not succeeded.",
            hint=f"The checkout that began it resumes it; or start a new search with warm_start {search.id!r}.",
        )
