"""What a search leaves: trials.csv, best.toml, plots, and the weights of the best alone. No Keras."""

import contextlib
import shlex
import shutil
from collections.abc import Sequence

import tomli_w

from fer_core import networks
from fer_core.errors import ArtifactError
from fer_core.resources import file_lock
from fer_core.store.files import Clock, utc_now, write_atomically
from fer_core.store.promotion import current
from fer_core.store.runs import open_run
from fer_core.store.runtimes import latency_ms
from fer_core.training.machine import choose_backend
from fer_core.tuning.entries import CONTINUES, EPOCHS, Entry, SearchState, Standing, ranked, winner
from fer_core.tuning.plots import write_plots
from fer_core.tuning.stage import stage
from fer_core.tuning.state import Search, changing, load_state

_COMPLETED = 5
"""At most so many of the best trials get an export and plots: each takes some seconds."""
COLUMNS = (
    *("number", "kind", "of", "seed", "run", "status", "score", "epochs", "stopped_early"),
    *("parameters", "latency_ms", "seconds", "asked_utc", "told_utc", "message"),
)
"""The columns of trials.csv before those of the settings; `score` is of the search's objective."""


def end_if_over(search: Search, *, clock: Clock = utc_now) -> SearchState | None:
    """Ends a search of which nothing is left to train; returns its last state, None if it goes on or has ended before.

    May be called by several processes at once, and again after a kill: each file appears whole, all say the same, and
    one caller sets the state. Raises ArtifactError if the winner's run cannot be read, DiskFullError.
    """
    state = load_state(search)
    if stage(state, clock()) != "done":
        return None
    chosen = winner(state.entries, search.spec.objective)
    if chosen is not None:
        _complete_best(search, state, chosen)
        write_best(search, chosen)
    write_trials(search)
    write_plots(search, load_state(search), chosen)
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


def write_trials(search: Search) -> None:
    """Writes trials.csv as the search is now. Of several writers, the last to write has read the newest state."""
    with file_lock(search.folder / ".tables.lock"):
        settings = [parameter.name for parameter in search.parameters]
        write_atomically(search.trials_csv, trials_csv(load_state(search).entries, settings))


def trials_csv(entries: Sequence[Entry], settings: Sequence[str]) -> str:
    """Returns a line per trial and confirmation: COLUMNS, then `settings`; empty is what is not known or not used."""
    import pandas  # here, since it is slow, and a process that only says --help imports this

    rows = [entry.settings | {name: getattr(entry, name) for name in COLUMNS} for entry in entries]
    for row in rows:
        row["message"] = " ".join(row["message"].split())  # every line of the file is a training
    table = pandas.DataFrame(rows, columns=[*COLUMNS, *settings], dtype=object)
    return table.to_csv(index=False, lineterminator="\n")


def write_best(search: Search, standing: Standing) -> None:
    """Writes best.toml: every setting of the winning run, as `train_emotion_model.py --config` takes them."""
    manifest = open_run(search.paths, standing.best_run(search.spec.objective).run).manifest
    command = shlex.join(["--recipe", search.spec.recipe, "--config", str(search.best_toml)])
    text = (
        f"# The settings of run {manifest.run_id}, the winner of search {search.id} (trial {standing.trial.number}).\n"
        f"# {search.spec.objective} {standing.score:.4f}{standing.mean_of}. To train with them:\n"
        f"# python train_emotion_model.py {command}\n\n"
    )
    # But for those that are None, which is their default and unknown to TOML.
    settings = networks.with_all_options(manifest.config).model_dump(mode="json", exclude_none=True)
    write_atomically(search.best_toml, text + tomli_w.dumps(settings))


def drop_weights(search: Search, state: SearchState) -> list[str]:
    """Deletes the weights of ended trials beyond the best `keep_top_k`, and returns the ids of their runs.

    A trial that Hyperband may continue keeps them until the search is over, and a run that was promoted for good. The
    confirmations keep them all.
    """
    keep = {entry.number for entry in ranked(state.trials, search.spec.objective)[: search.spec.keep_top_k]}
    keep |= _may_be_continued(search, state)
    in_use: set[str] = set()
    with contextlib.suppress(ArtifactError):  # a broken pointer is for whoever promotes to report
        pointer = current(search.paths)
        in_use = {pointer.run, *pointer.previous} if pointer else set()
    ended = [entry for entry in state.trials if entry.status != "RUNNING" and entry.number not in keep]
    return [entry.run for entry in ended if entry.run not in in_use and _drop(search, entry)]


def _complete_best(search: Search, state: SearchState, chosen: Standing) -> None:
    objective = search.spec.objective
    best = ranked(state.entries, objective)[: min(search.spec.keep_top_k, _COMPLETED)]
    for number in dict.fromkeys(entry.number for entry in (chosen.best_run(objective), *best)):
        if state.entries[number].latency_ms is not None:
            continue
        with contextlib.suppress(ArtifactError):  # it has been removed, or cannot be exported: it counts without
            run = open_run(search.paths, state.entries[number].run)
            if not run.model_h5.is_file():
                continue
            choose_backend()
            from fer_core.training.finish import complete

            complete(run)
            milliseconds = latency_ms(run.model_tflite)
            with changing(search) as newest:
                newest.change(number, latency_ms=milliseconds)


def _may_be_continued(search: Search, state: SearchState) -> set[int]:
    """Hyperband copies a trial's checkpoint when it asks for the longer one, and needs it until that has ended."""
    if search.spec.oracle != "hyperband" or state.status == "SUCCEEDED":
        return set()
    whole = state.plan.base.epochs
    short = {entry.number for entry in state.trials if entry.values.get(EPOCHS, whole) < whole}
    longer = (entry for entry in state.trials if CONTINUES in entry.values and entry.status != "RUNNING")
    return short - {int(entry.values[CONTINUES]) for entry in longer}


def _drop(search: Search, entry: Entry) -> bool:
    with contextlib.suppress(ArtifactError):  # somebody has removed the run, or broken it: it is left as it is
        run = open_run(search.paths, entry.run)
        if any(path.exists() for path in (run.model_h5, run.model_tflite, run.checkpoint)):
            best = search.spec.keep_top_k
            run.update_state(message=f"Its weights are deleted: it is not among the best {best} of search {search.id}.")
            run.model_h5.unlink(missing_ok=True)
            run.model_tflite.unlink(missing_ok=True)
            shutil.rmtree(run.checkpoint, ignore_errors=True)
            return True
    return False
