"""Deletes the weights of trials that are neither among the best nor needed by the search any more. No Keras."""

import contextlib
import shutil
from pathlib import Path

from fer_core.errors import ArtifactError
from fer_core.paths import Paths
from fer_core.store.promotion import current
from fer_core.store.runs import open_run
from fer_core.tuning.entries import CONTINUES, EPOCHS, Entry, SearchState
from fer_core.tuning.folder import Search
from fer_core.tuning.ranking import ranked


def drop_weights(search: Search, state: SearchState) -> list[str]:
    """Deletes the weights of ended trials beyond the best `keep_top_k`, and returns the ids of their runs.

    A trial that Hyperband may go on with keeps them until the search is over, and a run that was promoted for good.
    The confirmations keep them all.
    """
    kept = {entry.number for entry in ranked(state.trials, search.spec.objective)[: search.spec.keep_top_k]}
    kept |= _still_to_continue(search, state)
    in_use = _promoted(search.paths)
    others = [entry for entry in state.trials if _has_ended(entry) and entry.number not in kept]
    return [entry.run for entry in others if entry.run not in in_use and _drop(search, entry)]


def _still_to_continue(search: Search, state: SearchState) -> set[int]:
    """Hyperband copies a trial's checkpoint when it asks for the one that goes on; that one is told later."""
    if search.spec.oracle != "hyperband" or state.status == "SUCCEEDED":
        return set()
    continued = {entry.values[CONTINUES] for entry in state.trials if CONTINUES in entry.values and _has_ended(entry)}
    return {
        entry.number
        for entry in state.trials
        if entry.values.get(EPOCHS, search.base.epochs) < search.base.epochs and str(entry.number) not in continued
    }


def _has_ended(entry: Entry) -> bool:
    return entry.status != "RUNNING"


def _promoted(paths: Paths) -> set[str]:
    with contextlib.suppress(ArtifactError):  # a broken pointer is for whoever promotes to report
        pointer = current(paths)
        return set() if pointer is None else {pointer.run, *pointer.previous}
    return set()


def _drop(search: Search, entry: Entry) -> bool:
    with contextlib.suppress(ArtifactError):  # somebody has removed the run, or broken it: it is left as it is
        run = open_run(search.paths, entry.run)
        there = [path for path in (run.model_h5, run.model_tflite, run.checkpoint) if path.exists()]
        if there:
            best = search.spec.keep_top_k
            run.update_state(message=f"Its weights are deleted: it is not among the best {best} of search {search.id}.")
            for path in there:
                _remove(path)
        return bool(there)
    return False


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
