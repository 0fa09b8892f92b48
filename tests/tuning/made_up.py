"""Searches that were never trained: entries as trials leave them, in a search's folder, and runs with a history."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from fer_core.paths import Paths
from fer_core.store.files import utc_text
from fer_core.store.run import Run
from fer_core.store.runs import create_run
from fer_core.training.history import write_history
from fer_core.tuning.entries import Entry, Plan
from fer_core.tuning.space import with_values
from fer_core.tuning.spec import SearchSpec, base_config, first_values, space_of
from fer_core.tuning.state import Search, changing, create_search

BEGIN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
OBJECTIVE = "val_macro_f1"


def plan_of(**settings) -> Plan:
    """Returns the plan of a search around the smallest recipe."""
    spec = SearchSpec(**{"recipe": "smoke"} | settings)
    known = {"base": base_config(spec), "parameters": space_of(spec), "first_values": first_values(spec, [])}
    return Plan(created_utc=utc_text(BEGIN), spec=spec, **known)


def hill(values: dict[str, Any]) -> float:
    """Returns a score, 0..1, that is best at a learning rate of 1e-3 and grows with the epochs of a trial."""
    distance = abs(math.log10(values.get("learning_rate", 1e-3)) + 3) / 2
    return max(0.0, 1 - distance) * (1 - 0.5 / values.get("tuner/epochs", 100))


def minutes(number: float) -> datetime:
    """Returns the moment so many minutes after the searches began."""
    return BEGIN + timedelta(minutes=number)


def trial(number: int, score: float | None = None, **fields) -> Entry:
    """Returns a trial: finished where it has a score, otherwise running."""
    status = "RUNNING" if score is None else "COMPLETED"
    own = {"seed": 0, "values": {}, "run": f"run-{number}", "status": status, "score": score}
    if score is not None:
        own |= {"told_utc": utc_text(minutes(2 * number + 2)), "epochs": 12, "seconds": 100.0}
    return Entry(**{"number": number, "asked_utc": utc_text(minutes(2 * number))} | own | fields)


def confirmation(number: int, of: int, score: float | None = None, **fields) -> Entry:
    """Returns a training of an earlier trial's settings with another seed."""
    return trial(number, score, kind="confirm", of=of, **{"seed": number} | fields)


def failed(number: int, message: str = "The loss became no number.", **fields) -> Entry:
    """Returns a trial that failed."""
    told = {"status": "FAILED", "message": message, "told_utc": utc_text(minutes(2 * number + 1))}
    return trial(number, **told | fields)


def made_up_search(paths: Paths, entries: Iterable[Entry] = (), *, status: str = "RUNNING", **spec) -> Search:
    """Returns a search around the smallest recipe, on drawn faces, that has come to these entries."""
    own = {"recipe": "smoke", "data": "sample", "settings": {"sample_per_class": 20, "epochs": 12, "threads": 1}}
    search = create_search(paths, SearchSpec(**own | spec), search_id="search-1", clock=lambda: BEGIN)
    with changing(search) as state:
        state.entries = list(entries)
        state.status = status
        state.started_utc = utc_text(BEGIN) if state.entries else None
    return search


def rows(*scores: float, objective: str = OBJECTIVE) -> list[dict]:
    """Returns the history of a training: an epoch for each score."""
    return [
        {"epoch": epoch, "loss": 1.0, "accuracy": 0.5, "seconds": 2.0, objective: score}
        for epoch, score in enumerate(scores, start=1)
    ]


def run_of(search: Search, entry: Entry, history: list[dict]) -> Run:
    """Makes the run of a trial, with the history of so many epochs."""
    config = with_values(search.plan.base, entry.values)
    run = create_run(search.paths, config, recipe="smoke", kind="trial", parent=search.id, run_id=entry.run)
    write_history(run.history_csv, history)
    run.update_state(epoch=len(history))
    return run
