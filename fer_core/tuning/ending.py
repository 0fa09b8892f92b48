"""The end of a search: names the winner, completes the best runs, writes what a search leaves, and sets its state."""

import contextlib

from fer_core.errors import ArtifactError
from fer_core.store.clock import Clock, utc_now
from fer_core.store.runs import open_run
from fer_core.tuning.entries import SearchState
from fer_core.tuning.folder import Search
from fer_core.tuning.measuring import latency_ms
from fer_core.tuning.plots import write_plots
from fer_core.tuning.ranking import Standing, ranked, winner
from fer_core.tuning.stage import is_over
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.tables import write_best, write_trials

_COMPLETED = 5
"""So many of the best trials get an export and plots at most: each takes some seconds."""


def end_if_over(search: Search, *, clock: Clock = utc_now) -> SearchState | None:
    """Ends a search of which nothing is left to train; returns its last state, None if it goes on or has ended before.

    May be called by several processes at once, and again after a kill: each file appears whole, all say the same, and
    one caller sets the state. Raises ArtifactError if the winner's run cannot be read, DiskFullError.
    """
    state = load_state(search)
    if state.status != "RUNNING" or not is_over(search.spec, state, clock()):
        return None
    chosen = winner(state.entries, search.spec.objective)
    _complete_best(search, state, chosen)
    state = load_state(search)
    write_trials(search)
    write_plots(search, state, chosen)
    if chosen is not None:
        write_best(search, chosen)
    return _set(search, chosen)


def _complete_best(search: Search, state: SearchState, chosen: Standing | None) -> None:
    """Makes the exports and plots of the winner and of the best trials, and measures how long a face takes them."""
    if chosen is None:
        return
    objective = search.spec.objective
    best = ranked(state.entries, objective)[: min(search.spec.keep_top_k, _COMPLETED)]
    for entry in dict.fromkeys(entry.number for entry in (chosen.best_run(objective), *best)):
        if state.entries[entry].latency_ms is not None:
            continue
        with contextlib.suppress(ArtifactError):  # it has been removed, or cannot be exported: it counts without
            run = open_run(search.paths, state.entries[entry].run)
            if not run.model_h5.is_file():
                continue
            from fer_core.training.finish import complete

            complete(run)
            milliseconds = latency_ms(run.model_tflite)
            with changing(search) as newest:
                newest.change(entry, latency_ms=milliseconds)


def _set(search: Search, chosen: Standing | None) -> SearchState | None:
    with changing(search) as state:
        if state.status != "RUNNING":
            return None
        if chosen is None:
            last = next((f" The last one: {entry.message}" for entry in reversed(state.entries) if entry.message), "")
            state.status, state.message = "FAILED", f"None of its trials was finished.{last}"
        else:
            state.status, state.winner = "SUCCEEDED", chosen.best_run(search.spec.objective).run
            state.message = ""
        return state
