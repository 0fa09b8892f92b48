"""What is shown of searches: how far they are, the best over time, and the trials with their settings."""

from contextlib import suppress
from typing import Any

from fer_core.errors import ArtifactError, FerError
from fer_core.job.progress import search_progress
from fer_core.paths import Paths
from fer_core.store.clock import Clock
from fer_core.tuning.entries import Entry
from fer_core.tuning.ranking import is_finished, objective_value
from fer_core.tuning.state import Search, Summary, list_searches, load_state, summary


def search_lines(paths: Paths) -> list[Summary]:
    """Returns all searches that can be read, the newest first."""
    lines = []
    for search in reversed(list_searches(paths)):
        with suppress(FerError):
            lines.append(summary(search))
    return lines


def search_detail(search: Search, clock: Clock) -> dict[str, Any]:
    """Returns all that is shown of a search, as plain values. Raises ArtifactError if it cannot be read."""
    progress, state = search_progress(search, now=clock()), load_state(search)
    return {
        "search": progress.summary._asdict(),
        "seconds": progress.seconds,
        "seconds_left": progress.seconds_left,
        "running": [trial._asdict() for trial in progress.running],
        "parameters": [parameter.model_dump(mode="json") for parameter in search.parameters],
        "trials": [_row(entry) for entry in state.entries],
        "best_over_time": best_over_time(state.entries, search.spec.objective),
        "best_toml": _best_toml(search),
    }


def best_over_time(entries: list[Entry], objective: str) -> list[dict[str, Any]]:
    """Returns a point for each trial that came to a score, in the order of their ends, with the best so far."""
    finished = [entry for entry in entries if entry.kind == "trial" and is_finished(entry)]
    points: list[dict[str, Any]] = []
    for entry in sorted(finished, key=lambda entry: (entry.told_utc or "", entry.number)):
        best = points[-1]["best"] if points else entry.score
        if objective_value(objective, entry.score) > objective_value(objective, best):
            best = entry.score
        points.append({"trial": entry.number, "time": entry.told_utc, "score": entry.score, "best": best})
    return points


def _row(entry: Entry) -> dict[str, Any]:
    row = entry.model_dump(mode="json", exclude={"values", "job"})
    return row | {"settings": entry.settings}


def _best_toml(search: Search) -> str | None:
    try:
        return search.best_toml.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ArtifactError):
        return None
