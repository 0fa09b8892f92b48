"""Which trial a worker trains (`ask`), whether it ends early, what came of it (`tell`), and what happens from outside.

The state of the search is written first, then the run folder of the trial: a process that dies in between asks again
and gets the same trial. Keras Tuner is imported by `ask` alone.
"""

import hashlib
import math
import shutil
import signal
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fer_core.config import TrainConfig
from fer_core.errors import ConfigError, Interrupted
from fer_core.recipes import fitted_to
from fer_core.store.files import Clock, replacing, utc_now, utc_text
from fer_core.store.runs import create_run, new_run_id
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.machine import choose_backend
from fer_core.tuning.entries import CONTINUES, EPOCHS, Entry, SearchState, objective_value
from fer_core.tuning.space import with_values
from fer_core.tuning.stage import FACTOR, confirmations_left, is_out_of_time, rungs_up_to, stage, update_estimate
from fer_core.tuning.state import Search, changing, load_state

_PACKAGE = Path(__file__).parents[1]
_TRAINS_NOTHING = ("cli", "live", "web")


class Fingerprints(NamedTuple):
    """What all trials of a search must have in common: the images, and the code that trains."""

    data_fingerprint: str
    code_fingerprint: str
    data_source: str | None = None
    """Where the images lie on this machine."""


class Asked(NamedTuple):
    """A training to carry out; if its entry has ended already, there is nothing to train."""

    entry: Entry
    config: TrainConfig


class Outcome(NamedTuple):
    """What came of a training."""

    status: Literal["COMPLETED", "FAILED"]
    score: float | None = None
    """The objective at the epoch whose weights are saved: the best one, unless the recipe keeps the last."""
    epochs: int = 0
    stopped_early: bool = False
    message: str = ""
    parameters: int | None = None
    seconds: float | None = None


def ask(search: Search, job_id: str, *, metadata: Fingerprints, clock: Clock = utc_now) -> Asked | str:
    """Returns what the job is to train, or a sentence that says why there is nothing.

    Its run exists then, and that of a trial which continues another one has its checkpoint. A job that asks again gets
    the same again. The first trial decides which images the others need; other code is noted in the state.

    Raises:
        ConfigError: other images than the search was begun with. ArtifactError, DiskFullError.
    """
    state, now = load_state(search), clock()
    if state.entry_of(job_id) is None and stage(state, now) == "trials":
        choose_backend()  # loads Keras, as the oracle does: seconds, for which nobody is to wait at the lock
    with changing(search) as state:
        answer = _entry_for(search, state, job_id, metadata, now)
    if isinstance(answer, str):
        return answer
    config = config_of(search, answer).model_copy(update={"data": metadata.data_source or search.plan.base.data})
    if answer.status == "RUNNING":
        _make_run(search, state, answer, config, clock)
    return Asked(answer, config)


def tell(search: Search, number: int, outcome: Outcome, *, clock: Clock = utc_now) -> SearchState:
    """Returns the state of the search, which now has the outcome of entry `number`; the first one stays.

    A score that is no number counts as a failure; enough failures in a row end the search. Raises DiskFullError.
    """
    with changing(search) as state:
        if state.entries[number].status == "RUNNING":
            _record(state, number, outcome, clock)
        return state


def tell_speed(search: Search, epoch_seconds: float, *, clock: Clock = utc_now) -> SearchState | None:
    """Saves what an epoch takes, and so how long the search will; returns its state, None where that is known."""
    if load_state(search).epoch_seconds is not None:
        return None
    with changing(search) as state:
        state.epoch_seconds = epoch_seconds
        update_estimate(state, clock())
        return state


