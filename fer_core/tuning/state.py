"""`state.json` of a search: read and changed under a lock, as a whole, by one process at a time.

The state before the last change is kept beside it. What is lost all the same is rebuilt from the runs: see `notes.py`.
"""

import contextlib
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import filelock

from fer_core.errors import ArtifactError
from fer_core.store.files import read_whole, replacing, sweep, write_atomically
from fer_core.tuning.entries import SearchState
from fer_core.tuning.notes import completed_by_notes
from fer_core.tuning.ranking import ranked
from fer_core.tuning.stage import confirmations_left

if TYPE_CHECKING:
    from fer_core.tuning.folder import Search
    from fer_core.tuning.spec import SearchSpec


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
    """So many confirmations are wanted, once the trials are over and the search goes on; else 0."""
    best_score: float | None
    best_trial: int | None
    best_run: str | None
    winner: str | None
    """The run, once the search has ended."""
    created_utc: str
    started_utc: str | None
    first_estimate_seconds: float | None
    """How long it was to take, when that was reckoned first."""
    ends_utc: str | None
    """When it will have ended, as reckoned last; None where it does not run or nothing was measured."""
    message: str


@contextlib.contextmanager
def changing(search: "Search") -> Iterator[SearchState]:
    """Yields the state, which no other process reads to change it meanwhile, and saves it once at the end.

    After an exception nothing is saved. Not to be nested. Raises ArtifactError if the state is lost, DiskFullError.
    """
    with filelock.FileLock(search.folder / ".state.lock", poll_interval=0.01):
        before, state = _read(search)
        yield state
        after = state.to_json()
        if after != before:
            sweep(search.folder)
            if before is not None:
                _keep(search.state_json, search.state_backup)
            write_atomically(search.state_json, after)


def load_state(search: "Search") -> SearchState:
    """Returns how far the search is, to look at. Raises ArtifactError if that is lost."""
    return _read(search)[1]


def summary(search: "Search") -> Summary:
    """Returns what a list of searches shows. Raises ArtifactError if the search cannot be read."""
    spec, state = search.spec, load_state(search)
    counts = Counter(entry.status for entry in state.trials)
    best = next(iter(ranked(state.entries, spec.objective)), None)
    return Summary(
        id=search.id,
        status=state.status,
        recipe=spec.recipe,
        oracle=spec.oracle,
        objective=spec.objective,
        max_trials=spec.max_trials,
        asked=counts.total(),
        running=counts["RUNNING"],
        completed=counts["COMPLETED"],
        failed=counts["FAILED"],
        confirmations=sum(entry.kind == "confirm" and entry.status == "COMPLETED" for entry in state.entries),
        confirming=_confirming(spec, state),
        best_score=best and best.score,
        best_trial=best and best.number,
        best_run=best and best.run,
        winner=state.winner,
        created_utc=search.plan.created_utc,
        started_utc=state.started_utc,
        first_estimate_seconds=state.first_estimate_seconds,
        ends_utc=state.ends_utc if state.status == "RUNNING" else None,
        message=state.message,
    )


def _confirming(spec: "SearchSpec", state: SearchState) -> int:
    begun = sum(entry.kind == "confirm" for entry in state.entries)
    is_over = state.status != "RUNNING" or not begun
    return 0 if is_over else begun + len(confirmations_left(spec, state))


def _read(search: "Search") -> tuple[bytes | None, SearchState]:
    """Returns the content of the file and the state; None for the content where the file is missing or damaged."""
    found = _parsed(search.state_json)
    if found is not None:
        return found
    kept = _parsed(search.state_backup)
    return None, completed_by_notes(search, kept[1] if kept else SearchState())


def _parsed(path: Path) -> tuple[bytes, SearchState] | None:
    try:
        content = read_whole(path)
        return content, SearchState.model_validate_json(content)
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise ArtifactError(
            f"{path} cannot be read: {error.strerror}.", hint="Check the file and its access rights."
        ) from error


def _keep(path: Path, backup: Path) -> None:
    with replacing(backup) as temporary:
        try:
            os.link(path, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(path, temporary)
