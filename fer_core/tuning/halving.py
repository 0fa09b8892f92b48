"""Asynchronous successive halving: a trial ends early if it is not among the best third of those that came as far.

The stopping form of ASHA (Li et al., arXiv 1810.05934): no trial waits for another, so the first ones at a rung all go
on. What was decided stands in rungs.json, and a resumed trial is told the same again. No Keras.
"""

import contextlib
import signal
from collections.abc import Collection, Iterable, Iterator, Sequence

from filelock import FileLock
from pydantic import BaseModel, ConfigDict, ValidationError

from fer_core.errors import ArtifactError, Interrupted
from fer_core.store.clock import Clock, utc_now
from fer_core.store.files import read_json, write_atomically
from fer_core.store.runs import open_run
from fer_core.training.history import read_history
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.folder import Search
from fer_core.tuning.ranking import objective_value
from fer_core.tuning.rungs import FACTOR, rungs_up_to
from fer_core.tuning.stage import is_out_of_time
from fer_core.tuning.state import load_state


class Rungs(BaseModel):
    """What stands in rungs.json: how good each trial was at each rung, and which were stopped, each with a sentence."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    goodness: dict[int, dict[int, float]] = {}
    """By epoch and trial: the best so far; more is better."""
    stopped: dict[int, str] = {}


def is_stopped(search: Search, number: int, rows: Sequence[dict], *, clock: Clock = utc_now) -> bool:
    """Returns whether trial `number` ends after these epochs, and notes why; asked again, it answers the same.

    Args:
        rows: one for each finished epoch, as in the history.

    Raises:
        Interrupted: the search has been cancelled. What was trained is kept, to go on with.
    """
    state = load_state(search)
    if state.status == "CANCELLED":
        raise Interrupted(signal.SIGTERM)
    if state.entries[number].kind == "confirm":
        return False
    with _deciding(search, state) as rungs:
        if number not in rungs.stopped:
            why = _outranked(rungs, search, number, rows) or _out_of_time(search, state, len(rows), clock)
            if why:
                rungs.stopped[number] = why
        return number in rungs.stopped


def why_stopped(search: Search, number: int) -> str:
    """Returns why a trial was stopped, as a sentence; nothing if it was not."""
    return _load(search, load_state(search)).stopped.get(number, "")


def _outranked(rungs: Rungs, search: Search, number: int, rows: Sequence[dict]) -> str:
    """Notes the trial at each rung that it has come to; returns a sentence for the first where it is outranked."""
    objective = search.spec.objective
    for rung in rungs_up_to(len(rows), search.base) if search.spec.stops_early else ():
        all_there = rungs.goodness.setdefault(rung, {})
        if number in all_there:
            continue
        own = all_there[number] = _best(objective, rows[:rung])
        # Trial 0 has the recipe's own values: what the others are measured by is trained to its end.
        if number and not _is_among_best(own, all_there.values()):
            return (
                f"Stopped after epoch {rung}: {objective} {objective_value(objective, own):.3f} is not among "
                f"the best third of the {len(all_there)} trials that came as far."
            )
    return ""


def _out_of_time(search: Search, state: SearchState, epochs: int, clock: Clock) -> str:
    if not is_out_of_time(search.spec, state, clock()):
        return ""
    return f"Stopped after epoch {epochs}: the {search.spec.max_hours:g} hours of the search are over."


def _is_among_best(own: float, all_there: Collection[float]) -> bool:
    return len(all_there) <= FACTOR or sum(other > own for other in all_there) < len(all_there) // FACTOR


def _best(objective: str, rows: Iterable[dict]) -> float:
    return max(objective_value(objective, row[objective]) for row in rows)


@contextlib.contextmanager
def _deciding(search: Search, state: SearchState) -> Iterator[Rungs]:
    """Reads, changes and writes the rungs as one step."""
    with FileLock(search.folder / ".rungs.lock"):
        rungs = _load(search, state)
        before = rungs.model_dump_json()
        yield rungs
        after = rungs.model_dump_json()
        if after != before:
            write_atomically(search.rungs_json, after)


def _load(search: Search, state: SearchState) -> Rungs:
    try:
        return Rungs.model_validate(read_json(search.rungs_json, "rungs of the search"))
    except (ArtifactError, ValidationError):  # none yet, or damaged: the runs know nearly as much
        return _from_histories(search, state)


def _from_histories(search: Search, state: SearchState) -> Rungs:
    """What an unfinished trial was told last is lost, so it is asked once more at that rung."""
    rungs = Rungs()
    for entry in state.trials if search.spec.stops_early else ():
        rows = _rows(search, entry)
        for rung in rungs_up_to(len(rows) - (entry.status == "RUNNING"), search.base):
            rungs.goodness.setdefault(rung, {})[entry.number] = _best(search.spec.objective, rows[:rung])
    return rungs


def _rows(search: Search, entry: Entry) -> list[dict]:
    """Returns the finished epochs of a trial; none of one that has left nothing to read."""
    try:
        rows = read_history(open_run(search.paths, entry.run).history_csv).rows
    except ArtifactError:
        return []
    return [row for row in rows if row.get(search.spec.objective) is not None]