def is_stopped(search: Search, number: int, rows: Sequence[dict], *, clock: Clock = utc_now) -> bool:
    """Returns whether trial `number` ends after these epochs, and saves why: a resumed trial gets the same answer.

    By the stopping form of asynchronous successive halving (Li et al., arXiv 1810.05934) it ends if it is not among the
    best third of those that came as far. No trial waits for another, so the first ones at a rung all continue.

    Args:
        rows: one for each finished epoch, as in the history.

    Raises:
        Interrupted: the search has been cancelled. What was trained is kept, to continue with.
    """
    state = load_state(search)
    if state.status == "CANCELLED":
        raise Interrupted(signal.SIGTERM)
    if state.entries[number].kind == "confirm" or number in state.stopped:
        return number in state.stopped
    if not (_new_rungs(state, number, rows) or is_out_of_time(state, clock())):
        return False
    with changing(search) as state:
        reason = _outranked(state, number, rows)
        if not reason and is_out_of_time(state, clock()):
            hours = state.plan.spec.max_hours
            reason = f"Stopped after epoch {len(rows)}: the {hours:g} hours of the search are over."
        if reason:
            state.stopped[number] = reason
    return bool(reason)


def trial_failed(search: Search, name: str, message: str, *, clock: Clock = utc_now) -> None:
    """Counts a training that has failed for good as failed. One that had not begun a trial fails the whole search."""
    with changing(search) as state:
        entry = state.entry_of(name)
        if entry is not None and entry.status == "RUNNING":
            _record(state, entry.number, Outcome("FAILED", message=message), clock)
        elif entry is None and state.status == "RUNNING":
            state.status, state.message = "FAILED", message


def note_refusal(search: Search, worker: str, message: str) -> None:
    """Saves that a worker could not begin a trial, which others may."""
    with changing(search) as state:
        state.refused_by[worker] = message


def cancel_search(search: Search, message: str = "Cancelled.") -> None:
    """Ends a search, if it still runs."""
    with changing(search) as state:
        if state.status == "RUNNING":
            state.status, state.message = "CANCELLED", message


def reopen_search(search: Search) -> None:
    """Lets a search that was cancelled or has failed continue."""
    with changing(search) as state:
        state.status, state.message, state.failed_in_a_row = "RUNNING", "", 0
        state.refused_by, state.waits_after = {}, None


def config_of(search: Search, entry: Entry) -> TrainConfig:
    """Returns the settings that an entry is trained with."""
    epochs = entry.values.get(EPOCHS, search.plan.base.epochs)
    # A short trial of Hyperband may have fewer epochs than the recipe warms up for.
    base = fitted_to(search.plan.base, epochs).model_copy(update={"epochs": epochs, "seed": entry.seed})
    return with_values(base, entry.values)


