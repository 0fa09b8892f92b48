"""The end of a search: names the winner, writes what a search leaves, and then, once, sets its state. No Keras."""

from fer_core.store.clock import Clock, utc_now
from fer_core.tuning.entries import SearchState
from fer_core.tuning.folder import Search
from fer_core.tuning.plots import write_plots
from fer_core.tuning.ranking import Standing, winner
from fer_core.tuning.stage import is_over
from fer_core.tuning.state import changing, load_state
from fer_core.tuning.tables import write_best, write_trials


def end_if_over(search: Search, *, clock: Clock = utc_now) -> SearchState | None:
    """Ends a search of which nothing is left to train; returns its last state, None if it goes on or has ended before.

    May be called by several processes at once, and again after a kill: each file appears whole, all say the same, and
    one caller sets the state. Raises ArtifactError if the winner's run cannot be read, DiskFullError.
    """
    state = load_state(search)
    if state.status != "RUNNING" or not is_over(search.spec, state, clock()):
        return None
    chosen = winner(state.entries, search.spec.objective)
    write_trials(search)
    write_plots(search, state, chosen)
    if chosen is not None:
        write_best(search, chosen)
    return _set(search, chosen)


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