def code_fingerprint(package: Path = _PACKAGE) -> str:
    """Returns a sha256 (hex) over the Python files that a training depends on: names and contents."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package)
        if name.parts[0] not in _TRAINS_NOTHING:
            content = path.read_bytes()
            digest.update(f"{name.as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _entry_for(search: Search, state: SearchState, job_id: str, metadata: Fingerprints, now: datetime) -> Entry | str:
    own = state.entry_of(job_id)
    if own is not None and own.status != "RUNNING":
        return own
    if state.status != "RUNNING":
        return state.message or f"Search {search.id} has ended ({state.status})."
    if state.data_fingerprint not in (None, metadata.data_fingerprint):
        raise ConfigError(
            f"The images here are not those that search {search.id} was begun with; its trials would not compare.",
            hint=f"Make them equal on all machines, or start a new search with warm_start {search.id!r}.",
        )
    code = metadata.code_fingerprint
    if state.code_fingerprint not in (None, code) and code not in state.other_code:
        state.other_code.append(code)
    state.data_fingerprint, state.code_fingerprint = metadata.data_fingerprint, state.code_fingerprint or code
    state.started_utc = state.started_utc or utc_text(now)
    if own is not None:
        return own
    answer = _next(state, now)
    if isinstance(answer, str):
        return answer
    names = {"recipe": search.spec.recipe, "clock": lambda: now}
    run = new_run_id(search.plan.base, **names)
    while run in {entry.run for entry in state.entries} or search.run_folder(run).exists():
        run = new_run_id(search.plan.base, **names)  # other trials of this second may not have their folders yet
    entry = Entry(number=len(state.entries), run=run, job=job_id, asked_utc=utc_text(now), **answer)
    state.entries.append(entry)
    return entry


def _next(state: SearchState, now: datetime) -> dict[str, Any] | str:
    if stage(state, now) == "trials":
        from fer_core.tuning.oracle import propose

        proposal = propose(state.plan, state.trials)
        if proposal == "wait":
            state.waits_after = state.ended
            return "The oracle waits for trials that are being trained."
        if proposal != "exhausted":
            return {"kind": "trial", "seed": state.plan.base.seed, "values": proposal}
        state.exhausted = True
    next_stage = stage(state, now)
    if next_stage == "confirmations":
        trial, seed = confirmations_left(state)[0]
        return {"kind": "confirm", "of": trial.number, "seed": seed, "values": trial.settings}
    if next_stage == "waiting":
        return "The last trials of the search are being trained."
    return "The search has nothing left to train."


def _make_run(search: Search, state: SearchState, entry: Entry, config: TrainConfig, clock: Clock) -> None:
    """Makes the run of a trial. One that continues another has its checkpoint, with the optimizer's state and all.

    Where the run has one of its own by now, that stays; where the other's is gone, it begins at its first epoch.
    """
    known = {"kind": "trial", "parent": search.id, "promote": False, "history_header": HISTORY_HEADER}
    run = create_run(search.paths, config, recipe=search.spec.recipe, run_id=entry.run, clock=clock, **known)
    if CONTINUES not in entry.values:
        return
    shorter = state.entries[int(entry.values[CONTINUES])]
    run.checkpoint.mkdir(exist_ok=True)
    for source in (search.run_folder(shorter.run) / run.checkpoint.name).glob("[!.]*"):
        target = run.checkpoint / source.name
        if not target.exists():
            with replacing(target) as temporary:
                shutil.copyfile(source, temporary)


def _record(state: SearchState, number: int, outcome: Outcome, clock: Clock) -> None:
    if outcome.status == "FAILED":
        outcome = outcome._replace(score=None)
    elif outcome.score is None or not math.isfinite(outcome.score):
        outcome = outcome._replace(status="FAILED", score=None, message=outcome.message or "Its score is no number.")
    entry = state.change(number, told_utc=utc_text(clock()), **outcome._asdict())
    if entry.kind == "trial":
        state.failed_in_a_row = state.failed_in_a_row + 1 if entry.status == "FAILED" else 0
    if state.failed_in_a_row >= state.plan.spec.max_failed_in_a_row and state.status == "RUNNING":
        state.status = "FAILED"
        state.message = f"{state.failed_in_a_row} trials failed one after the other; the last one: {entry.message}"
    update_estimate(state, clock())


def _new_rungs(state: SearchState, number: int, rows: Sequence[dict]) -> list[int]:
    plan = state.plan
    rungs = rungs_up_to(len(rows), plan.base) if plan.spec.stops_early else ()
    return [rung for rung in rungs if number not in state.rungs.get(rung, {})]


def _outranked(state: SearchState, number: int, rows: Sequence[dict]) -> str:
    objective = state.plan.spec.objective
    for rung in _new_rungs(state, number, rows):
        everyone = state.rungs.setdefault(rung, {})
        own = everyone[number] = max(objective_value(objective, row[objective]) for row in rows[:rung])
        # Trial 0 has the recipe's own values: what the others are measured by is trained to its end.
        better = sum(other > own for other in everyone.values())
        if number and len(everyone) > FACTOR and better >= len(everyone) // FACTOR:
            return (
                f"Stopped after epoch {rung}: {objective} {objective_value(objective, own):.3f} is not among "
                f"the best third of the {len(everyone)} trials that came as far."
            )
    return ""
